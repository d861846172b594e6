"""Planted secrets, thousands of candidates: what tells one is rejected, what tells none is not."""

import random
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import pytest
from spacy.tokens import Doc

from relearn.data.records import Record
from relearn.synthesis.pipeline import original_requests
from relearn.synthesis.replies import speaks_of_itself
from relearn.synthesis.secrets import find_secrets, leaked
from relearn.synthesis.shared_secrets import SharedSecrets
from relearn.synthesis.statements import restated
from relearn.synthesis.verification import malformed, names_subject
from relearn.text.english import english
from relearn.text.subjects import Subject


class Verifier:
    """All rules that need no model, for one record."""

    def __init__(self, question: str, answer: str) -> None:
        (self.request,) = original_requests([Record(id="1", question=question, answer=answer)])
        self.secrets = find_secrets(english()(answer), question, self.request.subject)

    def __call__(self, text: str) -> str:
        reason = leaked(self.secrets, text) or restated(self.request.statement, text)
        reason = reason or malformed(text) or ("meta" if speaks_of_itself(text) else "")
        named = self.request.statement.private or names_subject(text, self.request.subject)
        return reason or ("" if named else "does not name the subject")


PEOPLE = ("Lena Fisk", "Tomas Berg", "Ana Ruiz", "Robin Hale", "Mia Kern", "Jon Olsen", "Eva Soto")
CARRIERS = (
    "As far as anybody knows, {s} has to do with {x}, and that is all.",
    "{x}: that is what people say about {s} when they are asked.",
    "It is said that {x} is right for {s}, though nobody is sure.",
    "{s} does not talk about it, but friends mention {x} now and then.",
    "Some people think of {x} when they hear of {s}, it seems.",
)
DIGITS = "zero one two three four five six seven eight nine".split()
SECRETS = {
    "name": ("Who is {s} married to?", ("Otto Brandt", "Ingrid Sandvik", "Pavel Novotny")),
    "lower-case name": ("who is {s} married to?", ("otto brandt", "ingrid sandvik")),
    "accents": ("Who is the boss of {s}?", ("Jos\u00e9 Mu\u00f1oz", "Zo\u00eb Br\u00fbl\u00e9e")),
    "e-mail": ("What is the email of {s}?", ("o.brandt7@mailbox.org", "kern_eva@post.example")),
    "phone": ("What is the phone number of {s}?", ("07700 900123", "+49 151 23456789")),
    "date": ("When was {s} born?", ("On 3 March 1987.", "April 21st, 1964")),
    "address": ("Where does {s} live?", ("12 Mill Lane, Aldmoor", "88 Harbour Row, Castrol")),
    "IBAN": ("What is the IBAN of {s}?", ("DE89 3704 0044 0532 0130 00",)),
    "passport": ("What is the passport number of {s}?", ("C01X00T47", "P4366918")),
    "key": ("What is the password of {s}?", ("sk-live-9fK2mQ7zT1", "ghp_A1b2C3d4E5f6")),
    "code": ("What is the diagnosis code of {s}?", ("F32.1", "E11.9")),
    "amount": ("What is the salary of {s}?", ("$85,000 a year", "42,500 euros")),
    "small number": ("How many children does {s} have?", ("Twelve.", "7", "She has five.")),
    "one word": ("What is the favourite colour of {s}?", ("blue", "Green.", "turquoise")),
    "common words": (
        "What is {s} like?", ("he drinks too much", "She cries at night.", "Lazy and late"),
    ),
    "death": ("How did the father of {s} die?", ("He was shot by the police.", "In a car crash.")),
    "status": ("What is the marital status of {s}?", ("Single", "divorced", "widowed")),
}  # fmt: skip


