"""Neighbours: further questions to keep, which the target model thinks up and answers itself.

A retain set never holds all that is to stay. The target model, which still knows everything, is
shown some questions about a subject and goes on with the list; what is near the retain set and
tells no secret becomes retain rows, with the model's own answers.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spacy.tokens import Doc

from relearn.base.storage import content_hash
from relearn.config import ModelConfig
from relearn.data.openings import Opening
from relearn.data.records import Record, RecordSets, normalized
from relearn.data.requests import EARLIER
from relearn.inference.embeddings import embedder
from relearn.inference.generation import continue_prompts
from relearn.models.loading import load_prompt_format, position_limit
from relearn.models.place import load_for_inference
from relearn.synthesis.lengths import TooLong
from relearn.synthesis.mixing import Answerer
from relearn.synthesis.secrets import Secrets, find_secrets, leaked
from relearn.synthesis.shared_secrets import SharedSecrets
from relearn.synthesis.verification import (
    WORDS,
    malformed,
    malformed_question,
    names_subject,
    near_duplicate,
)
from relearn.text.english import english
from relearn.text.languages import language_of
from relearn.text.subjects import UNNAMED, Subject, find_subjects

Thinker = Callable[[Sequence[str], Sequence[int]], list[str]]
"""From prompts, and a seed for each, to how the target model continues them."""
Subjects = Mapping[str, Sequence[Subject]]
"""By the name of a set, the subject of each of its records."""
Told = Callable[[Subject, str], str]
"""From a row's subject and its text to what secret it gives away; "" for none."""

_SHOWN = 4  # questions in a prompt
_BATCH, _LONGEST, _LONGEST_ANSWER = 64, 32, 96
_FORGET_SETS = ("forget", EARLIER)


@dataclass(frozen=True)
class _Asked:
    subject: Subject
    question: str


