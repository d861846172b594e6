"""Numbers in words, rewritten in figures."""

import re
import unicodedata

_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
_UNITS += "fifteen sixteen seventeen eighteen nineteen"
_ORDINALS = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh "
_ORDINALS += "twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_VALUES = (
    {word: n for names in (_UNITS, _ORDINALS) for n, word in enumerate(names.split())}
    | {word: 10 * n for n, word in enumerate(_TENS.split(), 2)}
    | {word[:-1] + "ieth": 10 * n for n, word in enumerate(_TENS.split(), 2)}
    | {"fourty": 40, "dozen": 12}
    | _SCALES
    | {f"{word}th": value for word, value in _SCALES.items()}
)
_TIMES = {"double": 2, "triple": 3}
_NOUGHT = frozenset({"oh", "o", "nought", "naught"})
# Words that alone rarely mean a number; "1.2 million" is left to who reads figures.
_HARDLY_NUMBERS = frozenset({"one", "first", "second", *_NOUGHT, *_TIMES, *_SCALES})

_WORD = "|".join(sorted({*_VALUES, *_TIMES, *_NOUGHT}, key=len, reverse=True))
_A = r"a(?=\s+(?:hundred|thousand|million|billion|dozen)\b)"
_RUN = re.compile(rf"\b(?:{_A}|{_WORD})\b(?:(?:[\s,-]+(?:and\s+)?)(?:{_A}|{_WORD})\b)*")
_HAN_RUN = re.compile("[〇零一二两兩三四五六七八九十百千万萬]{2,}")


def in_figures(text: str) -> str:
    """Return case-folded `text` with its numbers in figures, `25th` and `twenty-fifth` as `25`.

    Digits read out one by one are put together, years read out in pairs too.

    >>> in_figures("the third of march, nineteen eighty-seven; two hundred and fifty")
    'the 3 of march, 1987; 250'
    >>> in_figures("zero seven seven double oh nine, a 21st")
    '077009, a 21'
    """
    text = "".join(
        str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in text
    )
    text = _HAN_RUN.sub(lambda run: _han(run[0]), text)
    text = re.sub(r"\bone point\b", "1 point", text)
    text = _RUN.sub(lambda run: _figures(run[0]), text)
    text = re.sub(r"\b(\d+)(?:st|nd|rd|th)\b", r"\1", text)
    return re.sub(
        r"\b(\d+) point (\d+(?: \d\b)*)", lambda m: f"{m[1]}.{m[2].replace(' ', '')}", text
    )


def _figures(run: str) -> str:
    words = re.findall(r"[a-z]+", run)
    if len(words) == 1 and words[0] in _HARDLY_NUMBERS:
        return run
    digits = _read_out(words)
    if digits:
        return digits
    numbers = _cardinals(words)
    return " ".join(numbers) if numbers else run


def _read_out(words: list[str]) -> str:
    """Return digits read out one by one, three or more; "" if some word is another number."""
    digits, times = "", 1
    for word in words:
        if word in _TIMES:
            times = _TIMES[word]
            continue
        value = 0 if word in _NOUGHT else _VALUES.get(word, 10)
        if value > 9:
            return ""
        digits += str(value) * times
        times = 1
    return digits if len(digits) > 2 else ""


def _cardinals(words: list[str]) -> list[str]:
    """Return the numbers that words in a row make: "eighty-five thousand" one, "five, six" two."""
    numbers: list[int] = []
    high, low = 0, -1  # thousands and more, and the number below; -1 where there is none yet
    for word in words:
        if word in ("and", "a") or word in _TIMES:
            continue
        value = 0 if word in _NOUGHT else _VALUES[word]
        if value >= 1000:
            high, low = high + (low if low > 0 else 1) * value, -1
        elif value == 100 and 0 < low < 100:
            low *= 100
        elif low < 0 or _adds(low, value):
            low = max(low, 0) + value
        else:
            numbers.append(high + low)
            high, low = 0, value
    if high or low >= 0:
        numbers.append(high + max(low, 0))
    return [str(number) for number in _years(numbers)]


def _adds(low: int, value: int) -> bool:
    """Return whether a word goes on with a number: "seven" after "eighty", not after "six"."""
    if low <= 0 or value <= 0:
        return False
    return (value < 100 and low % 100 == 0) or (value < 10 and low % 10 == 0 and low % 100 >= 20)


def _years(numbers: list[int]) -> list[int]:
    """Put together the halves of years: 19 and 87, or 19, 0 and 4."""
    found: list[int] = []
    for number in numbers:
        if found and 10 <= found[-1] <= 21 and 10 <= number <= 99:
            found[-1] = found[-1] * 100 + number
        elif len(found) > 1 and 10 <= found[-2] <= 21 and found[-1] == 0 and number < 10:
            found[-2:] = [found[-2] * 100 + number]
        else:
            found.append(number)
    return found


def _han(run: str) -> str:
    """Return a number in Chinese characters in figures: "八十八" is 88, "一九八七" 1987."""
    values = [int(unicodedata.numeric(c)) if c not in "两兩" else 2 for c in run]
    if all(value < 10 for value in values):
        return "".join(map(str, values))
    total, section, digit = 0, 0, 0
    for value in values:
        if value < 10:
            digit = value
        elif value < 10_000:
            section, digit = section + (digit or 1) * value, 0
        else:
            total, section, digit = total + (section + digit or 1) * value, 0, 0
    return str(total + section + digit)
