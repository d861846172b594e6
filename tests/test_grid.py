"""The grid of settings: its trainings, how they are scored and chosen, what is collected."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.grid import among, best_rates, collect, score, told, trainings
from relearn.base.storage import write_json

GRID: dict[str, Any] = {
    "shared": {"epochs": 9, "batch_size": 8},
    "rates": [1e-4, 1.3e-3],
    "objectives": {
        "npo": {"objective": "npo"},
        "plain": {"objective": "relearn", "epochs": 3, "rates": [2e-3]},
    },
}
FIGURES = {"KFR": 0.9, "KFR unseen": 0.6, "KRR": 1.0, "KRR unseen": 0.8, "LS forget": 0.06}


def test_every_objective_has_every_rate() -> None:
    named = trainings(GRID, {})
    found = {n: (t.objective, t.epochs, t.learning_rate) for n, t in named.items()}
    assert found == {
        "npo__1": ("npo", 9, 1e-4),
        "npo__2": ("npo", 9, 1.3e-3),
        "plain__1": ("relearn", 3, 2e-3),
    }
    assert {t.batch_size for t in named.values()} == {8}
    assert [*named] == ["npo__1", "plain__1", "npo__2"]  # rate by rate


def test_the_best_alone_are_trained() -> None:
    results = {"scores": {"npo__1": 0.2, "npo__2": 0.7, "plain__1": 0.0, "target": 0.9}}
    best = best_rates(results)
    assert best == {"npo": "npo__2", "plain": "plain__1"}
    assert [*trainings(GRID, best)] == ["plain__1", "npo__2"]


def test_single_trainings_and_methods_can_be_asked_for() -> None:
    named = trainings(GRID, {})
    assert among(named, []) == [*named]
    assert among(named, ["npo"]) == ["npo__1", "npo__2"]
    assert among(named, ["npo__2", "plain"]) == ["plain__1", "npo__2"]
    with pytest.raises(SystemExit, match=r"no npo__3\. It has npo, npo__1, "):
        among(named, ["npo", "npo__3"])


def test_the_score_is_low_where_one_of_three_is() -> None:
    # forgets 0.75, keeps 0.9, speaks half as well
    assert score(FIGURES, 0.12) == pytest.approx(3 / (1 / 0.75 + 1 / 0.9 + 1 / 0.5))
    # the private words count where they were measured: forgets 0.7
    assert score(FIGURES | {"private word": 0.4}, 0.06) == pytest.approx(
        3 / (1 / 0.7 + 1 / 0.9 + 1)
    )
    refuses_all = FIGURES | {"KRR": 0.0, "KRR unseen": 0.0, "KFR": 1.0, "KFR unseen": 1.0}
    assert score(refuses_all, 0.06) == 0


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Two seeds: the target, and one training of which the second failed."""
    for seed, kfr in ((0, 0.8), (1, 0.6)):
        folder = tmp_path / f"seed-{seed}"
        host = {"cpus": 2, "memory_bytes": 1, "accelerator": None}
        write_json(folder / "manifest.json", {"host": host, "relearn": "0", "versions": {}})
        for name, rate in (("target", 0.0), ("npo__1", kfr), ("npo__2", kfr)):
            metrics = {"forget/kfr": rate, "forget_unseen/kfr": rate, "retain/krr": 1.0}
            metrics |= {"retain_unseen/krr": 1.0, "forget/ls": 0.1}
            write_json(folder / "evaluation" / name / "metrics.json", metrics)
        for name in ("controls", "npo__1"):
            write_json(folder / "jobs" / f"{name}.json", {"seconds": {"training": 1}})
        attacked = {"npo__1": {"prefix": {"private_probability": kfr}}}
        write_json(folder / "audit" / "npo__1" / "summary.json", {"models": attacked})
        write_json(folder / "jobs" / "npo__2.json", {"seconds": {}, "failed": "Error: no"})
    return tmp_path


def test_what_is_done_is_collected_over_the_seeds(output: Path) -> None:
    results = collect(output)
    assert results["seeds"] == [0, 1]
    assert set(results["models"]) == {"target", "npo__1"}
    npo = results["models"]["npo__1"]
    assert npo["KFR"]["values"] == [0.8, 0.6]
    assert npo["private word"]["mean"] == pytest.approx(0.7)
    assert npo["seconds"]["mean"] == 1
    assert "seconds" not in results["models"]["target"]
    assert results["scores"]["npo__1"] > results["scores"]["target"]
    assert results["failed"] == {"seed-0 npo__2": "Error: no", "seed-1 npo__2": "Error: no"}
    assert "| npo__1 | 0.70 ± 1.27 |" in (output / "table.md").read_text()


def test_the_best_rate_of_each_objective_is_told_best_first() -> None:
    names = ["base", "npo__1", "npo__2", "plain__1", "target"]
    scores = {"npo__1": 0.2, "npo__2": 0.7, "plain__1": 0.8, "target": 0.9}
    results = {"seeds": [0], "models": {name: {"of": name} for name in names}, "scores": scores}
    assert [*told(results, GRID)["models"].items()] == [
        ("target", {"of": "target"}),
        ("plain 0.002", {"of": "plain__1"}),
        ("npo 0.0013", {"of": "npo__2"}),
        ("base", {"of": "base"}),
    ]
