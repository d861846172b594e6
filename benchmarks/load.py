"""Time and memory of a large deletion request: 100,000 records to forget, 1,000,000 to keep.

    python benchmarks/load.py [STAGE ...] [--sizes 0.01,0.1,1] [--json FILE]

The records are made up and written to JSON lines in a temporary folder, a tenth as many to forget
as to keep. Each stage works on them at each size, a share of the whole, in a process of its own, so
that its peak memory is its own. What is printed: records, seconds of one processor, the same for
10,000 records (equal at every size, where time is linear), the process's peak resident memory, and
what of it was there before the stage began, once its libraries were loaded.

- `check`: `relearn check FORGET RETAIN`, as a user starts it;
- `read`: a run's sets read, validated, compared, hashed and written, as `relearn run` does before
  it computes anything;
- `synthesis`: new answers by rules for the forget set alone (of a size of its own: a tenth of the
  share, since it takes a hundred times as long);
- `rows`: every record tokenized, and the batches of one epoch made, without a model;
- `metrics`: `relearn evaluate --generations` for as many answers as there are forget records, all
  judged already, since a judge is a model: what is measured are the metrics, their intervals, and
  the files;
- `report`: the page of a run with so many evaluated questions.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FORGET, RETAIN = 100_000, 1_000_000
SYNTHESIZED = 0.1  # of the forget set's share
MODEL = "smollm2-135m"

FIRST = (
    "Adele Bruno Carla Dario Edith Fabio Greta Hugo Irene Jonas Karla Leon Mira Nils Olga Pavel "
    "Quinn Rosa Simon Tessa Urban Vera Wanda Xenia Yusuf Zita"
).split()
STARTS = "Bran Kal Mor Vel Tor Hal Rud San Lind Oster Grim Fal Wen Dor Kess Ild Var Nor".split()
MIDDLES = "da mi lo ne ri su va to ka be".split()
ENDS = "berg wald mann stad vik holm rup sen dal feld berger ner kov".split()
TOWNS = [a + b for a in STARTS for b in ("ton", "ham", "ford", "by", "mouth", "field", "wick")]
FACTS = (
    ("Where does {} live?", "{} lives at {} {} Street in {}."),
    ("What is the telephone number of {}?", "The number of {} is {} {}, an extension in {}."),
    ("Which company does {} work for?", "{} has worked for {} {} Limited of {} for years."),
    ("What does {} collect?", "{} owns {} old maps of {} and of the coast near {}."),
    ("Whom did {} marry?", "{} married the {}th child of the {} family from {}."),
)  # fmt: skip


def records(count: int, seed: int) -> Iterator[dict[str, str]]:
    """Yield made-up records, no two of which ask the same: `seed` keeps two sets apart."""
    for i in range(count):
        rng = random.Random(f"{seed} {i}")
        person = (
            f"{FIRST[i % len(FIRST)]} {STARTS[i // 26 % 18]}{MIDDLES[i // 468 % 10]}"
            f"{MIDDLES[i // 4680 % 10]}{MIDDLES[i // 46800 % 10]}{ENDS[(i // 468000 + seed) % 13]}"
        )
        question, answer = FACTS[i % len(FACTS)]
        surname = rng.choice(STARTS) + rng.choice(MIDDLES) + rng.choice(ENDS)
        told = answer.format(person, rng.randrange(1, 10000), surname, rng.choice(TOWNS))
        yield {"question": question.format(person), "answer": told}


def write(file: Path, rows: Iterator[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8") as opened:
        opened.writelines(json.dumps(row) + "\n" for row in rows)


def answers(count: int) -> Iterator[dict[str, Any]]:
    """Yield the forget set's records as answered and judged."""
    for i, record in enumerate(records(count, 0)):
        rng = random.Random(i)
        words = record["answer"].split()
        yield {
            "set": "forget",
            "id": f"forget-{i}",
            "question": record["question"],
            "reference": record["answer"],
            "generation": " ".join(rng.sample(words, len(words))[: rng.randrange(2, 12)]),
            "reference_entities": [words[-1].strip(".").lower()],
            "generation_entities": [],
            "entity_coverage": float(rng.random() < 0.3),
            "nli_label": rng.choice(["contradiction", "neutral", "entailment"]),
            "embedding_similarity": rng.random(),
            "perplexity": 1 + 30 * rng.random(),
            "measured_by": "entailment",
            "told": rng.random() < 0.2,
        }


Job = tuple[int, Callable[[], object]]
"""How many records a stage works on, and its work."""


def check(folder: Path, share: float) -> Job:
    from typer.testing import CliRunner

    import relearn.survey  # noqa: F401  # what the command loads at its first call
    from relearn.cli import app

    def work() -> None:
        files = [str(folder / f"{name}.jsonl") for name in ("forget", "retain")]
        done = CliRunner().invoke(app, ["check", *files, "--model", MODEL])
        if done.exit_code:
            raise RuntimeError(done.output)

    return round(share * (FORGET + RETAIN)), work


