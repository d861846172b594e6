"""Identifiers in a text: e-mail addresses, links, dates, phone numbers, codes, numbers, initials.

Each has canonical forms, the same however it is written, so that a text can be asked whether it
gives away what another one holds: a date in words, digits spaced or spelled, "at" for @.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from relearn.text.numbers import in_figures
from relearn.text.words import folded_line

_MONTHS = "january february march april may june july august september october november december"
_MONTH_OF = {
    name: number
    for number, month in enumerate(_MONTHS.split(), 1)
    for name in (month, month[:3], month[:4])
}
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTH_OF, key=len, reverse=True))})\b\.?"
_DAY, _YEAR = r"(?P<day>\d{1,2})(?!\d)", r"(?P<year>\d{4})(?!\d)"
_SEPARATED = r"(?<![\d.]){}\s?[-/.年]\s?{}\s?[-/.月]\s?{}(?!\d|\.\d)"
_Y, _M, _D = r"(?P<year>\d{4})", r"(?P<month>\d{1,2})", r"(?P<day>\d{1,2})"
_DATES = [
    re.compile(pattern)
    for pattern in (
        _SEPARATED.format(_Y, _M, _D),
        _SEPARATED.format(_D, _M, r"(?P<year>\d{4}|\d{2})"),
        rf"(?<!\d){_D}(?:\s?(?:day )?of\s?|[\s-]+){_MONTH}(?:,?[\s-]+(?:of |in )?{_YEAR})?",
        rf"(?:(?<!\d){_YEAR}[\s,-]+)?\b{_MONTH}[\s-]+(?:the )?{_DAY}"
        r"(?:,?\s+(?:of |in )?(?P<later>\d{4})(?!\d))?",
    )
]
# "First" and "second" are no numbers elsewhere.
_FIRST_OF = re.compile(rf"\b(first|second)(?=(?: day)? of (?:{_MONTH.replace('?P<month>', '?:')}))")
_MONTH_FIRST = re.compile(rf"(\b{_MONTH.replace('?P<month>', '?:')} (?:the )?)(first|second)\b")

_BRACKETED = r"\s*[(\[{<]\s*%s\s*[)\]}>]\s*"
_DOT = re.compile(rf"{_BRACKETED % '(?:dot|[.])'}|(?<=\w)\s+(?:dot|[.])\s+(?=\w)")
_SIGN_OF = {"underscore": "_", "hyphen": "-", "dash": "-", "slash": "/", "plus": "+"}
_SIGN = re.compile(rf" ({'|'.join(_SIGN_OF)}) ")
_DOMAIN = r"[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"
_SIGNED = rf"(?:{_BRACKETED % '(?:at|@)'}|\s+at\s+|\s*@\s*)"
# In "reach her at robin.hale@mail.org" the first "at" is a word.
_AT = re.compile(rf"{_SIGNED}(?={_DOMAIN})(?![\w.+-]{{1,64}}{_SIGNED}{_DOMAIN})")
_EMAIL = re.compile(rf"[\w.+-]{{1,64}}@{_DOMAIN}")
_LINK = re.compile(r"(?:https?://(?:www\.)?|www\.)([\w.-]+[^\s<>\"']*)")
# Characters spaced or hyphenated one by one: K-7-Q.
_SPACED = re.compile(r"(?<![^\W_])[^\W_](?:[\s.-]{1,2}[^\W_](?![^\W_])){3,}")
_DIGITS = re.compile(r"\+?(?:\d|\(\d{1,5}\))(?:[\s()./-]{0,3}\d){6,}")
_LONG, _TAIL = 7, 9  # digits of a phone number at least; those that are the same from anywhere
_GROUPED = re.compile(
    r"(?<![\d.,])(\d{1,3}(?:([,.'\u2019 ])\d{3})(?:\2\d{3})*)(?!\d)([.,]\d{1,2}(?!\d))?"
)
_NUMBER = re.compile(r"\d{1,30}(?:[.,]\d{1,30})?")
_SCALED = re.compile(r"(\d{1,30}(?:[.,]\d{1,30})?)\s?(k|thousand|million|mn|billion|bn)\b")
_SCALES = {"k": 3, "thousand": 3, "million": 6, "mn": 6, "billion": 9, "bn": 9}

_CODE = re.compile(r"[^\W_]+(?:[-_:./][^\W_]+)*")
_SPACED_CODE = re.compile(r"\b[A-Z0-9]{1,5}(?: [A-Z0-9]{1,5})+\b")
_QUANTITY = re.compile(
    r"\d+(?:st|nd|rd|th|s|k|m|am|pm|km|kg|cm|mg|ml|mm|g|h|kb|mb|gb|mph|kmh|yo|bn|mn|年|月|日|号|歳|岁)"
)

_TITLES = "Dr Prof Mr Mrs Ms Miss Sir Dame Her His The A An My Our Their".split()
_CAPITAL = "[A-Z\u00c0-\u00d6\u00d8-\u00de\u0391-\u03a9\u0410-\u042f]"
_NAME = re.compile(rf"(?:{_CAPITAL}[\w'\u2019]+[ -]){{1,4}}{_CAPITAL}[\w'\u2019]+")
_INITIALS = re.compile(
    rf"\b(?:{_CAPITAL}(?:\.[ -]?|[ -](?={_CAPITAL}\b))){{1,4}}{_CAPITAL}\b|\b{_CAPITAL}{{3,5}}\b"
)


@dataclass(frozen=True)
class Identifier:
    """Something by which a person or a thing is known.

    Attributes:
        kind: `email`, `link`, `date`, `digits` (a phone or account number), `code`, `number` or
            `name`, whose forms are its initials.
        text: As it is in the text, folded, numbers in figures.
        forms: Canonical, each beginning with the kind; several where it can be read in several
            ways, as 3/4/1987.
    """

    kind: str
    text: str
    forms: frozenset[str]

    @property
    def identifies(self) -> bool:
        """Whether it alone tells something private; a small number or a year does not."""
        if self.kind != "number":
            return self.kind != "name"
        value = float(min(self.forms).partition(":")[2])
        return value >= 1000 and not 1000 <= value <= 2100


def identifiers(text: str) -> set[str]:
    """Return the canonical forms of all identifiers in a text.

    >>> sorted(identifiers("Born on March 3rd, 1987; robin dot hale at mail dot org"))
    ['date:1987-03-03', 'email:robin.hale@mail.org']
    """
    return {
        form for found in find_identifiers(text) if found.kind != "name" for form in found.forms
    }


def tells(text: str, identifier: Identifier, *, parts: bool = False) -> bool:
    """Return whether a text has an identifier, however it is written.

    Args:
        text: The text in question.
        identifier: What is private.
        parts: Whether a part is enough: day and month of a date, the first or last four digits
            of a long number.
    """
    told = _told(text)
    for form in identifier.forms:
        kind, _, value = form.partition(":")
        if form in told.forms or (kind == "code" and value in told.squeezed):
            return True
        if kind == "digits" and (value in told.digits or (parts and _has_part(told, value))):
            return True
        if kind == "date" and parts and f"date:-{value[4:]}" in told.forms:
            return True
    return False


def _has_part(told: "_Told", digits: str) -> bool:
    return any(run in (digits[:4], digits[-4:]) for run in told.runs)


@dataclass(frozen=True)
class _Told:
    """A text as it is searched.

    Attributes:
        forms: Canonical forms of what it has, and of what these contain.
        squeezed: Its letters and digits.
        digits: Its digits.
        runs: Its runs of digits.
    """

    forms: frozenset[str]
    squeezed: str
    digits: str
    runs: frozenset[str]


@lru_cache(maxsize=4096)
def _told(text: str) -> _Told:
    forms = {form for one in find_identifiers(text) if one.kind != "name" for form in one.forms}
    # Day and month of a date with a year; numbers within other identifiers.
    forms |= {f"date:-{form[9:]}" for form in forms if re.match(r"date:\d", form)}
    plain = _readable(text)
    # Those of seven figures and more may be read as digits too.
    values = {value for _, found in _numbers(plain) for value in found}
    forms |= {f"{kind}:{value}" for value in values for kind in ("number", "digits")}
    for match in _INITIALS.finditer(unicodedata.normalize("NFKC", text)):
        forms.add("initials:" + "".join(filter(str.isalpha, match[0])).casefold())
    return _Told(
        frozenset(forms),
        "".join(filter(str.isalnum, plain)),
        "".join(filter(str.isdigit, plain)),
        frozenset(re.findall(r"\d+", plain)),
    )


@lru_cache(maxsize=4096)
def find_identifiers(text: str) -> tuple[Identifier, ...]:
    """Return the identifiers of a text, kind by kind; no part of it belongs to two."""
    given, plain = unicodedata.normalize("NFKC", text), _readable(text)
    found: list[Identifier] = []
    for kind, pattern, read in _KINDS:
        rest, end = "", 0
        for match in pattern.finditer(plain):
            if forms := read(match):
                found.append(_identifier(kind, match[0], forms))
                rest, end = f"{rest}{plain[end : match.start()]} | ", match.end()
        plain = rest + plain[end:]
    found += [_identifier("number", part, forms) for part, forms in _numbers(plain)]
    found += [
        Identifier("code", match[0].casefold(), frozenset(f"code:{code}" for code in codes))
        for match in _SPACED_CODE.finditer(given)
        if (codes := _spaced_code(match))
    ]
    for match in _NAME.finditer(given):
        if letters := _initials_of(match[0]):
            found.append(Identifier("name", match[0].casefold(), letters))
    return tuple(found)


def _identifier(kind: str, text: str, forms: set[str]) -> Identifier:
    return Identifier(kind, text, frozenset(f"{kind}:{form}" for form in forms))


def _readable(text: str) -> str:
    """Return a text folded, signs in words as signs, spelled words put together, in figures."""
    plain = folded_line(text)
    plain = _AT.sub("@", _DOT.sub(".", plain))
    plain = _SIGN.sub(lambda match: _SIGN_OF[match[1]], plain)
    plain = _FIRST_OF.sub(lambda match: "12"["fs".index(match[1][0])], plain)
    plain = _MONTH_FIRST.sub(lambda match: match[1] + "12"["fs".index(match[2][0])], plain)
    plain = _SPACED.sub(lambda match: "".join(filter(str.isalnum, match[0])), plain)
    return in_figures(plain)


def _dates(match: re.Match[str]) -> set[str]:
    parts = match.groupdict()
    month, day = parts["month"], int(parts["day"])
    year = parts.get("year") or parts.get("later")
    years = [year or "-"] if year is None or len(year) == 4 else [f"19{year}", f"20{year}"]
    if not month.isdigit():
        orders = {(_MONTH_OF[month], day)}
    elif match.re is _DATES[1]:
        orders = {(int(month), day), (day, int(month))}
    else:
        orders = {(int(month), day)}
    return {
        f"{year}-{month:02}-{day:02}"
        for year in years
        for month, day in orders
        if 1 <= month <= 12 and 1 <= day <= 31
    }


def _digit_forms(match: re.Match[str]) -> set[str]:
    digits = "".join(filter(str.isdigit, match[0]))
    return {digits[-_TAIL:]} if len(digits) >= _LONG else set()


def _code(match: re.Match[str]) -> set[str]:
    """Return what mixes letters and digits as keys and serial numbers do; 2-year-old does not."""
    groups = re.findall(r"[a-z0-9]+", match[0])
    whole = "".join(groups)
    digits = sum(map(str.isdigit, whole))
    mixed = [
        g for g in groups if not g.isdigit() and not g.isalpha() and not _QUANTITY.fullmatch(g)
    ]
    if not match[0].isascii() or digits in (0, len(whole)):
        return set()
    if len(groups) == 1:
        return {whole} if mixed and digits > 1 and len(whole) > 3 else set()
    short = all(len(group) <= 3 for group in groups if group.isalpha())
    return {whole} if digits > 2 and len(whole) > 5 and (mixed or short) else set()


def _spaced_code(match: re.Match[str]) -> set[str]:
    whole = match[0].casefold().replace(" ", "")
    digits = sum(map(str.isdigit, whole))
    return {whole} if 1 < digits < len(whole) and len(whole) > 5 else set()


def _numbers(text: str) -> list[tuple[str, set[str]]]:
    """Return the numbers of a text: as they are there, and by value."""
    found: list[tuple[str, set[str]]] = []

    def take(match: re.Match[str], *values: Decimal) -> str:
        found.append((match[0], {f"{value.normalize():f}" for value in values}))
        return " | "

    def scaled(match: re.Match[str]) -> str:
        return take(match, Decimal(match[1].replace(",", ".")) * 10 ** _SCALES[match[2]])

    def grouped(match: re.Match[str]) -> str:
        whole = Decimal(re.sub(r"\D", "", match[1]) + (match[3] or "").replace(",", "."))
        # In some countries the dot of 85.000 is a decimal point.
        once = match[2] == "." and match[1].count(".") == 1
        return take(match, whole, *([Decimal(match[1])] if once else []))

    text = _SCALED.sub(scaled, text)
    text = _GROUPED.sub(grouped, text)
    for match in _NUMBER.finditer(text):
        take(match, Decimal(match[0].replace(",", ".")))
    return found


def _initials_of(name: str) -> frozenset[str]:
    words = [word for word in re.split("[ -]", name) if word not in _TITLES]
    if len(words) < 2:
        return frozenset()
    letters = "".join(word[0] for word in words).casefold()
    return frozenset({f"initials:{letters}", f"initials:{letters[0]}{letters[-1]}"})


_KINDS: list[tuple[str, re.Pattern[str], Callable[[re.Match[str]], set[str]]]] = [
    ("email", _EMAIL, lambda match: {match[0].strip(".-")}),
    ("link", _LINK, lambda match: {match[1].rstrip("/.,;:!?)")}),
    *(("date", pattern, _dates) for pattern in _DATES),
    ("code", _CODE, _code),
    ("digits", _DIGITS, _digit_forms),
]
