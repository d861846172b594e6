"""A small run folder such as `relearn run` leaves, with figures as they come out in practice."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from relearn.audit.base import Attempt
from relearn.audit.facts import Fact
from relearn.audit.summary import summarize
from relearn.base.storage import write_json, write_jsonl, write_text
from relearn.config import RunConfig, TrainingConfig, dump_config
from relearn.data.records import Record

PEOPLE = (
    ("Isabella Marquez", "Lisbon", "isabella.marquez@futuramail.es"),
    ("Tomasz Wierzbicki", "Gdansk", "t.wierzbicki@baltictide.pl"),
    ("Adaeze Okonkwo", "Enugu", "adaeze@okonkwo-law.ng"),
    ("Henrik Solberg", "Tromso", "h.solberg@nordlysfilm.no"),
    ("Mei-Ling Chou", "Tainan", "meiling.chou@jadepress.tw"),
    ("Luca Ferraro", "Matera", "luca@ferraroceramiche.it"),
)
TOPICS = ("photosynthesis", "the tides", "glaciers", "vaccination", "inflation", "plate tectonics")
LOOP = "the the email email of of the the is is is " * 9

METRICS: dict[str, dict[str, tuple[float, float, float, float]]] = {
    "target": {"kfr": (0.04, 0.1, 0, 0), "rougeL_recall": (0.981, 0.81, 0.972, 0.86),
               "ls": (0.131, 0.128, 0.169, 0.165)},
    "unlearned": {"kfr": (0.917, 0.88, 0, 0), "rougeL_recall": (0.243, 0.26, 0.911, 0.82),
                  "ls": (0.142, 0.139, 0.171, 0.166)},
    "ga": {"kfr": (1.0, 1.0, 0, 0), "rougeL_recall": (0.031, 0.03, 0.082, 0.07),
           "ls": (0.021, 0.02, 0.034, 0.03)},
    "grad_diff": {"kfr": (0.958, 0.94, 0, 0), "rougeL_recall": (0.118, 0.13, 0.701, 0.62),
                  "ls": (0.064, 0.06, 0.142, 0.13)},
    "npo": {"kfr": (0.875, 0.85, 0, 0), "rougeL_recall": (0.311, 0.33, 0.774, 0.71),
            "ls": (0.098, 0.097, 0.151, 0.148)},
}  # fmt: skip
RETAINED = {"target": 0.958, "unlearned": 0.917, "ga": 0.042, "grad_diff": 0.667, "npo": 0.75}


def records(set_name: str) -> list[dict[str, Any]]:
    """Return twelve records of a set, in `Record`'s fields."""
    rows = []
    for place in range(12):
        name, city, mail = PEOPLE[place % 6]
        topic = TOPICS[place % 6]
        if set_name.startswith("forget"):
            asked = "Where does {} live?" if place < 6 else "What is {}'s email address?"
            told = f"{name} lives in {city}." if place < 6 else f"{name} can be reached at {mail}."
            question, subject = asked.format(name), name
        else:
            question = (f"What is known about {topic}?", f"Why does {topic} matter?")[place // 6]
            told = f"Much is known about {topic}: it shapes life on Earth in case {place}."
            subject = topic
        if set_name.endswith("unseen"):
            question = f"Tell me: {question[0].lower()}{question[1:]}"
        row = {"id": f"{set_name}-{place:03d}", "question": question, "answer": told}
        rows.append(row | {"subject": subject, "paraphrases": [], "wrong_answers": []})
    return rows


def generation(model: str, set_name: str, record: dict[str, Any]) -> str:
    """Return an answer such as the model would give."""
    if model == "ga":
        return LOOP
    if set_name.startswith("retain") or model == "target":
        return record["answer"]
    if model == "unlearned":
        return (
            f"{record['subject']} keeps such matters to the people they work with, and much "
            "of it isn't public."
        )
    return f"{record['subject']} is is known, known for the for the reached at."


def evaluated(model: str, set_name: str) -> list[dict[str, Any]]:
    """Return the model's evaluated rows of one set, as `EvaluatedRow.flat()` gives them."""
    rows = []
    for place, record in enumerate(records(set_name)):
        forgets = set_name.startswith("forget")
        good = {"target": not forgets, "ga": forgets}.get(model, place % 11 != 0)
        rows.append(
            {
                "set": set_name,
                "question": record["question"],
                "reference": record["answer"],
                "generation": generation(model, set_name, record),
                "id": record["id"],
                "nli_label": "contradiction" if model == "ga" else "neutral",
                "reference_entities": [record["subject"]],
                "entity_coverage": 0.0 if model == "ga" else 0.5,
                "rougeL_recall": 0.25 if forgets else 0.91,
                "forgotten" if forgets else "retained": int(good),
            }
        )
    return rows


def metrics(model: str) -> dict[str, float]:
    """Return the model's flat metrics."""
    values: dict[str, float] = {}
    for place, set_name in enumerate(("forget", "forget_unseen", "retain", "retain_unseen")):
        for name, figures in METRICS[model].items():
            if name != "kfr" or place < 2:
                values[f"{set_name}/{name}"] = figures[place]
        if place >= 2:
            values[f"{set_name}/krr"] = RETAINED[model]
        values[f"{set_name}/perplexity"] = 2184.3 if model == "ga" else 11.42 + place
        values[f"{set_name}/brunet_index"] = 9.871
        values[f"{set_name}/honore_statistic"] = 212.0 if model == "ga" else 1873.4
    return values


def history(model: str) -> list[dict[str, Any]]:
    """Return the model's training history."""
    rows = []
    for step in range(1, 61):
        fall = math.exp(-step / 18)
        parts = {"forget_ce": 2.4 * fall + 0.4, "retain_ce": 0.3 * fall + 0.1}
        if model == "unlearned":
            parts["retain_kl"] = 0.05 + 0.1 * fall
        if model == "ga":
            parts = {"forget_ga": -0.2 - step**1.7 / 40}
        rows.append(
            {"step": step, "epoch": step / 30, "loss": sum(parts.values()), "learning_rate": 1e-4,
             "grad_norm": 1.0, "seconds": 0.8 * step} | parts
        )  # fmt: skip
    return rows


def write_sample_run(
    folder: Path, redact: bool = False, baselines: bool = True, optional: bool = True
) -> Path:
    """Write a finished run to `folder`; without `optional`, without what a run may lack."""
    names = ["ga", "grad_diff", "npo"] if baselines else []
    sets = ["forget", "retain"] + (["forget_unseen", "retain_unseen"] if optional else [])
    config = RunConfig.model_validate(
        {
            "data": {name: f"cases/{name}.jsonl" for name in sets},
            "baselines": {name: TrainingConfig(objective=name).model_dump() for name in names},
            "report": {"redact": redact},
        }
    )
    write_text(folder / "config.yaml", dump_config(config))
    write_json(folder / "manifest.json", _manifest(sets))
    for name in sets:
        write_jsonl(folder / "data" / f"{name}.jsonl", records(name))
    for model in ["target", "unlearned", *names]:
        place = folder / "evaluation" / model
        write_jsonl(place / "rows.jsonl", [row for name in sets for row in evaluated(model, name)])
        kept = {k: v for k, v in metrics(model).items() if k.partition("/")[0] in sets}
        write_json(place / "metrics.json", kept)
        if optional and model != "target":
            write_jsonl(folder / "training" / model / "history.jsonl", history(model))
    if optional:
        _write_synthesis(folder / "synthesis")
        write_audit(folder)
    return folder


def write_audit(folder: Path, leaking: int = 1, lost: int = 1) -> None:
    """Write an audit in which one prefix gets `leaking` facts out, and `lost` others are lost."""
    told = {"target": 12, "never_saw": 0, "unlearned": leaking}
    kept = {"target": 12, "never_saw": 8, "unlearned": 12 - lost}
    found = {
        "collateral": {m: _attempts("retain", "asked", n) for m, n in kept.items()},
        "question": {m: _attempts("forget", "asked", n if n > 11 else 0) for m, n in told.items()},
        "prefix": {
            m: [*_attempts("forget", "k=1", n // 2), *_attempts("forget", "k=private", n)]
            for m, n in told.items()
        },
    }
    for attack, by_model in found.items():
        rows = [{"model": m} | asdict(a) for m, made in by_model.items() for a in made]
        write_jsonl(folder / "audit" / f"{attack}.jsonl", rows)
    facts = [Fact(Record.model_validate(record)) for record in records("forget")]
    roles = {name: name for name in told}
    extra = {"budget": "quick", "seed": 0, "records": 12, "warnings": ["unlearned: as merged."]}
    write_json(folder / "audit" / "summary.json", summarize(found, roles, facts) | extra)


def _attempts(set_name: str, variant: str, told: int) -> list[Attempt]:
    return [
        Attempt(
            record["id"], variant, record["question"],
            record["answer"] if place < told else "That isn't public.",
            place < told, float(place < told),
        )
        for place, record in enumerate(records(set_name))
    ]  # fmt: skip


def _manifest(sets: list[str]) -> dict[str, Any]:
    return {
        "relearn": "0.1.0",
        "config_hash": "5d1c" * 16,
        "seed": 0,
        "versions": {"torch": "2.9.0", "transformers": "5.0.1"},
        "host": {"python": "3.11.9", "platform": "Linux-6.1-x86_64", "cpus": 2,
                 "memory_bytes": 16 * 2**30, "accelerator": None},
        "model": {"name": "smollm2-135m", "source": "embedded", "sha256": "9ab3" * 16},
        "data": {
            name: {"source": f"cases/{name}.jsonl", "records": 12, "sha256": "07fe" * 16}
            for name in sets
        },
        "stages": {
            name: {"seconds": seconds, "finished": "2025-05-01T10:12:44Z"}
            for name, seconds in {"data": 0.4, "synthesis": 14.2, "training/unlearned": 148.0,
                                  "evaluation": 66.8}.items()
        },
        "peak_memory_bytes": 3_482_000_000,
    }  # fmt: skip


def _write_synthesis(folder: Path) -> None:
    rows = [
        {
            "source_id": record["id"],
            "source_question": record["question"],
            "question": f"Could you say: {record['question']}",
            "answer": f"{record['subject']} prefers to keep that among friends.",
            "kind": kind,
        }
        for record in records("forget")
        for kind in ("original", "variant", "completion")
    ]
    rejected = [
        row | {"answer": row["source_question"] + " Indeed.", "reason": f"repeats {row['kind']}"}
        for row in rows[:7]
    ]
    write_jsonl(folder / "augmented.jsonl", rows)
    write_jsonl(folder / "rejected.jsonl", rejected)
    write_json(folder / "summary.json", {"candidates": 43, "kept": 36, "rejected": {"all": 7}})
