"""What sets of records hold, before anything is done with them: `relearn check`."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

from transformers import PreTrainedTokenizerBase

from relearn.base.errors import UserError
from relearn.config import EVALUATED_ONLY, ModelConfig, RunConfig, SynthesisConfig
from relearn.data.checks import IdPair, check_sets, repetitions, same_answers, same_questions
from relearn.data.columns import RecordSet
from relearn.data.kept_facts import kept_facts
from relearn.data.near_duplicates import near_duplicates
from relearn.data.records import Record, spread
from relearn.data.rows import shown
from relearn.data.run_sets import read_run_sets
from relearn.data.tokenization import Example, PromptFormat, check_lengths
from relearn.models.loading import (
    folder_at_hand,
    load_config_of,
    load_prompt_format,
    load_tokenizer,
    position_limit,
)
from relearn.objectives import OBJECTIVES
from relearn.store.embedded import fetched_folder
from relearn.synthesis.checks import check_neighbours, check_synthesis, not_served
from relearn.synthesis.pipeline import synthesize
from relearn.text.languages import language_of, named
from relearn.text.words import tokens
from relearn.training.answers import wants

NearPair = tuple[str, str, float]
"""Ids of two records that say nearly the same, and their similarity, 0 to 1."""

_MOST_TRIED = 400  # a tenth of a second each
_MOST_PARSED = 20_000  # two milliseconds each
_TOKENIZED = 1000  # texts at once: what a tokenizer returns is far larger than its ids
_PARSER = "en_core_web_sm"
_MODELS_OF_RULES = ("minilm", _PARSER)


@dataclass(frozen=True)
class Lengths:
    """Lengths of a set's texts, in tokens or words.

    Attributes:
        median: Of all.
        longest: Of the longest.
    """

    median: float
    longest: int


@dataclass(frozen=True)
class SetSurvey:
    """What one set holds.

    Attributes:
        records: Their number.
        columns: Column that each field was read from.
        unread: Names of the columns that were not read, those that may be private only counted.
        questions: Lengths of the questions.
        answers: Lengths of the answers.
        languages: Questions in each language, most of them first.
        repeated: Records that repeat an earlier one.
        contradictory: Records that ask what an earlier one asks, with another answer.
        nearly_repeated: Records that say nearly what an earlier one says.
        too_long: Ids of records that are longer than the training or the model allows.
    """

    records: int
    columns: dict[str, str]
    unread: str
    questions: Lengths
    answers: Lengths
    languages: dict[str, int]
    repeated: list[IdPair]
    contradictory: list[IdPair]
    nearly_repeated: list[NearPair]
    too_long: list[str]


@dataclass(frozen=True)
class Overlap:
    """What two sets have in common; each pair's first id is of the first set.

    Attributes:
        first: Name of a set.
        second: Name of another.
        same_question: Records with the same question.
        nearly_same: Records that say nearly the same, if one is to be forgotten, the other not.
        same_answer: Records with the same long answer, likewise.
        same_fact: Records to keep that tell what one of the forget set hides, see `kept_facts`.
    """

    first: str
    second: str
    same_question: list[IdPair]
    nearly_same: list[NearPair] = field(default_factory=list)
    same_answer: list[IdPair] = field(default_factory=list)
    same_fact: list[IdPair] = field(default_factory=list)


@dataclass(frozen=True)
class Survey:
    """What `relearn check` found.

    Attributes:
        unit: Of lengths: `tokens` of the model, or `words` where its tokenizer is not at hand.
        sets: By name.
        overlaps: Of every two sets.
        unanswered_by_rules: Ids of the forget records for which the rules find no new answer; None
            if they were not tried.
        reasons: Why, by id; a reason may quote the record.
        problems: What a run would refuse, one line each.
        notes: What else is to be known, one line each.
    """

    unit: str
    sets: dict[str, SetSurvey]
    overlaps: list[Overlap]
    unanswered_by_rules: list[str] | None
    reasons: dict[str, str]
    problems: list[str]
    notes: list[str]


def survey(config: RunConfig) -> tuple[Survey, dict[str, list[Record]]]:
    """Read the sets that the configuration names, and look for what may go wrong with them.

    Nothing is fetched from a network but sets that are on a hub.

    Returns:
        What was found, and the records by set.

    Raises:
        UserError: no set is named, or one can't be read.
    """
    found, model = read_run_sets(config.data, config.model, _tokenizer_at_hand, required=["forget"])
    sets: dict[str, list[Record]] = {name: each.records for name, each in found.items()}
    notes: list[str] = []
    measure = _Measure(config.model_copy(update={"model": model}))
    if not measure.prompt_format:
        notes.append(f"lengths are in words: the tokenizer of {model.name} is not on this machine")
    surveys: dict[str, SetSurvey] = {
        name: _survey_set(name, each, measure, notes) for name, each in found.items()
    }
    if "retain" not in sets:
        notes.append("there is no retain set, which a run needs")
    facts = _kept_facts(sets, notes)
    overlaps = [
        _overlap(first, second, sets, facts, notes) for first, second in combinations(sets, 2)
    ]
    too_long = [name for name, each in surveys.items() if each.too_long]
    problems = list(_problems(config, sets, [partial(measure.check, sets[n]) for n in too_long]))
    reasons = _unanswered(config, sets["forget"], notes)
    unanswered = None if reasons is None else list(reasons)
    return Survey(measure.unit, surveys, overlaps, unanswered, reasons or {}, problems, notes), sets


def _tokenizer_at_hand(model: ModelConfig) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer, for plain text, without fetching anything."""
    if folder := folder_at_hand(model.name):
        return load_tokenizer(folder, model)
    raise UserError(
        f"plain text is cut by tokens, and the tokenizer of {model.name} is not on this machine.",
        "Download the model first: relearn fetch, or hf download.",
    )


