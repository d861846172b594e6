"""ROUGE: how many of the reference's words an answer has. English words are stemmed.

The package's own tokenizer knows only a to z and digits. Words in other scripts are added to those,
in scripts without spaces (Chinese, Japanese, Thai) each character.

Source: Lin 2004, ROUGE; recall as arXiv 2502.11190 and TOFU (arXiv 2401.06121) use it, F1 as MUSE
(arXiv 2407.06460), whose code does not stem.
"""

from functools import lru_cache

import regex
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.scoring import Score
from rouge_score.tokenizers import DefaultTokenizer, Tokenizer

from relearn.evaluation.metrics.base import metric, row_scores
from relearn.evaluation.rows import Rows
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


def _mean(rows: Rows, kind: str, part: str, name: str) -> float:
    scores = row_scores(
        rows, name, lambda row: float(getattr(rouge(row.reference, row.generation)[kind], part))
    )
    return sum(scores) / len(scores)


@metric("rouge1_recall", needs=("generation",))
def rouge1_recall(rows: Rows) -> float:
    """Share of the reference's words that the answer has, 0 to 1; stemmed.

    Source: Lin 2004, ROUGE; as arXiv 2502.11190 uses it.
    """
    return _mean(rows, "rouge1", "recall", "rouge1_recall")


@metric("rougeL_recall", needs=("generation",))
def rouge_l_recall(rows: Rows) -> float:
    """Share of the reference's words that the answer has in the same order, 0 to 1; stemmed.

    Source: Lin 2004, ROUGE; as arXiv 2502.11190 uses it.
    """
    return _mean(rows, "rougeL", "recall", "rougeL_recall")


@metric("rouge1_f1", needs=("generation",))
def rouge1_f1(rows: Rows) -> float:
    """Harmonic mean of the shares of words that answer and reference have of each other, 0 to 1.

    Source: Lin 2004, ROUGE
    """
    return _mean(rows, "rouge1", "fmeasure", "rouge1_f1")


@metric("rougeL_f1", needs=("generation",))
def rouge_l_f1(rows: Rows) -> float:
    """As ROUGE-1 F1, on the words that come in the same order, 0 to 1.

    Source: Lin 2004, ROUGE
    """
    return _mean(rows, "rougeL", "fmeasure", "rougeL_f1")
