"""ROUGE: how many of the reference's words an answer has. English words are stemmed.

The tokenizer of `rouge_score` knows only a to z and digits. Words in other scripts are tokens too;
in scripts without spaces (Chinese, Japanese, Thai), each character is one.

Source: Lin 2004, ROUGE; recall as arXiv 2502.11190 and TOFU (arXiv 2401.06121) use it, F1 as MUSE
(arXiv 2407.06460), whose code does not stem.
"""

from functools import lru_cache

import regex
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.scoring import Score
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

from relearn.evaluation.metrics.base import RECALLED, metric
from relearn.evaluation.rows import EvaluatedRow
from relearn.text.words import tokens

_OTHER_SCRIPTS = regex.compile(r"([\p{L}--\p{Latin}][\p{L}\p{M}--\p{Latin}]*)", regex.VERSION1)


class ScriptTokenizer(Tokenizer):
    """ROUGE's own tokens for Latin letters and digits, words or characters for other scripts."""

    def __init__(self) -> None:
        self._latin = DefaultTokenizer(use_stemmer=True)

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of a text in their order."""
        pieces = _OTHER_SCRIPTS.split(text)  # every second one is in another script
        return [
            token
            for i, piece in enumerate(pieces)
            for token in (tokens(piece) if i % 2 else self._latin.tokenize(piece))
        ]


_scorer = RougeScorer(["rouge1", "rougeL"], tokenizer=ScriptTokenizer())


@lru_cache(maxsize=4096)
def rouge(reference: str, text: str) -> dict[str, Score]:
    """Return precision, recall and F1 of `text` by kind, `rouge1` and `rougeL`, each 0 to 1."""
    scores: dict[str, Score] = _scorer.score(reference, text)
    return scores


@metric("rouge1_recall", label="ROUGE-1 recall", higher_is_better=RECALLED, needs=("generation",))
def rouge1_recall(row: EvaluatedRow) -> float:
    """Share of the reference's words that are in the answer; stemmed.

    Source: Lin 2004, as in arXiv 2502.11190
    """
    return float(rouge(row.reference, row.generation)["rouge1"].recall)


@metric("rougeL_recall", label="ROUGE-L recall", higher_is_better=RECALLED, needs=("generation",))
def rouge_l_recall(row: EvaluatedRow) -> float:
    """Share of the reference's words that are in the answer in the same order; stemmed.

    Source: Lin 2004, as in arXiv 2502.11190
    """
    return float(rouge(row.reference, row.generation)["rougeL"].recall)


@metric("rouge1_f1", label="ROUGE-1 F1", higher_is_better=RECALLED, needs=("generation",))
def rouge1_f1(row: EvaluatedRow) -> float:
    """Words that answer and reference share: harmonic mean of precision and recall; stemmed.

    Source: Lin 2004
    """
    return float(rouge(row.reference, row.generation)["rouge1"].fmeasure)


@metric("rougeL_f1", label="ROUGE-L F1", higher_is_better=RECALLED, needs=("generation",))
def rouge_l_f1(row: EvaluatedRow) -> float:
    """Words that they share in the same order: harmonic mean of precision and recall; stemmed.

    Source: Lin 2004
    """
    return float(rouge(row.reference, row.generation)["rougeL"].fmeasure)