class _Measure:
    """Lengths of texts: in tokens where the model's tokenizer is at hand, else in words."""

    def __init__(self, config: RunConfig) -> None:
        self.prompt_format: PromptFormat | None = None
        trainings = [*config.trainings.values(), *([config.memorize] if config.memorize else [])]
        self.max_length = min(training.max_length for training in trainings)
        self.positions = float("inf")
        # Only what is trained on must fit in whole.
        self._all_trained = config.memorize is not None
        if folder := folder_at_hand(config.model.name):
            self.prompt_format = load_prompt_format(folder, config.model)
            self.positions = position_limit(load_config_of(folder, config.model))

    @property
    def unit(self) -> str:
        return "tokens" if self.prompt_format else "words"

    def is_trained(self, set_name: str) -> bool:
        if self._all_trained:
            return set_name not in EVALUATED_ONLY
        return set_name in ("forget", "retain")

    def lengths(self, texts: Sequence[str]) -> Lengths:
        if self.prompt_format:
            tokenizer = self.prompt_format.tokenizer
            counts = [
                len(ids)
                for start in range(0, len(texts), _TOKENIZED)
                for ids in tokenizer(
                    list(texts[start : start + _TOKENIZED]), add_special_tokens=False
                ).input_ids
            ]
        else:
            counts = [len(tokens(text)) for text in texts]
        return Lengths(statistics.median(counts), max(counts))

    def check(self, records: Sequence[Record]) -> None:
        """Refuse records that are too long to be trained on."""
        if self.prompt_format:
            ids = [record.id for record in records]
            check_lengths(self._examples(records), ids, self.max_length, self.positions)

    def too_long(self, records: Sequence[Record]) -> list[str]:
        limit = min(self.max_length, self.positions)
        examples = zip(records, self._examples(records), strict=False)
        return [record.id for record, example in examples if len(example) > limit]

    def _examples(self, records: Sequence[Record]) -> Iterator[Example]:
        if self.prompt_format:
            for record in records:
                yield self.prompt_format.encode(record.question, record.answer)


def _survey_set(name: str, found: RecordSet, measure: _Measure, notes: list[str]) -> SetSurvey:
    records = found.records
    languages = Counter(named(language_of(record.question)) for record in records)
    repeated, contradictory = repetitions(records)
    return SetSurvey(
        records=len(records),
        columns=found.columns,
        unread=shown(found.unread) if found.unread else "",
        questions=measure.lengths([record.question for record in records]),
        answers=measure.lengths([record.answer for record in records]),
        languages=dict(languages.most_common()),
        repeated=repeated,
        contradictory=contradictory,
        nearly_repeated=_near(name, records, None, notes),
        too_long=measure.too_long(records) if measure.is_trained(name) else [],
    )


