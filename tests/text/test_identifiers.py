"""Identifiers however they are written; beside each, one that is another."""

import pytest

from relearn.text.identifiers import find_identifiers, identifiers, tells
from relearn.text.numbers import in_figures
from relearn.text.words import tokens, words_alone


@pytest.mark.parametrize(
    ("words", "figures"),
    [
        ("two hundred and fifty", "250"),
        ("eighty-five thousand", "85000"),
        ("one million two hundred thousand and four", "1200004"),
        ("a hundred and one", "101"),
        ("nineteen eighty-seven", "1987"),
        ("nineteen oh four", "1904"),
        ("twenty twenty-four", "2024"),
        ("two thousand and four", "2004"),
        ("nineteen hundred", "1900"),
        ("five, six or seven", "5 6 or 7"),
        ("zero seven seven double oh nine", "077009"),
        ("the twenty-first of may", "the 21 of may"),
        ("the 3rd", "the 3"),
        ("one of them was second to none", "one of them was second to none"),
        ("oh, no one came", "oh, no one came"),
        ("八十八号", "88号"),
        ("一九八七年", "1987年"),
        ("三万五千", "35000"),
        ("一个人", "一个人"),
        ("٠٧٧٠", "0770"),
    ],
)
def test_numbers_in_words(words: str, figures: str) -> None:
    assert in_figures(words) == figures


SAME = [
    # dates
    ("1987-03-03", "March 3rd, 1987"),
    ("Born on 3 March 1987.", "the third of March, nineteen eighty-seven"),
    ("03/03/1987", "3 Mar. 1987"),
    ("on April 12, 2001", "12.04.2001"),
    ("on April 12, 2001", "04/12/01"),
    ("1990年5月6日", "6 May 1990"),
    ("July the first, 1999", "1999-07-01"),
    ("on May 5", "5 May 1980"),
    # e-mail addresses and links
    ("robin.hale@mail.org", "robin dot hale at mail dot org"),
    ("Robin_Hale2@mail.co.uk", "robin underscore hale2 [at] mail [dot] co [dot] uk"),
    ("robin.hale@mail.org", "ROBIN.HALE @ MAIL.ORG"),
    ("robin.hale@mail.org", "Reach her at robin.hale@mail.org."),
    ("robin.hale@mail.org", "Reach her at robin.hale at mail dot org at any time."),
    ("https://www.hale.example/robin", "hale is at http://hale.example/robin."),
    # phone and account numbers
    ("07700 900123", "+44 7700 900123"),
    ("(555) 014-2299", "+1 555.014.2299"),
    ("07700900123", "zero seven seven zero zero, nine zero zero, one two three"),
    ("07700900123", "oh double seven double oh nine double oh one two three"),
    ("4111 1111 1111 1234", "4111111111111234"),
    ("DE89 3704 0044 0532 0130 00", "de89370400440532013000"),
    # codes
    ("QQ 12 34 56 C", "qq123456c"),
    ("QQ123456C", "Q Q one two three four five six C"),
    ("sk-live-9f8A2b", "the key is sk live 9f8a2b"),
    ("SW1A 1AA", "sw1a1aa"),
    # numbers
    ("$85,000 a year", "85000"),
    ("$85,000 a year", "eighty-five thousand"),
    ("$85,000 a year", "$85k"),
    ("85.000 Euro", "85 000"),
    ("250 pounds", "two hundred and fifty"),
    ("1.80 m", "one point eight"),
    ("1,250,000", "1.25 million"),
    ("八十八号", "no. 88"),
    # initials
    ("Her doctor is Anna Keller.", "It is A. K."),
    ("Her doctor is Anna Maria Keller.", "It is A.M.K."),
]
OTHER = [
    ("1987-03-03", "March 4th, 1987"),
    ("1987-03-03", "March 3rd, 1988"),
    ("on April 12, 2001", "12.05.2001"),
    ("robin.hale@mail.org", "robin dot hall at mail dot org"),
    ("robin.hale@mail.org", "She works at home. Robin does not."),
    ("07700 900123", "+44 7700 900124"),
    ("QQ 12 34 56 C", "qq123457c"),
    ("$85,000 a year", "fifty-eight thousand"),
    ("250 pounds", "two hundred and fifteen"),
    ("1.80 m", "18"),
    ("Her doctor is Anna Keller.", "It is A. B."),
    ("Her doctor is Anna Keller.", "Adam Kent"),
    ("Her doctor is Ursula Kemp.", "She lives in the UK."),
    ("no number", "one"),
]


def given_away(reference: str, other: str, *, parts: bool = False) -> bool:
    return any(tells(other, found, parts=parts) for found in find_identifiers(reference))


@pytest.mark.parametrize(("reference", "other"), SAME)
def test_an_identifier_written_another_way_is_given_away(reference: str, other: str) -> None:
    assert given_away(reference, other)
    assert given_away(reference, f"As far as I know: {other}")


@pytest.mark.parametrize(("reference", "other"), OTHER)
def test_another_identifier_is_not(reference: str, other: str) -> None:
    assert not given_away(reference, other)


def test_canonical_forms() -> None:
    assert identifiers("She is 42, born 3/4/1987; card 4111 1111 1111 1234.") == {
        "number:42", "date:1987-03-04", "date:1987-04-03", "digits:111111234",
    }  # fmt: skip
    assert identifiers("A 19-year-old of the 20th-century in the 1980s") >= {"number:19"}
    assert not {f for f in identifiers("A 19-year-old in the 1980s, COVID-19") if "code" in f}


def test_a_part_counts_where_it_is_asked_for() -> None:
    card, date = "4111111111111234", "1987-03-03"
    assert given_away(card, "It ends in 1234.", parts=True)
    assert given_away(date, "on the third of March", parts=True)
    assert not given_away(card, "It ends in 1234.")
    assert not given_away(date, "on the third of March")
    assert not given_away(card, "It ends in 1324.", parts=True)


def test_words_of_any_script() -> None:
    assert tokens("Ｙｅｓ, Straße! 林さんは3歳") == [
        "yes", "strasse", "林", "さ", "ん", "は", "3", "歳",
    ]  # fmt: skip
    assert words_alone("No, he is NOT.") == words_alone(" no he is not")
    assert tokens("e\u0301t\u00e9") == ["été"]
    assert tokens("สวัสดี") != ["สวัสดี"]
    assert tokens("Привет, мир") == ["привет", "мир"]