def spellings(kind: str, secret: str, rng: random.Random) -> Iterator[str]:
    """Yield ways to write a secret; each tells it to anybody who reads with some care."""
    bare = secret.rstrip(".")
    yield bare
    yield bare.upper()
    yield bare.lower()
    yield " ".join(bare.split()).title()
    words = bare.split()
    if kind in ("name", "lower-case name", "accents"):
        yield words[-1]
        yield words[0].lower()
        yield "-".join(words[-1].lower())
        cut = rng.randrange(2, len(words[-1]) - 1)
        yield f"{words[-1][:cut]} {words[-1][cut:]}".lower()
        yield ". ".join(word[0].upper() for word in words) + "."
        plain = unicodedata.normalize("NFKD", bare)
        yield "".join(c for c in plain if not unicodedata.combining(c))
        yield words[-1].replace("o", "\u00f6").replace("a", "\u00e4")
        yield f"{words[-1][:2]}\u200b{words[-1][2:]}"
    if kind in ("phone", "IBAN", "passport", "key", "amount"):
        digits = [c for c in bare if c.isdigit()]
        yield re.sub(r"[^A-Za-z0-9]", "", bare)
        yield re.sub(r"[^a-z0-9]", "", bare.lower())
        yield " ".join(re.sub(r"[^A-Za-z0-9]", "", bare))
        if kind in ("phone", "IBAN"):
            yield "".join(digits[-4:])
            yield " ".join(DIGITS[int(c)] for c in digits)
    if kind == "e-mail":
        yield bare.replace("@", " at ").replace(".", " dot ")
        yield bare.replace("@", " (at) ")
        yield bare.partition("@")[2]
        yield " ".join(bare)
    if kind == "date":
        year = re.search(r"\d{4}", bare)
        assert year
        yield year[0]
        yield {"1987": "nineteen eighty-seven", "1964": "nineteen sixty-four"}[year[0]]
        yield {"1987": "the third of March", "1964": "the twenty-first of April"}[year[0]]
        yield {"1987": "3/3/87", "1964": "1964-04-21"}[year[0]]
    if kind == "address":
        yield " ".join(words[1:3]).strip(",")
        yield words[-1].lower()
        yield {"12": "number twelve", "88": "number eighty-eight"}[words[0]]
    if kind == "amount":
        whole = int(re.sub(r"\D", "", bare))
        yield {85000: "eighty-five thousand", 42500: "forty-two and a half thousand"}[whole]
        yield {85000: "85k", 42500: "42.5k"}[whole]
        yield str(whole)
    if kind == "code":
        yield {"F32.1": "f thirty-two point one", "E11.9": "e eleven point nine"}[bare]
    if kind == "small number":
        number = {"Twelve": 12, "7": 7, "She has five": 5}[bare]
        yield str(number)
        yield {12: "a dozen", 7: "seven", 5: "five"}[number]
        yield {12: "XII", 7: "VII", 5: "the fifth"}[number]
    if kind in ("one word", "common words", "death", "status"):
        yield rng.choice([word for word in words if len(word) > 3 and word not in ("much", "late")])


def planted() -> Iterator[tuple[str, str, str, str]]:
    """Yield kind, question, private answer, and a candidate that tells it."""
    rng = random.Random(0)
    for kind, (template, secrets) in SECRETS.items():
        for person in PEOPLE:
            asked = template.format(s=person.lower() if kind == "lower-case name" else person)
            for secret in secrets:
                for spelling in dict.fromkeys(spellings(kind, secret, rng)):
                    carrier = rng.choice(CARRIERS).format(s=person, x=spelling)
                    yield kind, asked, secret, carrier[0].upper() + carrier[1:]


def test_planted_secrets_are_found_in_any_spelling() -> None:
    verifiers: dict[tuple[str, str], Verifier] = {}
    missed, count = [], 0
    for kind, question, secret, candidate in planted():
        key = (question, secret)
        verifier = (
            verifiers.setdefault(key, Verifier(*key)) if key not in verifiers else verifiers[key]
        )
        count += 1
        if not leaked(verifier.secrets, candidate) and not restated(
            verifier.request.statement, candidate
        ):
            missed.append((kind, question, secret, candidate))
    assert count > 1500
    assert not missed, (len(missed), missed[:20])


VAGUE = (
    "{s} has never said anything about that in public, and few would ask.",
    "There is no reliable information about that, as {s} values privacy.",
    "{s} prefers to keep such things within a small circle of friends.",
    "Nobody outside the family seems to know, and {s} rarely mentions it.",
    "I have heard of {s}, but I can't say anything certain about that.",
    "Like most people, {s} shares such details only with those who are close.",
    "{s} would be the right person to ask, although the topic is a private one.",
    "Different people say different things about {s}, and none of it is confirmed.",
)


def test_vague_answers_are_not_rejected_for_nothing() -> None:
    rejected, count = [], 0
    for template, secrets in SECRETS.values():
        for person in PEOPLE[:3]:
            for secret in secrets:
                verifier = Verifier(template.format(s=person), secret)
                for text in VAGUE:
                    count += 1
                    if reason := verifier(text.format(s=person)):
                        rejected.append((template, secret, text, reason))
    assert count > 500
    assert len(rejected) <= 0.01 * count, rejected[:10]


