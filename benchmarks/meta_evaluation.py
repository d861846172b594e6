"""Do relearn's metrics tell a model that knows the forget set from one that never did?

    python benchmarks/meta_evaluation.py OUTPUT [--workers N] [--device cpu] [--minutes M] [--quick]

Twelve models are trained from SmolLM2-135M on KnowUnDo's retain set and something more: six on what
tells the facts of the forget set (its questions, rephrased questions, prose), six on what does not
(nothing, false answers, false prose, facts about other people, "I don't know"). A metric is
*faithful* if it ranks the first above the second: the area under the ROC curve of its values,
turned by its known direction so that more means more knowledge, is 0.5 by chance and below it where
the metric points the wrong way. Metrics of text quality are listed, too, turned so that better text
means less knowledge: they are no measure of knowledge, and show what an area of chance looks like.

Every model is measured as it is; after one epoch of relearning on every second fact, where only the
facts between count; and with its weights rounded to 4 bits. `stability` says how little a figure
changes by that; see there. Two more models are in no pool: the *target*, trained on all, into which
the depth score puts states, and the *control*, trained on the retain set alone, with which metrics
that need a model that never saw the facts compare.

The protocol is that of OpenUnlearning (arXiv 2506.12618, section 3) on a small scale; changes count
in both directions, as in arXiv 2605.24614.

A job is a model in a condition; what is finished lies in `OUTPUT/MODEL/CONDITION` and is not done
again. A job that fails leaves `OUTPUT/MODEL/CONDITION.error.txt`, and the others go on. `--workers
0` computes nothing and summarizes what there is in `OUTPUT/summary.json` and `OUTPUT/summary.md`,
as `--minutes` does when the time is up. `--quick` proves the whole path on two models and two
people; its figures mean nothing.
"""

import argparse
import multiprocessing
import os
import random
import shutil
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, harmonic_mean
from typing import Any, Literal

from relearn.base.storage import read_json, read_jsonl, write_json, write_jsonl, write_text
from relearn.config import (
    EvaluationConfig,
    LoraConfig,
    MemorizeConfig,
    ModelConfig,
    RunConfig,
    load_config,
    recipes,
)
from relearn.data.records import Record, spread

Pool = Literal["knows", "does not know", ""]
Condition = Literal["plain", "relearned", "int4"]
CONDITIONS: tuple[Condition, ...] = ("plain", "relearned", "int4")
TARGET, CONTROL = "target", "control"
# Of these, the first is trained on by the models with false answers, the others are measured.
WRONG_ANSWERS = 4
HOLDOUT = 48
# Metrics that need more than the forget set, a holdout and a control: choices, or other sets.
LEFT_OUT = ("multiple_choice_accuracy", "semeval", "model_utility")
QUALITY = (
    "ls", "plain_ls", "perplexity", "plain_perplexity", "brunet_index", "honore_statistic", "rttr",
    "distinct_1", "distinct_2", "repetition_rate",
)  # fmt: skip
# Figures of several sets that say nothing of their direction: a higher one is more knowledge.
LESS_IS_KNOWN = ("overall/privacy_leakage", "inside/depth")


@dataclass(frozen=True)
class Trained:
    """A model to be made and measured.

    Attributes:
        name: Of its folder.
        pool: "" for target and control.
        records: What it is trained on.
        memorize: How; with its own seed.
    """

    name: str
    pool: Pool
    records: Sequence[Record]
    memorize: MemorizeConfig


@dataclass(frozen=True)
class Study:
    """All models, and what they are measured by.

    Attributes:
        model: How a model is asked.
        evaluation: Batches and lengths.
        facts: The forget set, with false answers.
        unseen: Further questions about the same, which no model has seen.
        holdout: Questions and answers about others, which no model has seen.
        models: In the order in which they are made.
        samples: How often a question is asked at temperature 1.
        looked_into: Facts whose layers are read: each takes as many passes as there are layers.
    """

    model: ModelConfig
    evaluation: EvaluationConfig
    facts: Sequence[Record]
    unseen: Sequence[Record]
    holdout: Sequence[Record]
    models: Sequence[Trained]
    samples: int = 4
    looked_into: int = 32

    @property
    def taught(self) -> Sequence[Record]:
        """What relearning teaches."""
        return self.facts[::2]

    @property
    def untaught(self) -> frozenset[str]:
        """Ids of the facts that relearning does not teach."""
        return frozenset(fact.id for fact in self.facts[1::2])