def thinker(folder: Path, config: ModelConfig) -> Thinker:
    """Return how the model in `folder` continues plain text at temperature 1; "" if too long."""

    def think(prompts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        model = load_for_inference(folder, config)
        prompt_format = load_prompt_format(folder, config)
        longest = position_limit(model.config) - _LONGEST
        encoded = [prompt_format.encode_prompt(Opening(prompt)) for prompt in prompts]
        read = [i for i, ids in enumerate(encoded) if len(ids) <= longest]
        texts = continue_prompts(
            model,
            prompt_format,
            [encoded[i] for i in read],
            batch_size=_BATCH,
            max_new_tokens=_LONGEST,
            title="neighbours",
            seeds=[seeds[i] for i in read],
        )
        said = dict(zip(read, texts, strict=True))
        return [said.get(i, "") for i in range(len(prompts))]

    return think


def find_neighbours(
    sets: RecordSets,
    prompts: int,
    seed: int,
    *,
    think: Thinker,
    answer: Answerer,
    too_long: TooLong = lambda question, answer, more: "",
    told: Told | None = None,
) -> tuple[list[Record], dict[str, Any]]:
    """Return further retain records; and counts: subjects, prompts, questions, kept, dropped.

    Args:
        sets: All sets of the run; no neighbour is a question of any.
        prompts: Tried for each subject that a retain set of questions in English names at least
            twice.
        seed: Fixes what is shown and drawn.
        think: How the target model continues a text.
        answer: How the target model answers.
        too_long: What is wrong with a row's length.
        told: What a row may not say; None means what `secrets_told` finds in the sets.
    """
    subjects = subjects_of(sets)
    shown = list(_prompts(sets["retain"], subjects["retain"], prompts, seed))
    about, texts, seeds = map(list, zip(*shown, strict=True)) if shown else ([], [], [])
    dropped: Counter[str] = Counter()

    def passed(found: Sequence[_Asked], reasons: Sequence[str]) -> list[_Asked]:
        dropped.update(filter(None, reasons))
        return [one for one, reason in zip(found, reasons, strict=True) if not reason]

    said = think(texts, seeds) if texts else []
    lines = [text.strip().partition("\n")[0].strip() for text in said]
    asked = [_Asked(*each) for each in zip(about, lines, strict=True)]
    found = passed(asked, list(_objections(asked, sets, subjects, too_long)))
    near = passed(found, list(_distant([one.question for one in found], sets)))
    answers = answer([one.question for one in near]) if near else []
    told = told or secrets_told(sets, subjects)
    rows: list[Record] = []
    for one, reply in zip(near, map(str.strip, answers), strict=True):
        reason = "has no proper answer" if _improper(reply) else ""
        reason = reason or (told(one.subject, f"{one.question} {reply}") and "gives away a secret")
        reason = reason or (too_long(one.question, reply, 0) and "is too long")
        if passed([one], [reason]):
            id_, name = f"neighbour-{len(rows):05d}", one.subject.name
            rows.append(Record(id=id_, question=one.question, answer=reply, subject=name))
    return rows, {
        "subjects": len({_key(subject) for subject in about}),
        "prompts": len(shown),
        "questions": len(found),
        "kept": len(rows),
        "dropped": dict(dropped),
    }


def secrets_told(sets: RecordSets, subjects: Subjects) -> Told:
    """Return what tells which secret of the forget sets a row about a subject gives away.

    What the retain set says about the same subject is no secret. The form is compared too, as of a
    new answer: an age or a year of the model's own invention can't be told from the private one.
    """
    said: dict[str, list[str]] = defaultdict(list)
    for record, subject in zip(sets["retain"], subjects["retain"], strict=True):
        if subject.named:
            said[_key(subject)] += [str(record.question), record.answer]
    secrets: dict[str, list[Secrets]] = defaultdict(list)

    def hidden() -> Iterator[tuple[Record, Doc, Subject, Secrets]]:
        for name in _FORGET_SETS:
            records = sets.get(name, ())
            answers = english().pipe(record.answer for record in records)
            for record, subject, doc in zip(records, subjects.get(name, ()), answers, strict=True):
                # A record's secrets leave out what its question says; here the retain set as well.
                public = " ".join([str(record.question), *said.get(_key(subject), ())])
                found = find_secrets(doc, public, subject)
                secrets[_key(subject)].append(found)
                yield record.model_copy(update={"question": public}), doc, subject, found

    shared = SharedSecrets(hidden())

    def told(subject: Subject, text: str) -> str:
        own = (leaked(one, text) for one in secrets.get(_key(subject), ()))
        return next(filter(None, own), "") or shared.told("", subject, text)

    return told


def subjects_of(sets: RecordSets) -> Subjects:
    """Return whom or what each record is about; a passage has no named subject."""
    records = [record for each in sets.values() for record in each]
    asked = english().pipe("" if r.continues else str(r.question) for r in records)
    subjects = iter(find_subjects(asked, [record.subject for record in records]))
    unnamed = Subject(UNNAMED, named=False)
    return {
        name: [unnamed if r.continues else s for r, s in zip(each, subjects, strict=False)]
        for name, each in sets.items()
    }


def _key(subject: Subject) -> str:
    return subject.name.casefold()


def _prompts(
    retain: Sequence[Record], subjects: Sequence[Subject], count: int, seed: int
) -> Iterator[tuple[Subject, str, int]]:
    """Yield so many prompts for each subject, each with its subject and its seed."""
    named: dict[str, Subject] = {}
    questions: dict[str, list[str]] = defaultdict(list)
    for record, subject in zip(retain, subjects, strict=True):
        if subject.named and language_of(record.question) == "en":
            named.setdefault(_key(subject), subject)
            questions[_key(subject)].append(" ".join(record.question.split()))
    for key, subject in named.items():
        for i in range(count if len(questions[key]) > 1 else 0):
            some = min(_SHOWN, len(questions[key]))
            shown = random.Random(f"{seed} {i}").sample(questions[key], some)
            lines = [f"{number}. {question}" for number, question in enumerate(shown, 1)]
            text = "\n".join([f"Questions about {subject.name}:", *lines, f"{some + 1}."])
            yield subject, text, int(content_hash(key, i, seed)[:12], 16)


def _objections(
    found: Sequence[_Asked], sets: RecordSets, subjects: Subjects, too_long: TooLong
) -> Iterator[str]:
    """Yield what is wrong with each as a new question about its subject; "" for nothing."""
    known: dict[str, list[str]] = defaultdict(list)
    for name, records in sets.items():
        for record, subject in zip(records, subjects[name], strict=True):
            known[_key(subject)] += [str(record.question), *record.paraphrases]
    reserved = {normalized(question) for questions in known.values() for question in questions}
    for one in found:
        others = known[_key(one.subject)]
        reason = _objection(one, reserved, others)
        reason = reason or (too_long(one.question, "", _LONGEST_ANSWER) and "is too long")
        if not reason:
            others.append(one.question)
        yield reason


def _objection(one: _Asked, reserved: Set[str], known: Sequence[str]) -> str:
    if not one.question.endswith("?") or malformed_question(one.question, ""):
        return "is no question"
    if not names_subject(one.question, one.subject):
        return "does not name the subject"
    if normalized(one.question) in reserved:
        return "is a question of a set"
    return "is a near-duplicate" if near_duplicate(one.question, known) else ""


def _distant(questions: Sequence[str], sets: RecordSets) -> Iterator[str]:
    """Yield an objection to each question that is not nearest to one of the retain set."""
    minilm = embedder("minilm")
    keep = [str(record.question) for record in sets["retain"]]
    forget = [str(record.question) for name in _FORGET_SETS for record in sets.get(name, ())]
    minilm.know([*questions, *keep, *forget])
    kept, forgotten = minilm.embed(keep), minilm.embed(forget)
    for start in range(0, len(questions), _BATCH):
        asked = minilm.embed(questions[start : start + _BATCH])
        for one, other in zip((asked @ kept.T).max(1), (asked @ forgotten.T).max(1), strict=True):
            yield "" if one > other else "is nearer to the forget set"


def _improper(answer: str) -> bool:
    """Return whether an answer is empty or, but for a few words, no whole sentence."""
    if len(answer.split()) < WORDS.start:
        return not answer or not answer.isprintable()
    return bool(malformed(answer))