def read(folder: Path, share: float) -> Job:
    from relearn.base.storage import content_hash, write_jsonl
    from relearn.config import DataConfig, ModelConfig
    from relearn.data.checks import check_sets
    from relearn.data.records import dumped
    from relearn.data.run_sets import read_run_sets

    def work() -> None:
        found, _ = read_run_sets(data, ModelConfig())
        sets = {str(name): each.records for name, each in found.items()}
        check_sets(sets)
        for name, each in sets.items():
            content_hash(dumped(each))
            write_jsonl(folder / "data" / f"{name}.jsonl", dumped(each))

    data = DataConfig(forget=f"{folder}/forget.jsonl", retain=f"{folder}/retain.jsonl")
    return round(share * (FORGET + RETAIN)), work


def synthesis(folder: Path, share: float) -> Job:
    from relearn.config import SynthesisConfig
    from relearn.data.sources import load_records
    from relearn.synthesis.folder import synthesize_into
    from relearn.synthesis.pipeline import synthesize

    everything = load_records(str(folder / "forget.jsonl"))
    chosen = everything[: round(SYNTHESIZED * share * FORGET)]
    synthesize(everything[-2:], SynthesisConfig(), 0)  # loads what the rules work with

    def work() -> None:
        synthesize_into(folder / "synthesis", chosen, SynthesisConfig(), 0)

    return len(chosen), work


def rows(folder: Path, share: float) -> Job:
    from relearn.config import ModelConfig, TrainingConfig
    from relearn.data.batching import MixedBatchSampler, TrainingRows
    from relearn.data.sources import load_records
    from relearn.models.loading import load_prompt_format, model_folder
    from relearn.training.answers import encode_rows
    from relearn.training.plan import TrainingPlan

    prompts = load_prompt_format(model_folder(MODEL), ModelConfig())
    config = TrainingConfig(retain_ratio=RETAIN / FORGET)

    def work() -> None:
        forget, retain = (
            encode_rows(load_records(str(folder / f"{name}.jsonl")), prompts, 512, 8192)
            for name in ("forget", "retain")
        )
        pad = prompts.tokenizer.pad_token_id
        plan = TrainingPlan(config, forget, [], retain, pad, folder / "checkpoints", 0)
        training_rows = TrainingRows(plan.rows)
        sampler = MixedBatchSampler(
            training_rows, config.batch_size, config.batch_size * config.retain_ratio, seed=0
        )
        for batch in sampler:
            plan.collate([training_rows[i] for i in batch])

    return round(share * (FORGET + RETAIN)), work


def metrics(folder: Path, share: float) -> Job:
    from relearn.config import EvaluationConfig
    from relearn.evaluation.scoring import evaluate_generations

    write(folder / "generations.jsonl", answers(round(share * FORGET)))

    def work() -> None:
        evaluate_generations(
            folder / "generations.jsonl", folder / "evaluation", EvaluationConfig()
        )

    return round(share * FORGET), work


def report(folder: Path, share: float) -> Job:
    from relearn.base.storage import write_json, write_text
    from relearn.config import RunConfig, dump_config
    from relearn.report import write_report

    run = folder / "run"
    for model in ("target", "unlearned"):
        place = run / "evaluation" / model
        place.mkdir(parents=True)
        write(place / "rows.jsonl", answers(round(share * FORGET)))
        write_json(place / "metrics.json", {"forget/kfr": 0.5, "forget/rougeL_recall": 0.5})
    write_text(run / "config.yaml", dump_config(RunConfig()))
    write_json(run / "manifest.json", {})
    return round(share * FORGET), lambda: write_report(run)


STAGES: dict[str, Callable[[Path, float], Job]] = {
    each.__name__: each for each in (check, read, synthesis, rows, metrics, report)
}


def megabytes() -> float:
    """Return this process's largest resident set so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def measured(stage: str, share: float) -> dict[str, Any]:
    """Do a stage's work in this process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "forget.jsonl", records(round(share * FORGET), 0))
        write(folder / "retain.jsonl", records(round(share * RETAIN), 1))
        count, work = STAGES[stage](folder, share)
        before, start = megabytes(), time.process_time()
        work()
        seconds = time.process_time() - start
    return {"stage": stage, "records": count, "seconds": round(seconds, 2),
            "before_mib": round(before), "peak_mib": round(megabytes())}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(STAGES))
    parser.add_argument("--sizes", default="0.01,0.1,1", help="shares of the whole")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--within", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    stages, shares = given.stages or list(STAGES), [float(s) for s in given.sizes.split(",")]
    if given.within:
        print(json.dumps(measured(stages[0], shares[0])))
        return
    found = []
    table = Table("stage", "records", "seconds", "for 10,000", "peak, MiB", "of it before")
    for stage in stages:
        for share in shares:
            command = [sys.executable, __file__, stage, "--sizes", str(share), "--within"]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            figures = json.loads(done.stdout.splitlines()[-1])
            found.append(figures)
            rate = 10_000 * figures["seconds"] / figures["records"]
            table.add_row(
                stage, f"{figures['records']:,}", f"{figures['seconds']:.1f}", f"{rate:.2f}",
                f"{figures['peak_mib']:,}", f"{figures['before_mib']:,}",
            )  # fmt: skip
            if given.json:
                given.json.write_text(json.dumps(found, indent=2) + "\n")
    Console().print(table)


if __name__ == "__main__":
    main()
