"""Entities by a language model, as in the paper, through any backend of `relearn.llm`."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from relearn.base.distributed import by_leader
from relearn.base.errors import UserError
from relearn.evaluation.judges.prompts import render
from relearn.evaluation.judges.votes import ask_until_read
from relearn.llm import Journal, LanguageModel, Prompt

_LONGEST = 60  # characters of an entity; what is longer is a sentence
_MOST = 40  # entities of one answer


def read_entities(text: str) -> list[str] | None:
    """Return the entities that `Entities: a, b` or `Entities: none` lists; None for anything else.

    Each is there once, in lower case and sorted.
    """
    head, colon, listed = text.strip().partition(":")
    if head.strip().casefold() != "entities" or not colon or "\n" in listed.strip():
        return None
    names = {" ".join(name.split()).strip("\"'*`.").lower() for name in listed.split(",")}
    names.discard("")
    if names == {"none"}:
        return []
    if not names or len(names) > _MOST or any(len(name) > _LONGEST for name in names):
        return None
    return sorted(names)


def llm_entities(
    texts: Sequence[str],
    questions: Sequence[str],
    parts: Path | None = None,
    *,
    llm: LanguageModel,
    attempts: int = 3,
) -> list[list[str]]:
    """Ask a language model for the entities of each text.

    Those that share a word with the question are left out here, whatever the model lists.

    Args:
        texts: Whose entities are asked for.
        questions: The question that each text answers.
        parts: Folder of the journal, from which what was answered before is taken; None for none.
        llm: Who lists them.
        attempts: How often a list that can't be read is asked for.

    Returns:
        Unique lower-cased entities of each text, sorted.

    Raises:
        UserError: a text's list could not be read however often it was asked for.
    """

    def prompt(i: int, attempt: int) -> Prompt:
        return render("entities", {"question": questions[i], "answer": texts[i]}, sample=attempt)

    def ask() -> list[list[str] | None]:
        with Journal(parts / "entities.journal") if parts else nullcontext() as journal:
            return ask_until_read(
                len(texts), prompt, read_entities, llm, attempts=attempts, journal=journal,
                title="entities",
            )  # fmt: skip

    lists = by_leader(ask)
    if failed := sum(names is None for names in lists):
        raise UserError(
            f"{llm.model} gave no readable list of entities for {failed} of {len(texts)} texts.",
            "Name a stronger model, or take evaluation.entities=spacy.",
        )
    asked = [_words(question) for question in questions]
    return [
        [name for name in names or [] if not _words(name) & words]
        for names, words in zip(lists, asked, strict=True)
    ]


def _words(text: str) -> set[str]:
    return {word.strip(".,;:?!\"'()").lower().removesuffix("'s") for word in text.split()} - {""}
