"""How varied texts are among themselves."""

import random
from collections.abc import Sequence

from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

# Every text against all others is quadratic; so many give the mean to about 0.01.
_SELF_BLEU_SAMPLE = 100


def distinct_n(texts: Sequence[str], n: int) -> float:
    """Return the share of different n-grams of words among all, 0 to 1.

    Source: Li et al. 2016, A Diversity-Promoting Objective Function (arXiv 1510.03055).
    """
    distinct: set[tuple[str, ...]] = set()
    count = 0
    for text in texts:
        words = text.lower().split()
        grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
        distinct.update(grams)
        count += len(grams)
    return len(distinct) / count if count else 0.0


def self_bleu(texts: Sequence[str]) -> float:
    """Return the mean BLEU-4 of each text against the others, 0 (all different) to 1 (all equal).

    Of more than 100 texts, 100 drawn at random are compared with one another.
    Source: Zhu et al. 2018, Texygen (arXiv 1802.01886).
    """
    if len(texts) > _SELF_BLEU_SAMPLE:
        texts = random.Random(0).sample(texts, _SELF_BLEU_SAMPLE)
    words = [text.lower().split() for text in texts]
    if len(words) < 2:
        return 0.0
    smooth = SmoothingFunction().method1
    scores = [
        float(sentence_bleu(words[:i] + words[i + 1 :], words[i], smoothing_function=smooth))
        for i in range(len(words))
    ]
    return sum(scores) / len(scores)