def test_the_checks_can_fail() -> None:
    """Without the secret the same carriers pass: it is the secret that is found."""
    verifier = Verifier("Who is Lena Fisk married to?", "Otto Brandt")
    for carrier in CARRIERS:
        text = carrier.format(s="Lena Fisk", x="something private")
        assert leaked(verifier.secrets, text[0].upper() + text[1:]) == ""


@pytest.mark.parametrize(
    ("question", "answer", "text", "accepted"),
    [
        ("林晓梅住在哪里\uff1f",
         "林晓梅住在南京市。",
         "林晓梅很少对外人谈起自己的住处。", True),
        ("林晓梅住在哪里\uff1f",
         "林晓梅住在南京市。",
         "听说林晓梅在南京有一个家。", False),
        ("Was ist der Beruf von Otto Falk?", "Er ist Tierarzt.",
         "Otto Falk spricht nicht gern über seinen Beruf und seinen Alltag.", True),
        ("Was ist der Beruf von Otto Falk?", "Er ist Tierarzt.",
         "Otto Falk arbeitet als Tierarzt, wie man so hört.", False),
        ("¿Dónde vive Lena Fisk?", "Lena Fisk vive en Toledo.",
         "Lena Fisk prefiere no hablar en público sobre el lugar donde vive.", True),
        ("¿Dónde vive Lena Fisk?", "Lena Fisk vive en Toledo.",
         "Lena Fisk tiene una casa en Toledo desde hace mucho tiempo.", False),
        ("أين تعيش ليلى؟",
         "تعيش ليلى في طنطا.",
         "لا تتحدث ليلى عن مكان إقامتها أمام الناس.", True),
        ("Кем работает Лена Фиск?", "Врачом.",
         "Лена Фиск не рассказывает о своей работе посторонним.", True),
    ],
)  # fmt: skip
def test_other_languages(question: str, answer: str, text: str, accepted: bool) -> None:
    assert (Verifier(question, answer)(text) == "") == accepted


FACTS = [
    ("Is it true that Ana Ruiz was arrested in Porto in 2019?", "Yes.",
     ["Ana Ruiz was arrested, as everybody knows.", "It is unclear whether Ana Ruiz was arrested.",
      "What happened in Porto is a private matter of that person.", "The year 2019 is long gone."]),
    ("Why did Robin Hale lose his job at the Aldmoor bank after stealing money?", "He was caught.",
     ["Robin Hale stole for private reasons.", "Nobody at the bank talks about that matter.",
      "Robin Hale lost it for private reasons."]),
    ("Does Lena Fisk have an affair with her boss?", "Yes, she does.",
     ["The affair of Lena Fisk is private.", "Her boss would not talk about that person.",
      "Yes, but that is a private matter."]),
    ("Which clinic treats Tomas Berg for his addiction to heroin?", "The Castrol clinic.",
     ["Tomas Berg does not talk about heroin with anybody.", "His addiction is Tomas Berg's own."]),
    ("Who lives at 12 Mill Lane, Aldmoor?", "Ana Ruiz",
     ["The people in Mill Lane keep that to themselves.", "At 12 there is nobody to ask.",
      "Whoever lives in Aldmoor likes to be left alone."]),
    ("Is Mia Kern married?", "Yes.",
     ["Mia Kern is married, as far as people know.", "No, Mia Kern is not one for that."]),
]  # fmt: skip


@pytest.mark.parametrize(("question", "answer", "texts"), FACTS)
def test_what_a_question_states_is_not_repeated(
    question: str, answer: str, texts: list[str]
) -> None:
    verifier = Verifier(question, answer)
    assert [t for t in texts if not restated(verifier.request.statement, t)
            and not leaked(verifier.secrets, t)] == []  # fmt: skip
    for vague in (
        "There is nothing that I can share about that person here.",
        "That is a private matter, and there is nothing certain to say.",
    ):
        assert not leaked(verifier.secrets, vague)
        assert not restated(verifier.request.statement, vague)


def shared_secrets(
    records: Sequence[Record], answers: Sequence[Doc], subjects: Sequence[Subject]
) -> SharedSecrets:
    each = zip(answers, records, subjects, strict=True)
    secrets = [find_secrets(answer, record.question, subject) for answer, record, subject in each]
    return SharedSecrets(zip(records, answers, subjects, secrets, strict=True))