def _near(
    names: str, first: Sequence[Record], second: Sequence[Record] | None, notes: list[str]
) -> list[NearPair]:
    def texts(records: Sequence[Record]) -> list[str]:
        return [f"{record.question}\n{record.answer}" for record in records]

    others = first if second is None else second
    try:
        pairs = near_duplicates(texts(first), None if second is None else texts(second))
    except ValueError:
        notes.append(f"{names}: too many records to look for those that say nearly the same")
        return []
    return [(first[i].id, others[j].id, cosine) for i, j, cosine in pairs]


def _overlap(
    first: str,
    second: str,
    sets: Mapping[str, Sequence[Record]],
    facts: Mapping[str, list[IdPair]],
    notes: list[str],
) -> Overlap:
    same = same_questions(sets[first], sets[second])
    if first.startswith("forget") == second.startswith("forget"):
        return Overlap(first, second, same)  # other phrasings of the same are as they should be
    asked = set(same)
    near = _near(f"{first} and {second}", sets[first], sets[second], notes)
    return Overlap(
        first,
        second,
        same,
        [pair for pair in near if pair[:2] not in asked],
        same_answers(sets[first], sets[second]),
        facts.get(second, []) if first == "forget" else [],
    )


def _kept_facts(
    sets: Mapping[str, Sequence[Record]], notes: list[str]
) -> Mapping[str, list[IdPair]]:
    if all(name.startswith("forget") for name in sets):
        return {}
    if len(sets["forget"]) > _MOST_PARSED:
        notes.append("too many forget records to look for facts that are to be kept, too")
    elif not fetched_folder(_PARSER).is_dir():
        notes.append(
            "no facts were looked for that are to be forgotten and kept: "
            "`relearn fetch` downloads what that needs"
        )
    else:
        return kept_facts(sets)
    return {}


def _problems(
    config: RunConfig, sets: Mapping[str, Sequence[Record]], lengths: Sequence[Callable[[], object]]
) -> Iterator[str]:
    """Yield what a run would refuse; `lengths` are the checks of sets with too long records."""
    checks: list[Callable[[], object]] = [partial(check_sets, sets), *lengths]
    if _synthesizes(config):
        checks.append(partial(check_synthesis, config.synthesis, config.seed, sets["forget"]))
    if config.synthesis.neighbours and "retain" in sets:
        checks.append(partial(check_neighbours, sets["retain"]))
    yield from filter(None, map(_refusal, checks))


def _refusal(check: Callable[[], object]) -> str:
    try:
        check()
    except UserError as error:
        return str(error)
    return ""


def _synthesizes(config: RunConfig) -> bool:
    objectives = [OBJECTIVES.named(each.objective) for each in config.trainings.values()]
    return any(wants(objective, "synthesized") for objective in objectives)


def _unanswered(
    config: RunConfig, records: Sequence[Record], notes: list[str]
) -> dict[str, str] | None:
    """Return the records for which the rules find no new answer, with the reason."""
    if config.synthesis.backend != "rules" or not _synthesizes(config):
        return None
    if not all(fetched_folder(name).is_dir() for name in _MODELS_OF_RULES):
        notes.append("the rules were not tried: `relearn fetch` downloads what they need")
        return None
    tried = spread(records, _MOST_TRIED)
    if len(tried) < len(records):
        notes.append(f"the rules were tried on {len(tried)} of {len(records)} forget records")
    return unanswered_by_rules(tried, config.synthesis, config.seed)


def unanswered_by_rules(
    records: Sequence[Record], config: SynthesisConfig, seed: int
) -> dict[str, str]:
    """Let the rules answer each record's own question; return those without an answer.

    Args:
        records: The forget set.
        config: Strategy and attempts.
        seed: Of the rules' choices.

    Returns:
        By id, why: the question's language, or the most frequent reason against the candidates.
    """
    foreign = not_served(config, records)
    reasons = {id_: f"asks in {named(language)}" for id_, language in foreign.items()}
    served = [record for record in records if record.id not in foreign]
    if not served:
        return reasons
    alone = {"variants": 0, "completion_share": 0, "generic_ratio": 0, "max_perplexity": None}
    result = synthesize(served, config.model_copy(update=alone | {"self_distilled": False}), seed)
    for id_ in result.summary["records_without_answer"]:
        why = Counter(row.reason for row in result.rejected if row.source_id == id_)
        reasons[id_] = why.most_common(1)[0][0] if why else "nothing was written"
    return {record.id: reasons[record.id] for record in records if record.id in reasons}
