"""The linguistic score and its parts: perplexity and the richness of the vocabulary."""

import math
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from nltk.tokenize import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
from scipy.stats import hmean

from relearn.evaluation.metrics.base import metric, row_scores
from relearn.evaluation.rows import Rows

HONORE_CAP = 1e6
_EMPTY_BRUNET = 1000.0  # the reference code's value for a text without words

# What `nltk.word_tokenize` does, without the sentence model that it would have to download. All
# that this model adds on lower-cased text is to know that these words' dots end no sentence: its
# own list, with which 17,388 answers (KnowUnDo, TOFU, SNLI) are cut as with the whole model.
_abbreviations = PunktParameters()
_abbreviations.abbrev_types = set(
    """
    a.a a.c a.d a.g a.h a.m a.m.e a.s a.t adm ala ariz aug ave b.f b.v bros c c.i.t c.o.m.b c.v
    calif chg cie co col colo conn corp cos ct d d.c d.h d.w dec dr e e.f e.h e.l e.m f f.g f.j
    feb fla fri ft g g.d g.f g.k ga gen h h.c h.f h.m i.m.s ill inc j.b j.c j.j j.k j.p j.r jan
    jr k kan ky l l.a l.f l.p lt ltd m m.b.a m.d.c m.j maj messrs mg mich minn mr mrs ms n n.c
    n.d n.h n.j n.m n.v n.y nev nov oct ok okla ore p p.a.m p.m pa ph.d prof r r.a r.h r.i r.j
    r.k r.t rep reps s s.a s.a.y s.c s.g s.p.a s.s sen sep sept sr st sw t t.j tenn tues u.k u.n
    u.s u.s.a u.s.s.r v va vs vt w w.c w.r w.va w.w wash wed wis yr
    """.split()
)
_sentences = PunktSentenceTokenizer(_abbreviations)
_words = NLTKWordTokenizer()


@lru_cache(maxsize=4096)
def words(text: str) -> tuple[str, ...]:
    """Cut `text` into lower-cased words and marks as NLTK's `word_tokenize` does."""
    sentences = _sentences.tokenize(text.lower())
    return tuple(word for sentence in sentences for word in _words.tokenize(sentence))


def brunet_index_of(text: str) -> float:
    """Return Brunet's index N^(V^-0.165): N words, V different ones; 1 up, 1000 if none."""
    tokens = words(text)
    if not tokens:
        return _EMPTY_BRUNET
    return float(len(tokens) ** (len(set(tokens)) ** -0.165))


def honore_statistic_of(text: str) -> float:
    """Return Honoré's statistic 100 ln N / (1 - V1/V + 0.1), V1 words that come once; 0 to 1e6."""
    tokens = words(text)
    if len(tokens) <= 1:
        return 0.0
    counts = Counter(tokens)
    once = sum(count == 1 for count in counts.values())
    return min(100 * math.log(len(tokens)) / (1 - once / len(counts) + 0.1), HONORE_CAP)


def rttr_of(text: str) -> float:
    """Return the root type-token ratio V / sqrt(N), 0 up."""
    tokens = words(text)
    return len(set(tokens)) / math.sqrt(len(tokens)) if tokens else 0.0


def linguistic_score(perplexity: Any, brunet_index: Any, honore_statistic: Any) -> Any:
    """Return the harmonic mean of three sigmoids, 0 to 1; 0 where one of them is.

    LS = HM(sigmoid(-ln PPL), sigmoid(-ln Brunet), sigmoid(ln Honoré)), on the means over a set,
    numbers or arrays of one shape. Source: arXiv 2502.11190. sigmoid(ln x) = x / (1 + x).
    """
    parts = np.broadcast_arrays(
        1 / (1 + np.asarray(perplexity)),
        1 / (1 + np.asarray(brunet_index)),
        honore_statistic / (1 + np.asarray(honore_statistic)),
    )
    return hmean(parts, axis=0)


def _mean(rows: Rows, name: str, score: Callable[[str], float]) -> float:
    return math.fsum(row_scores(rows, name, lambda row: score(row.generation))) / len(rows)


@metric("perplexity", needs=("perplexity",))
def perplexity(rows: Rows) -> float:
    """Mean perplexity of the answers under the base model, asked in the prompt format; 1 up.

    Source: arXiv 2502.11190, whose code has no chat template: that is `plain_perplexity`.
    """
    found = [row.perplexity for row in rows if row.perplexity is not None]
    return math.fsum(found) / len(found)


@metric("plain_perplexity", needs=("plain_perplexity",))
def plain_perplexity(rows: Rows) -> float:
    """Mean perplexity of the answers under the base model, as plain text; 1 up.

    Question and answer are one plain text, a space between them, as in the paper's code.
    Source: arXiv 2502.11190
    """
    found = [row.plain_perplexity for row in rows if row.plain_perplexity is not None]
    return math.fsum(found) / len(found)


@metric("brunet_index", needs=("generation",))
def brunet_index(rows: Rows) -> float:
    """Mean Brunet's index of the answers; lower is richer, 1 up, 1000 for an empty answer.

    Source: Brunet 1978; arXiv 2502.11190
    """
    return _mean(rows, "brunet_index", brunet_index_of)


@metric("honore_statistic", needs=("generation",))
def honore_statistic(rows: Rows) -> float:
    """Mean Honoré's statistic of the answers; higher is richer, 0 to 1e6.

    Source: Honoré 1979; arXiv 2502.11190
    """
    return _mean(rows, "honore_statistic", honore_statistic_of)


@metric("rttr", needs=("generation",))
def rttr(rows: Rows) -> float:
    """Mean root type-token ratio of the answers; higher is more diverse, 0 up.

    Source: Guiraud 1960.
    """
    return _mean(rows, "rttr", rttr_of)


@metric(
    "ls",
    needs=("generation", "perplexity"),
    columns=("perplexity", "brunet_index", "honore_statistic"),
    combine=linguistic_score,
)
def ls(rows: Rows) -> float:
    """Linguistic score of the set, 0 to 1: harmonic mean of perplexity, Brunet and Honoré parts.

    Source: arXiv 2502.11190; taken on the set's means. Its perplexity is that in the prompt format.
    """
    parts = (perplexity.compute(rows), brunet_index.compute(rows), honore_statistic.compute(rows))
    return float(linguistic_score(*parts))


@metric(
    "plain_ls",
    needs=("generation", "plain_perplexity"),
    columns=("plain_perplexity", "brunet_index", "honore_statistic"),
    combine=linguistic_score,
)
def plain_ls(rows: Rows) -> float:
    """Linguistic score of the set, 0 to 1, with the perplexity of plain text; the paper's own way.

    Source: arXiv 2502.11190; taken on the set's means.
    """
    parts = (plain_perplexity, brunet_index, honore_statistic)
    return float(linguistic_score(*(part.compute(rows) for part in parts)))
