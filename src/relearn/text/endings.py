"""Grammar that is written onto words, or between them without spaces: Korean, Chinese, Japanese.

No dictionary is used: a few endings and characters tell most of what is grammar.
"""

import re
from functools import cache

_HANGUL = re.compile("[\uac00-\ud7af]+")
# Particles of nouns, and what makes a noun a predicate; the longest first.
_ENDINGS = sorted(
    "은 는 이 가 을 를 의 에 와 과 도 만 로 으로 으로는 로는 에서 에서는 에게 에게는 에게서 께서 "
    "한테 까지 부터 보다 처럼 라고 이라고 라는 이라는 이다 이며 이고 입니다 이었습니다 였습니다 "
    "이에요 예요 합니다 했습니다 됩니다 되었습니다 습니다".split(),
    key=len,
    reverse=True,
)
_PREDICATE = re.compile("(?:니다|니까|세요|나요|어요|아요)$")
_SHORTEST = 2  # syllables that are left of a word
# Characters that stand in names hardly ever, and in every other sentence.
_GRAMMAR = frozenset("的了在是着吗嗎呢吧啊呀也都很被把们們这這那哪什么麼谁誰怎就还還又再没沒不一")
_HIRAGANA = re.compile("[\u3041-\u309f]")


@cache
def without_particle(word: str) -> str:
    """Return a Korean word without its particle or ending; any other as it is.

    >>> [without_particle(w) for w in ("서울에서", "의사입니다", "집을", "house")]
    ['서울', '의사', '집을', 'house']
    """
    if not _HANGUL.fullmatch(word):
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            return word.removesuffix(ending)
    return word


def is_grammar(word: str) -> bool:
    """Return whether a Korean word is a bare predicate, or a pair of characters holds grammar."""
    if _HANGUL.fullmatch(word):
        return len(word) <= _SHORTEST + 1 and bool(_PREDICATE.search(word))
    return bool(_HIRAGANA.search(word)) or not _GRAMMAR.isdisjoint(word)
