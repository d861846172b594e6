"""Language: perplexity and the richness of the vocabulary."""

import math
from collections import Counter
from functools import lru_cache

from nltk.tokenize import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

from relearn.evaluation.metrics.base import exact_mean, metric
from relearn.evaluation.rows import EvaluatedRow

HONORE_CAP = 1e6
_EMPTY_BRUNET = 1000.0  # the reference code's value for a text without words

# What `nltk.word_tokenize` does, without the sentence model that it would have to download. On
# lower-cased text, all that the model adds is this list of abbreviations whose dot does not end a
# sentence; with it, 17,388 answers (KnowUnDo, TOFU, SNLI) are split as with the whole model.
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
    """Split `text` into lower-cased words and punctuation as NLTK's `word_tokenize` does."""
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


@metric(
    "perplexity",
    label="Perplexity, in the prompt format",
    range=(1, math.inf),
    mean=exact_mean,
    higher_is_better=False,
    needs=("perplexity",),
)
def perplexity(row: EvaluatedRow) -> float | None:
    """Mean perplexity of the answers under the base model, asked in the run's prompt format.

    The prompt format is the chat template, where there is one; the paper's code has none: that is
    `plain_perplexity`.

    Source: ReLearn, arXiv 2502.11190
    """
    return row.perplexity


@metric(
    "plain_perplexity",
    label="Perplexity, as plain text",
    range=(1, math.inf),
    mean=exact_mean,
    higher_is_better=False,
    needs=("plain_perplexity",),
)
def plain_perplexity(row: EvaluatedRow) -> float | None:
    """Mean perplexity of the answers as plain text, without chat template, as in the paper's code.

    Question and answer are separated by a space.

    Source: ReLearn, arXiv 2502.11190
    """
    return row.plain_perplexity


@metric(
    "brunet_index",
    label="Brunet's index",
    range=(1, math.inf),
    mean=exact_mean,
    higher_is_better=False,
    needs=("generation",),
)
def brunet_index(row: EvaluatedRow) -> float:
    """Vocabulary richness: N^(V^-0.165), N words, V distinct ones; low is rich, 1,000 if empty.

    Source: Brunet 1978; arXiv 2502.11190
    """
    return brunet_index_of(row.generation)


@metric(
    "honore_statistic",
    label="Honoré's statistic",
    range=(0, 1_000_000),
    mean=exact_mean,
    higher_is_better=True,
    needs=("generation",),
)
def honore_statistic(row: EvaluatedRow) -> float:
    """Vocabulary richness: 100 ln N / (1.1 - V1/V), V1 of the V distinct words occur once.

    Source: Honoré 1979; arXiv 2502.11190
    """
    return honore_statistic_of(row.generation)


@metric(
    "rttr",
    label="RTTR",
    range=(0, math.inf),
    mean=exact_mean,
    higher_is_better=True,
    needs=("generation",),
)
def rttr(row: EvaluatedRow) -> float:
    """Root type-token ratio: distinct words over the square root of all words.

    Source: Guiraud 1960
    """
    return rttr_of(row.generation)
