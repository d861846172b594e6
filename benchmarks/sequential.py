"""Deletion requests in a row: ten people of KnowUnDo, one after another, on one model.

    python benchmarks/sequential.py DATA --output DIR [--requests N] [--rehearsal RATIO] [--audit]

DATA is the folder with KnowUnDo's privacy part (`unlearn_train.json`, `retention_train.json`,
`retention_val.json`). The model first learns what it is to forget and to keep. Then each request is
a run of its own in DIR/1, DIR/2 …, which goes on from the one before (`relearn run --after`). What
is printed is read from the last run's `summary.json`: by request, the share of its questions that
count as forgotten (KFR) after each run, and the share of the retain sets that is kept (KRR). With
`--audit` the first and the last run's models are attacked as well.

What is done is not done again: the same command goes on where it was killed.
"""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from relearn.audit.pipeline import run_audit
from relearn.audit.sources import from_run
from relearn.base.storage import read_json, write_jsonl
from relearn.config import AuditConfig, MemorizeConfig, ModelConfig, load_config
from relearn.data.records import Record, spread
from relearn.data.sources import load_records
from relearn.run import run
from relearn.training.memorize import memorize

MODEL = "smollm2-135m"
PEOPLE = (
    "Isabella Marquez", "Hiro Tanaka", "Evelyn Smith", "Priya Gupta", "Li Wei", "Chloe Dubois",
    "Sergei Ivanov", "Maria Vazquez", "Amina Mohammed", "Lila Desai",
)  # fmt: skip
FORGET, RETAIN, UNSEEN = 4, 3, 1
"""Questions about each person: of a request; to keep; to keep, and never trained on."""

MEMORIZE = {
    "epochs": 7, "learning_rate": 2e-3, "batch_size": 8, "gradient_accumulation": 1,
    "lora": {"rank": 32, "alpha": 32, "dropout": 0.0},
}  # fmt: skip
SETTINGS = {
    "synthesis.variants": 1,
    "synthesis.completion_share": 0,
    "synthesis.generic_ratio": 0,
    "training.epochs": 4,
    "training.learning_rate": 1e-3,
    "training.batch_size": 2,
    "training.retain_ratio": 2,
    "training.gradient_accumulation": 1,
    "training.lora.dropout": 0.0,
    "evaluation.batch_size": 64,
    "evaluation.max_new_tokens": 56,
    "audit": "none",
}


def about(file: Path, person: str, count: int) -> list[Record]:
    records = [record for record in load_records(str(file)) if person in record.question]
    return spread(records, count)


def write_sets(data: Path, folder: Path) -> list[Record]:
    """Write the sets of the runs, and return all their records."""
    sets = {
        "retain": [r for p in PEOPLE for r in about(data / "retention_train.json", p, RETAIN)],
        "retain_unseen": [r for p in PEOPLE for r in about(data / "retention_val.json", p, UNSEEN)],
    }
    for number, person in enumerate(PEOPLE, 1):
        sets[f"forget-{number}"] = about(data / "unlearn_train.json", person, FORGET)
    for name, records in sets.items():
        rows = [{"question": r.question, "answer": r.answer} for r in records]
        write_jsonl(folder / f"{name}.jsonl", rows)
    return [record for records in sets.values() for record in records]


def run_all(data: Path, output: Path, requests: int, rehearsal: float) -> None:
    """Make the target, and a run for each request."""
    known = write_sets(data, output / "data")
    target = memorize(known, ModelConfig(name=MODEL), MemorizeConfig.model_validate(MEMORIZE), 0)
    first = SETTINGS | {
        "model.name": str(target),
        "evaluation.perplexity_model": MODEL,
        "data.retain": str(output / "data" / "retain.jsonl"),
        "data.retain_unseen": str(output / "data" / "retain_unseen.jsonl"),
        "training.rehearsal_ratio": rehearsal,
    }
    for number in range(1, requests + 1):
        settings = {"after": str(output / str(number - 1))} if number > 1 else first
        forget = {"data.forget": str(output / "data" / f"forget-{number}.jsonl")}
        run(load_config(named=settings | forget, inherit=True), output / str(number))


def show(output: Path, requests: int, console: Console) -> None:
    """Print the curve."""
    people = [person.split()[0] for person in PEOPLE[:requests]]
    table = Table("after", *people, "KRR", "KRR unseen", "LS retain", "training s")
    for number, entry in enumerate(read_json(output / str(requests) / "summary.json")["sequence"]):
        summary = read_json(output / entry["run"] / "summary.json")
        model = summary["unlearned"]
        rates = [f"{rate:.2f}" for rate in entry["kfr"]]
        table.add_row(
            f"request {number + 1}", *rates, *[""] * (requests - len(rates)),
            *(f"{model[key]:.3f}" for key in ("retain/krr", "retain_unseen/krr", "retain/ls")),
            f"{summary['seconds']['training/unlearned']:.0f}",
        )  # fmt: skip
    console.print(table)


def audit(run_folder: Path, console: Console) -> None:
    """Attack a run's model; the model that was never taught is the control."""
    wanted = AuditConfig(attacks=["question", "prefix", "phrasings"])
    summary = run_audit(from_run(run_folder, control=MODEL), run_folder / "audit", wanted)
    for attack, figures in summary["models"]["unlearned"].items():
        console.print(
            f"audit of {run_folder.name}, {attack}: {figures['leak_rate']:.2f} of "
            f"{summary['facts']} facts told, {figures['control']:.2f} by the control"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=len(PEOPLE))
    parser.add_argument("--rehearsal", type=float, default=1.0)
    parser.add_argument("--audit", action="store_true")
    chosen = parser.parse_args()
    console = Console(width=160)
    run_all(chosen.data, chosen.output, chosen.requests, chosen.rehearsal)
    show(chosen.output, chosen.requests, console)
    if chosen.audit:
        for number in dict.fromkeys((1, chosen.requests)):
            audit(chosen.output / str(number), console)


if __name__ == "__main__":
    main()