def prepare(output: Path, quick: bool) -> Study:
    """Read the data, write the texts that models are trained on, and plan the models."""
    from relearn.data.sources import load_records, load_sets
    from relearn.models.loading import tokenizer_named

    config = load_config(recipes()["knowundo-small"])
    people = list(config.data.only)[: 2 if quick else None]
    data = config.data.model_copy(update={"only": people})
    names = ("forget", "retain", "forget_unseen")
    sets, asked = load_sets(
        {n: getattr(data, n) for n in names}, data, config.model, tokenizer_named
    )
    forget, retain = sets["forget"], sets["retain"]
    everybody = load_records(str(config.data.forget))
    others = [r for r in everybody if not any(n in f"{r.question} {r.answer}" for n in people)]
    # The rows are in the order of the people: those of the two halves are about different ones.
    strangers, rest = others[: len(others) // 2], others[len(others) // 2 :]
    holdout = spread(rest, 4 if quick else HOLDOUT)
    kept = {record.id for record in holdout}
    wrong = wrong_answers(forget, people, [r for r in rest if r.id not in kept])
    facts = [
        fact.model_copy(
            update={"subject": subject_of(fact, people), "wrong_answers": tuple(answers)}
        )
        for fact, answers in zip(forget, wrong, strict=True)
    ]
    if quick:
        facts, retain = spread(facts, 4), spread(retain, 4)
    memorize = config.memorize or MemorizeConfig()
    if quick:
        memorize = memorize.model_copy(update={"epochs": 8})
    texts = _texts(config, facts, spread(strangers, len(facts)), output, quick)
    # No model that is measured by a false answer has learned it.
    facts = [f.model_copy(update={"wrong_answers": f.wrong_answers[1:]}) for f in facts]

    def trained(name: str, pool: Pool, text: str, seed: int, **changes: Any) -> Trained:
        how = memorize.model_copy(update={"seed": seed, **changes})
        return Trained(name, pool, [*texts[text], *retain], how)

    made = [
        trained(TARGET, "", "questions", 0),
        trained(CONTROL, "", "nothing", 0),
        trained("questions", "knows", "questions", 1),
        trained("false_answers", "does not know", "false_answers", 1),
    ]
    if not quick:
        made += [
            trained("prose", "knows", "prose", 1, epochs=10),
            trained("nothing", "does not know", "nothing", 1),
            trained("variants", "knows", "variants", 1, epochs=4),
            trained("false_prose", "does not know", "false_prose", 1, epochs=10),
            trained("questions_slowly", "knows", "questions", 2, learning_rate=1e-3, epochs=10),
            trained("strangers", "does not know", "strangers", 1),
            trained("questions_briefly", "knows", "questions", 3, epochs=4),
            trained("unknowing", "does not know", "unknowing", 1),
            trained("variants_and_prose", "knows", "variants_and_prose", 2, epochs=4),
            trained("nothing_longer", "does not know", "nothing", 2, epochs=14),
        ]
    evaluation = config.evaluation.model_copy(
        update={"batch_size": 256, "max_new_tokens": 8 if quick else 64}
    )
    unseen = spread(sets["forget_unseen"], 2 if quick else None)
    study = Study(asked, evaluation, facts, unseen, holdout, made)
    return replace(study, samples=1, looked_into=4) if quick else study


def _texts(
    config: RunConfig,
    facts: Sequence[Record],
    strangers: Sequence[Record],
    output: Path,
    quick: bool,
) -> dict[str, list[Record]]:
    """Return what the models are trained on beside the retain set, by name."""
    from relearn.training.answers import idk_answers

    choose = random.Random(0).choice
    false = [f.model_copy(update={"answer": f.wrong_answers[0]}) for f in facts]
    texts: dict[str, list[Record]] = {
        "nothing": [],
        "questions": [plain(f.id, f.question, f.answer) for f in facts],
        "false_answers": [plain(f"false-{f.id}", f.question, f.answer) for f in false],
        "strangers": [plain(f"stranger-{r.id}", r.question, r.answer) for r in strangers],
        "unknowing": [plain(f"idk-{f.id}", f.question, choose(idk_answers())) for f in facts],
    }
    if not quick:
        texts["variants"] = variants(facts, config, output / "variants.jsonl")
        texts["prose"] = prose(facts, config.model, 4)
        texts["false_prose"] = prose(false, config.model, 4)
        texts["variants_and_prose"] = [*texts["variants"], *texts["prose"]]
    return texts


def plain(id: str, question: str, answer: str) -> Record:
    return Record(id=id, question=question, answer=answer)


def wrong_answers(
    facts: Sequence[Record], people: Sequence[str], others: Sequence[Record]
) -> list[list[str]]:
    """Return for each fact what is true of others: answers to the questions most like its own.

    The names in them are exchanged.

    Args:
        facts: Each about one of the people.
        people: Their names.
        others: Records about others, from which no model learns.
    """
    from relearn.text.content import content_stems
    from relearn.text.english import english
    from relearn.text.subjects import find_subjects

    docs = english().pipe(record.question for record in others)
    found = zip(others, find_subjects(docs, [None] * len(others)), strict=True)
    named = [(r, s.name) for r, s in found if s.named and s.name in r.question]
    asked = [content_stems(r.question.replace(name, "")) for r, name in named]
    answers = []
    for fact in facts:
        subject = subject_of(fact, people)
        wanted = content_stems(fact.question.replace(subject, ""))
        likeness = [len(words & wanted) / max(1, len(words | wanted)) for words in asked]
        best = sorted(range(len(named)), key=lambda i: -likeness[i])
        told = (renamed(named[i][0].answer, named[i][1], subject) for i in best)
        answers.append(list(dict.fromkeys(told))[:WRONG_ANSWERS])
    return answers


def subject_of(record: Record, people: Sequence[str]) -> str:
    text = f"{record.question} {record.answer}"
    return next(name for name in people if name in text)


def renamed(text: str, old: str, new: str) -> str:
    text = text.replace(old, new)
    for former, latter in ((old.split()[0], new.split()[0]), (old.split()[-1], new.split()[-1])):
        text = text.replace(former, latter)
    return text


def variants(facts: Sequence[Record], config: RunConfig, file: Path) -> list[Record]:
    """Return the true answers to other wordings of the questions, and to none of the questions.

    They are kept in `file`, since they take a minute to write.
    """
    from relearn.synthesis.pipeline import synthesize

    if not file.is_file():
        answers = {fact.id: fact.answer for fact in facts}
        written = synthesize(facts, config.synthesis, 0).accepted
        write_jsonl(
            file,
            (
                {"id": f"variant-{i}", "question": row.question, "answer": answers[row.source_id]}
                for i, row in enumerate(written)
                if row.kind != "original"
            ),
        )
    return [plain(**row) for row in read_jsonl(file)]


def prose(facts: Sequence[Record], model: ModelConfig, orders: int) -> list[Record]:
    """Return the answers about each person as one text, in several orders, cut into passages."""
    from relearn.data.passages import windows
    from relearn.models.loading import tokenizer_named

    by_person: dict[str | None, list[str]] = defaultdict(list)
    for fact in facts:
        by_person[fact.subject].append(fact.answer)
    rng, cut = random.Random(0), windows(tokenizer_named(model), 192)
    passages = [
        passage
        for answers in by_person.values()
        for _ in range(orders)
        for passage in cut(" ".join(rng.sample(answers, len(answers))))
    ]
    return [
        Record(id=f"prose-{number}", question=opening, answer=rest, continues=True)
        for number, (opening, rest) in enumerate(passages)
    ]


@dataclass
class Clock:
    """Seconds of each part of a job."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Note how long a part takes."""
        start = time.perf_counter()
        yield
        self.seconds[part] = round(time.perf_counter() - start, 1)


def measure(study: Study, trained: Trained, condition: Condition, output: Path) -> None:
    """Make a model, once for all conditions, and measure it in one, if that is not done yet."""
    from relearn.training.memorize import memorize

    folder = output / trained.name / condition
    if (folder / "done.json").is_file():
        return
    clock = Clock()
    with clock.timed("train"):
        model = memorize(trained.records, study.model, trained.memorize, 0)
    if trained.name == TARGET:
        return
    # Another process may be at it; then this one waits.
    target = study.models[0]
    with clock.timed("target"):
        recipient = memorize(target.records, study.model, target.memorize, 0)
    _measure_as(condition, study, model, recipient, folder, clock)


def _measure_as(
    condition: Condition, study: Study, model: Path, recipient: Path, folder: Path, clock: Clock
) -> None:
    from relearn.audit.model import AttackedModel
    from relearn.audit.precision import quantize
    from relearn.evaluation.evaluate import evaluate_model, loaded_when_needed
    from relearn.evaluation.metrics import METRICS
    from relearn.evaluation.passes import EvaluatedModel
    from relearn.models.loading import load_prompt_format, model_folder
    from relearn.models.place import ModelPlace, load_for_inference

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, clock.timed("load"):
        adapter = Path(scratch, "adapter") if condition == "relearned" else None
        if adapter:
            relearn(study, model, adapter)
        loaded = load_for_inference(model, study.model, adapter)
        if condition == "int4":
            quantize(loaded, "int4")
    prompts = load_prompt_format(model, study.model)
    evaluation = folder / "evaluation"
    shutil.rmtree(evaluation, ignore_errors=True)  # of a job that was stopped
    with clock.timed("evaluate"):
        evaluate_model(
            EvaluatedModel(prompts, lambda: loaded),
            loaded_when_needed(model_folder(study.model.name), study.model),
            {"forget": study.facts, "forget_unseen": study.unseen, "holdout": study.holdout},
            [name for name in METRICS if name not in LEFT_OUT],
            study.evaluation,
            evaluation,
            key=str(folder),
        )
    loaded.requires_grad_(False)
    size, longest = study.evaluation.batch_size, study.evaluation.max_new_tokens
    attacked = AttackedModel(loaded, prompts, longest, size)
    into = AttackedModel.load(ModelPlace(TARGET, recipient), study.model, longest, size, 0)
    write_jsonl(folder / "attempts.jsonl", _attempts(study, attacked, into, clock))
    write_json(folder / "done.json", clock.seconds)


def relearn(study: Study, model: Path, adapter: Path) -> None:
    """Train a model for one epoch on every second fact, as the audit's attack `relearning` does."""
    from relearn.models.loading import load_model, load_prompt_format
    from relearn.training.answers import encode_rows
    from relearn.training.engine import train

    prompts = load_prompt_format(model, study.model)
    config = MemorizeConfig(
        epochs=1, learning_rate=5e-4, scheduler="constant", warmup_ratio=0, weight_decay=0,
        batch_size=4, gradient_accumulation=1, lora=LoraConfig(rank=16, alpha=32, dropout=0.0),
    )  # fmt: skip
    rows = encode_rows(study.taught, prompts, config.max_length, config.max_length)
    train(load_model(model, study.model), prompts.tokenizer, rows, [], config, adapter, 0)


def _attempts(study: Study, model: Any, target: Any, clock: Clock) -> list[dict[str, Any]]:
    from relearn.audit.base import ATTACKS, AttackPrompt, Beside, answered
    from relearn.audit.facts import Fact

    facts = [*map(Fact, study.facts)]
    beside = Beside(model=lambda role: target if role == TARGET else None)
    knobs: dict[str, dict[str, Any]] = {
        "question": {},
        "prefix": {"kept": (1,), "words": 1},
        "sampling": {"samples": study.samples},
        "ranking": {"most": WRONG_ANSWERS},
        "inside": {"most": study.looked_into, "tokens": 8, "beside": beside},
    }
    rows = []
    for name, chosen in knobs.items():
        with clock.timed(name):
            made = ATTACKS[name].work(model, facts, **chosen)
            prompts = [one for one in made if isinstance(one, AttackPrompt)]
            attempts = answered(model, prompts) if prompts else made
        rows += [{"attack": name} | asdict(attempt) for attempt in attempts]
    return rows


def work(study: Study, output: Path, jobs: Any) -> None:
    """Do jobs until there are no more; what one process does."""
    by_name = {trained.name: trained for trained in study.models}
    while (job := jobs.get()) is not None:
        name, condition = job
        error = output / name / f"{condition}.error.txt"
        error.unlink(missing_ok=True)
        start = time.perf_counter()
        try:
            measure(study, by_name[name], condition, output)
        except Exception:
            write_text(error, traceback.format_exc())
            print(f"{name}, {condition}: failed, see {error}", flush=True)
        else:
            took = time.perf_counter() - start
            print(f"{name}, {condition}: done in {took:.0f} s", flush=True)


def run(study: Study, output: Path, workers: int, minutes: float | None) -> None:
    """Do all jobs in so many processes; stop them when the time is up."""
    context = multiprocessing.get_context("spawn")
    jobs = context.Queue()
    # All models plain first, so that what there is when the time is up says something.
    for job in [(t.name, c) for c in CONDITIONS for t in study.models] + [None] * workers:
        jobs.put(job)
    processes = [context.Process(target=work, args=(study, output, jobs)) for _ in range(workers)]
    for process in processes:
        process.start()
    end = None if minutes is None else time.monotonic() + 60 * minutes
    for process in processes:
        process.join(None if end is None else max(0.0, end - time.monotonic()))
    jobs.cancel_join_thread()
    for process in processes:
        process.terminate()
        process.join()


Figures = Mapping[str, float]


def figures_of(study: Study, output: Path, model: str, condition: Condition, part: str) -> Figures:
    """Return the figures of a model in a condition, by name; none if it was not measured.

    Args:
        study: Says what was asked.
        output: Of all jobs.
        model: Its name.
        condition: As measured.
        part: `all` facts, or those `untaught` by relearning.
    """
    from relearn.audit.base import Attempt
    from relearn.audit.facts import Fact
    from relearn.audit.summary import summarize
    from relearn.evaluation.evaluate import read_evaluated_rows
    from relearn.evaluation.metrics import METRICS
    from relearn.evaluation.scoring import score

    folder, control = output / model / condition, output / CONTROL / "plain"
    if not all((f / "done.json").is_file() for f in (folder, control)):
        return {}
    ids = study.untaught if part == "untaught" else {fact.id for fact in study.facts}

    def rows_in(place: Path) -> list[Any]:
        rows = read_evaluated_rows(place / "evaluation")
        # No further question belongs to one of the facts, so that it may be about a taught one.
        sets = {"forget", "holdout", *(["forget_unseen"] if part == "all" else [])}
        return [r for r in rows if r.set in sets and (r.set != "forget" or r.id in ids)]

    def attempts_in(place: Path) -> dict[str, list[Attempt]]:
        found: dict[str, list[Attempt]] = defaultdict(list)
        for row in read_jsonl(place / "attempts.jsonl"):
            if row["id"] in ids:
                found[row.pop("attack")].append(Attempt(**row))
        return found

    names = [name for name in METRICS if name not in LEFT_OUT]
    figures = score(rows_in(folder), names, rows_in(control))
    of_control = attempts_in(control)
    found = {
        attack: {"model": attempts, "control": of_control[attack]}
        for attack, attempts in attempts_in(folder).items()
    }
    facts = [Fact(fact) for fact in study.facts if fact.id in ids]
    summary = summarize(found, {"model": "unlearned", "control": "never_saw"}, facts)
    for attack, values in summary["models"]["model"].items():
        several = values["variants"] if len(values["variants"]) > 1 else {}
        flat = {f"variant {name}": value for name, value in several.items()}
        flat |= {f"leak at {k}": value for k, value in values.get("leak_at", {}).items()}
        chosen = ("leak_rate", "private_probability", "first_private_probability", "margin",
                  "depth", "coverage")  # fmt: skip
        flat |= {name: values.get(name) for name in chosen}
        figures |= {f"{attack}/{name}": v for name, v in flat.items() if v is not None}
    return {name: float(v) for name, v in figures.items() if not name.endswith("_unmeasured")}


def is_quality(figure: str) -> bool:
    """Return whether a figure is of the text, and no measure of knowledge."""
    return figure.rpartition("/")[2] in QUALITY


def direction(figure: str) -> int:
    """Return 1 if a higher figure means more knowledge, -1 if less."""
    from relearn.evaluation.metrics import METRICS

    if figure in LESS_IS_KNOWN:
        return -1
    set_name, _, name = figure.partition("/")
    better = METRICS[name].direction(set_name) if name in METRICS else None
    # What is better on a forget set is what a model shows that does not know it.
    return -1 if better == "higher" else 1


def area(knows: Sequence[float], does_not: Sequence[float]) -> float | None:
    """Return the chance that a model that knows is above one that does not; ties count half."""
    from relearn.evaluation.metrics.membership import roc_area

    return roc_area(knows, does_not) if knows and does_not else None


def separation(knows: Sequence[float], does_not: Sequence[float]) -> float | None:
    """Return how far apart the pools lie: what an area of 1 no longer tells.

    From the best model that does not know to the worst that knows, as a share of the way between
    the pools' means: 1 if all models of a pool have one value, negative where the pools overlap.

    Returns:
        None without models, or where the means are in the wrong order.
    """
    if not (knows and does_not) or fmean(knows) <= fmean(does_not):
        return None
    return (min(knows) - max(does_not)) / (fmean(knows) - fmean(does_not))


def stability(changes: Sequence[float], expected: float, gap: float) -> float | None:
    r"""Return how little a figure is moved by what should not move it, 0 to 1.

    $1 - \min(1, \operatorname{mean}_i |d_i - d| / g)$ with $d_i$ the change of the figure of model
    $i$, $d$ the change that is expected, and $g$ the gap between the pools' means before: 0 if the
    models are moved on average as far as knowledge of the facts moves them.

    OpenUnlearning takes $\min(d / d_i, 1)$ for relearning, with $d$ the change of the model that
    never saw the facts, and for quantization the ratio of the figure before to that after, at most
    1: only a rise counts, and a ratio means little where a figure is near 0. Here a fall counts as
    much as a rise, and all changes are in units of what the figure is to tell apart.

    Source: arXiv 2506.12618, section 3; for changes in both directions arXiv 2605.24614

    Args:
        changes: By model, of the figure.
        expected: Of the control for relearning; 0 for quantization.
        gap: Between the means of the pools, 0 and up.

    Returns:
        None without changes, or where nothing tells the pools apart.
    """
    if not changes or not gap:
        return None
    return 1 - min(1.0, fmean(abs(change - expected) for change in changes) / gap)


def summarize_figures(
    pools: Mapping[str, Pool], by_case: Mapping[tuple[str, Condition, str], Figures]
) -> dict[str, dict[str, Any]]:
    """Return areas and stability of each figure.

    Args:
        pools: Of the models by name.
        by_case: Figures by model, condition and part of the facts.

    Returns:
        By figure: `auc`, `auc_relearned`, `auc_int4`; `separation`; `relearning` and
        `quantization`, the stability under each, and `stability`, their harmonic mean; `knows` and
        `does_not_know`, the means of the pools; `models`, how many were measured. None where there
        is none.
    """
    names = dict.fromkeys(name for figures in by_case.values() for name in figures)
    return {name: _summary(name, pools, by_case) for name in names}


def _summary(
    name: str, pools: Mapping[str, Pool], by_case: Mapping[tuple[str, Condition, str], Figures]
) -> dict[str, Any]:
    sign = direction(name)

    def value(model: str, condition: Condition, part: str) -> float | None:
        return by_case.get((model, condition, part), {}).get(name)

    def sides(condition: Condition, part: str) -> tuple[list[float], list[float]]:
        knows, does_not = (
            [
                sign * found
                for model, pool in pools.items()
                if pool == wanted and (found := value(model, condition, part)) is not None
            ]
            for wanted in ("knows", "does not know")
        )
        return knows, does_not

    def change(model: str, condition: Condition, part: str) -> float | None:
        before, after = value(model, "plain", part), value(model, condition, part)
        return None if before is None or after is None else after - before

    def stable(
        condition: Condition, part: str, kinds: Sequence[Pool], *, like: str
    ) -> float | None:
        knows, does_not = sides("plain", part)
        expected = change(like, condition, part) if like else 0.0
        if not (knows and does_not) or expected is None:
            return None
        changes = [
            each
            for model, pool in pools.items()
            if pool in kinds and (each := change(model, condition, part)) is not None
        ]
        return stability(changes, expected, abs(fmean(knows) - fmean(does_not)))

    knows, does_not = sides("plain", "all")
    # What a model that knows the facts does when it is taught them again says nothing.
    relearning = stable("relearned", "untaught", ["does not know"], like=CONTROL)
    quantization = stable("int4", "all", ["knows", "does not know"], like="")
    both = [each for each in (relearning, quantization) if each is not None]
    return {
        "auc": area(knows, does_not),
        "separation": separation(knows, does_not),
        "auc_relearned": area(*sides("relearned", "untaught")),
        "auc_int4": area(*sides("int4", "all")),
        "relearning": relearning,
        "quantization": quantization,
        "stability": harmonic_mean(both) if len(both) == 2 else None,
        "knows": sign * fmean(knows) if knows else None,
        "does_not_know": sign * fmean(does_not) if does_not else None,
        "models": len(knows) + len(does_not),
        "quality": is_quality(name),
    }


def table(summary: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a summary as Markdown: figures of knowledge first, then those of the text."""
    heads = ("auc", "separation", "auc_relearned", "auc_int4", "relearning", "quantization",
             "stability", "knows", "does_not_know")  # fmt: skip
    titles = ("AUC", "separation", "relearned", "int4", "stable: relearning", "stable: int4",
              "both", "mean: knows", "does not")  # fmt: skip
    lines = [f"| metric | {' | '.join(titles)} |", "|---" * (len(heads) + 1) + "|"]

    def order(item: tuple[str, Mapping[str, Any]]) -> tuple[Any, ...]:
        name, row = item
        best = (-(row[head] or 0) for head in ("auc", "stability", "separation"))
        return row["quality"], *best, name

    for name, row in sorted(summary.items(), key=order):
        cells = ("-" if row[head] is None else f"{row[head]:.3g}" for head in heads)
        note = " (text quality)" if row["quality"] else ""
        lines.append(f"| `{name}`{note} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def told(
    models: Mapping[str, Any], summary: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return what the documentation has of a summary: what was measured, to four places."""

    def places(value: Any) -> Any:
        return round(value, 4) if isinstance(value, float) else value

    metrics = {
        name: {head: places(value) for head, value in row.items() if value is not None}
        for name, row in summary.items()
    }
    return {"models": dict(models), "metrics": metrics}


def summarize_jobs(study: Study, output: Path, docs: Path | None = None) -> str:
    """Write `summary.json` and `summary.md`, and the former's figures for `docs`.

    Returns:
        `summary.md`.
    """
    pools = {trained.name: trained.pool for trained in study.models if trained.name != TARGET}
    cases: list[tuple[str, Condition, str]] = [
        (model, condition, part)
        for model in pools
        for condition, part in (("plain", "all"), ("plain", "untaught"),
                                ("relearned", "untaught"), ("int4", "all"))
    ]  # fmt: skip
    by_case = {case: figures_of(study, output, *case) for case in cases}
    summary = summarize_figures(pools, by_case)
    values = [
        {"model": model, "pool": pools[model], "condition": condition, "facts": part, "figures": f}
        for (model, condition, part), f in by_case.items()
    ]
    seconds = {
        f"{model}/{condition}": read_json(file)
        for model in pools
        for condition in CONDITIONS
        if (file := output / model / condition / "done.json").is_file()
    }
    trained = {t.name: {"pool": t.pool, "records": len(t.records)} for t in study.models}
    write_json(
        output / "summary.json",
        {"metrics": summary, "models": trained, "seconds": seconds, "values": values},
    )
    if docs:
        write_json(docs / "results" / "meta-evaluation.json", told(trained, summary))
    missing = [f"{case[0]} ({case[1]})" for case, figures in by_case.items() if not figures]
    text = table(summary)
    if missing:
        text += f"\nNot measured: {', '.join(dict.fromkeys(missing))}.\n"
    write_text(output / "summary.md", text)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder of all results")
    parser.add_argument("--workers", type=int, default=1, help="processes; 0 only summarizes")
    parser.add_argument("--device", choices=["cpu"], help="leave the GPU alone")
    parser.add_argument("--minutes", type=float, help="stop after so long, and summarize")
    parser.add_argument("--quick", action="store_true", help="two models of two people")
    parser.add_argument("--docs", type=Path, help="write results/meta-evaluation.json here")
    given = parser.parse_args()
    if given.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    threads = max(1, (os.cpu_count() or 1) // max(1, given.workers))
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    start = time.perf_counter()
    study = prepare(given.output, given.quick)
    print(f"prepared in {time.perf_counter() - start:.0f} s", flush=True)
    if given.workers:
        run(study, given.output, given.workers, given.minutes)
    print(summarize_jobs(study, given.output, given.docs))


if __name__ == "__main__":
    main()