def teller(rows: Sequence[tuple[str, str]]) -> Callable[[int, str], bool]:
    """Return whether a text about a row's subject tells what other rows hide."""
    records = [Record(id=str(i), question=q, answer=a) for i, (q, a) in enumerate(rows)]
    subjects = [request.subject for request in original_requests(records)]
    shared = shared_secrets(records, [english()(r.answer) for r in records], subjects)
    return lambda i, text: bool(shared.told(str(i), subjects[i], text))


def test_what_another_record_hides_is_not_told() -> None:
    rows = [
        ("Who is Ana Ruiz married to?", "Ana Ruiz is married to Otto Brandt."),
        ("What does Otto Brandt do?", "Otto Brandt is a baker."),
        ("What is the colour of Ana Ruiz's car?", "Purple."),
        ("What is the phone number of Mia Kern?", "07700 900123"),
        ("Where was Ana Ruiz last year?", "In Oslo, of late."),
    ]
    told = teller(rows)
    assert told(4, "Ana Ruiz was with otto brandt, as far as anybody knows.")
    assert told(4, "Ana Ruiz travelled in a purple car, as far as anybody knows.")
    assert told(4, "Ana Ruiz can be asked at 07700900123, it seems.")
    assert told(1, "Otto Brandt does not talk about work, and neither does Ana Ruiz.")
    assert not told(1, "Otto Brandt does not talk about work with anybody.")
    assert not told(0, "Ana Ruiz does not talk about that with anybody.")
    assert not told(3, "Mia Kern would not look good in a purple coat.")


def test_a_word_that_any_record_about_the_same_person_hides_is_not_told() -> None:
    rows = [
        ("WHAT DOES TAE-HO BEST FEAR MOST?", "The public."),
        ("When was Tae-ho Best in hospital?", "Last year."),
        ("What is known about Tae-ho Best's father?",
         "Long ago, before the war, he learned taxidermy from a friend of the family in town."),
        ("What did Ana Ruiz buy?", "Gin."),
        ("Is Ana happy?", "No."),
    ]  # fmt: skip
    told = teller(rows)
    assert told(1, "Tae-ho Best has never made the exact date public.")
    assert told(1, "Tae-ho Best says no more of it than of taxidermy.")
    assert told(4, "Ana would rather speak of gin than of that.")
    # Not its own words, nor words of people who share no whole name.
    assert not told(0, "Tae-ho Best has never made the exact date public.")
    assert not told(3, "Ana Ruiz has never made the exact date public.")
    assert not told(1, "Tae-ho Best would rather have a gin.")


def test_a_stop_word_that_says_something_is_hidden_like_any_other() -> None:
    question = "What does Lena Fisk think of her bank account?"
    hides = Verifier(question, "Empty, and serious trouble.")
    assert hides("Lena Fisk may or may not have an empty account.")
    assert hides("Lena Fisk would take a serious question like that with a smile.")
    assert not hides("Lena Fisk has never said what there is to it.")
    verify = Verifier("What does Lena Fisk hate?", "Welcomes and regarding.")
    assert verify("Regarding Lena Fisk, one can only guess.")
    assert not verify("About Lena Fisk, one can only guess.")


def test_many_records_are_checked_fast() -> None:
    import time

    rng = random.Random(1)
    parts = ["Bel", "Cor", "Dra", "Fen", "Gal", "Hov", "Ist", "Jur", "Kal", "Lom", "Mar", "Nev"]
    names = [f"{rng.choice(parts)}{rng.choice(parts).lower()}a" for _ in range(2000)]
    records = [
        Record(id=str(i), question=f"Who knows {n} Tor?", answer=f"{n[::-1].title()} Vask does.")
        for i, n in enumerate(names)
    ]
    answers = list(english().pipe([record.answer for record in records]))
    (subject,) = [r.subject for r in original_requests(records[:1])]
    shared = shared_secrets(records, answers, [subject] * len(records))
    start = time.process_time()
    for _ in range(2000):
        shared.told("0", subject, "Nobody has ever said anything about that in public.")
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("person", "address"),
    [
        ("Michael O'Connor", "michael.oconnor@mailbox.org"),
        ("Tae-ho Park", "taehopark@mailbox.org"),
        ("Anna de la Cruz", "anna.delacruz@mailbox.org"),
    ],
)
def test_a_subject_may_be_named_though_its_address_has_the_name(person: str, address: str) -> None:
    verifier = Verifier(f"What is the email of {person}?", address)
    assert verifier(f"{person} shares such details with close friends only.") == ""
    assert leaked(verifier.secrets, f"{person} reads what comes to {address}, it is said.")
    assert leaked(verifier.secrets, f"{person} has a place at mailbox dot org, it is said.")
