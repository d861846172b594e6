"""What a synthesis needs, checked before anything is computed or sent."""

from collections import Counter
from collections.abc import Sequence

from relearn.base.errors import UserError
from relearn.config import SynthesisConfig
from relearn.data.records import Record, RecordSets
from relearn.data.sources import load_records
from relearn.synthesis.backends import BACKENDS
from relearn.synthesis.prompts import Prompts
from relearn.text.languages import language_of, named


def check_synthesis(config: SynthesisConfig, seed: int, records: Sequence[Record]) -> None:
    """Refuse settings of a synthesis that could only fail later; sends nothing, loads no model.

    Args:
        config: Backend, strategy and amounts.
        seed: Of the backend's choices.
        records: The forget set.

    Raises:
        UserError: an unknown backend, a missing key, model, prompt file or source of generic
            questions; questions in a language that the backend does not write.
    """
    BACKENDS.named(config.backend)(config, seed, None)
    Prompts(config, seed).check()
    if config.generic_ratio:
        load_records(config.generic, set_name="generic")
    if foreign := not_served(config, records):
        languages = Counter(foreign.values())
        found = [named(code) for code, _ in languages.most_common(3)]
        raise UserError(
            f"the rules write English only; {len(foreign)} of {len(records)} questions look like "
            f"{' or '.join(found)}.",
            "Use a language model: --backend transformers, openai or vllm.",
        )


def not_served(config: SynthesisConfig, records: Sequence[Record]) -> dict[str, str]:
    """Return the languages that the backend does not write, by the id of each such record.

    The rules would answer any question in English.
    """
    if config.backend != "rules" or (config.strategy == "alternative" and not config.variants):
        return {}
    languages = {record.id: language_of(record.question) for record in records}
    return {id_: language for id_, language in languages.items() if language != "en"}


def check_neighbours(retain: Sequence[Record]) -> None:
    """Refuse a retain set beside which the target model could not be asked for neighbours.

    Raises:
        UserError: none of it is a question in English, as the prompt is.
    """
    asked = [record for record in retain if not record.continues]
    if not any(language_of(record.question) == "en" for record in asked):
        kind = "of questions in another language" if asked else "of passages"
        raise UserError(
            f"synthesis.neighbours needs questions in English; the retain set is {kind}.",
            "Set synthesis.neighbours=0.",
        )


def refuse_neighbours(config: SynthesisConfig) -> None:
    """Refuse neighbours where no run adds them to its retain set.

    Raises:
        UserError: they are asked for.
    """
    if config.neighbours:
        raise UserError(
            "synthesis.neighbours is part of a run: they are no new answers, but retain rows.",
            "Use `relearn run`, or set synthesis.neighbours=0.",
        )


def reserved_questions(sets: RecordSets) -> list[str]:
    """Return the questions that no variant may repeat: the other sets', and paraphrases."""
    others = [r.question for name, records in sets.items() if name != "forget" for r in records]
    return [*others, *(text for record in sets["forget"] for text in record.paraphrases)]
