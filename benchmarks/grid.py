"""A grid of settings: every training of it for every seed, side by side in worker processes.

    python -m benchmarks.grid RECIPE GRID.yaml OUTPUT [--seeds 0 1 2] [--workers N]
    python -m benchmarks.grid RECIPE GRID.yaml OUTPUT --tuned RESULTS.json   # another grid's best

The recipe says data, target, synthesis, evaluation and audit (`--set` changes it). GRID.yaml has
the settings that all trainings share, the objectives with what is their own, and the learning rates
to try:

    shared: {epochs: 3, batch_size: 8, gradient_accumulation: 1}
    rates: [5.0e-4, 2.0e-3]
    objectives:
      relearn: {objective: relearn}
      npo: {objective: npo, epochs: 9}

Each seed is a run folder, `OUTPUT/seed-N`, whose stages are those of `relearn run`: training and
evaluation of each training, and the attacks of the recipe's audit. What is done is not done again;
what fails is noted with its reason, and the others go on. `OUTPUT/results.json` has the figures of
`relearn reproduce`, over the seeds, and a score, by which `--tuned` chooses the best rate of an
objective for another grid: the harmonic mean of

- forgetting: mean of KFR, KFR of unseen questions, and 1 - probability of private words;
- keeping: mean of KRR and KRR of unseen questions;
- language: LS of answers to forget questions beside the target's, at most 1.

`--docs docs` writes all figures to `docs/results/GRID-RECIPE.json`, which `--tuned` takes as well,
and the best rate of each objective to `docs/results.md`.

Let few workers share a GPU: with eighteen on one H100, none of 56 trainings of TOFU's part was
through in 260 seconds, while the processors were idle.
"""

import argparse
import os
import shutil
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from statistics import harmonic_mean
from typing import Any

import psutil
import yaml

from relearn.audit.pipeline import run_audit
from relearn.audit.sources import from_run
from relearn.base.storage import read_json, write_json, write_text
from relearn.config import RunConfig, TrainingConfig, load_config
from relearn.experiment import figures_of, over_seeds, table, write_into
from relearn.run import stages_of

CONTROLS = "controls"
"""Name of the job that evaluates and attacks what the trained models are compared with."""
ENOUGH = 5
"""So many failures at the beginning are a mistake that the rest would make as well."""


def trainings(grid: Mapping[str, Any], best: Mapping[str, str]) -> dict[str, TrainingConfig]:
    """Return the grid's trainings, such as `npo__1`; only those of `best`, if there are any.

    They come rate by rate: a grid that is stopped early has tried something of every objective.
    """
    numbered = [
        (number, method, own, rate)
        for method, own in grid["objectives"].items()
        for number, rate in enumerate(own.get("rates", grid["rates"]), 1)
    ]
    found = {
        f"{method}__{number}": TrainingConfig.model_validate(
            grid["shared"]
            | {k: v for k, v in own.items() if k != "rates"}
            | {"learning_rate": rate}
        )
        for number, method, own, rate in sorted(numbered, key=lambda each: each[0])
    }
    if not best:
        return found
    return {name: t for name, t in found.items() if best.get(_method(name)) == name}


def among(named: Iterable[str], only: Sequence[str]) -> list[str]:
    """Return those of the trainings that `only` has, or has the method of; all if it is empty.

    Raises:
        SystemExit: `only` has what is not there.
    """
    names = [*named]
    known = {*names, *map(_method, names)}
    if missing := [each for each in only if each not in known]:
        raise SystemExit(
            f"--only: the grid has no {missing[0]}. It has {', '.join(sorted(known))}."
        )
    return [name for name in names if not only or {name, _method(name)} & {*only}]


def _method(name: str) -> str:
    return name.rsplit("__", 1)[0]


def prepare(folder: Path, config: RunConfig) -> None:
    """Do what comes before the trainings of one seed."""
    stages = stages_of(config, folder)
    stages.preflight()
    with stages.folder as held:
        for stage in stages:
            # Trainings and evaluations are named after their model: training/npo.
            if "/" not in stage.name and stage.name != "audit":
                held.do(stage)


def work(folder: Path, config: RunConfig, name: str) -> dict[str, Any]:
    """Train, evaluate and attack one model; return what it took in seconds, or why it failed."""
    start = time.perf_counter()
    seconds: dict[str, float] = {}

    def lap(what: str) -> None:
        seconds[what] = round(time.perf_counter() - start - sum(seconds.values()), 2)

    try:
        stages = stages_of(config, folder)
        # The other trainings are made elsewhere, and not compared with.
        stages.failed |= {other: "" for other in config.trainings if other != name}
        lap("reading")
        if name != CONTROLS:
            stages.training(name)
            lap("training")
        stages.evaluation("target" if name == CONTROLS else name)
        lap("evaluation")
        if config.audit:
            attack(folder, config, name)
            lap("audit")
        return {"seconds": seconds}
    except Exception:  # the other trainings go on
        return {"seconds": seconds, "failed": traceback.format_exc()}


def attack(folder: Path, config: RunConfig, name: str) -> dict[str, Any]:
    """Attack one model; what the controls said is taken from their own audit."""
    assert config.audit
    output = folder / "audit" / name
    controls = folder / "audit" / CONTROLS / "parts"
    if name != CONTROLS and not output.exists():
        shutil.copytree(controls, output / "parts")
    subject = from_run(folder, trainings=[] if name == CONTROLS else [name])
    return run_audit(subject, output, config.audit, config.seed)


def run_grid(
    config: RunConfig,
    seeds: Sequence[int],
    names: Sequence[str],
    output: Path,
    workers: int,
    deadline: float,
) -> None:
    """Do every job that is not done yet; a note of each is in `seed-N/jobs`.

    What failed before is tried again.

    Args:
        config: The recipe's, with all trainings as baselines.
        seeds: Of the runs.
        names: Of the trainings to do now; the run folders are for all of them.
        output: Folder of the runs.
        workers: Processes.
        deadline: By the clock `time.monotonic`; jobs that have not begun by then are left.
    """
    runs = {output / f"seed-{s}": config.model_copy(update={"seed": s}) for s in seeds}
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    try:
        for done in [pool.submit(prepare, *each) for each in runs.items()]:
            done.result()
        _all_done(pool, [(f, c, CONTROLS) for f, c in runs.items()], deadline)
        jobs = [(f, c, name) for f, c in runs.items() for name in names]
        _all_done(pool, jobs, deadline)
    finally:
        pool.shutdown(wait=time.monotonic() < deadline, cancel_futures=True)


def _all_done(
    pool: ProcessPoolExecutor, jobs: Sequence[tuple[Path, RunConfig, str]], deadline: float
) -> None:
    notes = [_note(folder, name) for folder, _, name in jobs]
    waiting = {
        pool.submit(work, *job): job
        for job, note in zip(jobs, notes, strict=True)
        if not note.is_file() or "failed" in read_json(note)
    }
    left, failures = max(0.0, deadline - time.monotonic()), 0
    try:
        for count, job in enumerate(as_completed(waiting, timeout=left), 1):
            folder, _, name = waiting[job]
            write_json(_note(folder, name), job.result())
            said = job.result().get("failed", "").strip().split("\n")[-1] or "done"
            took = job.result()["seconds"]
            failures += "failed" in job.result()
            if count == failures == ENOUGH:
                raise SystemExit(f"the first {ENOUGH} jobs all failed:\n{job.result()['failed']}")
            print(f"{count}/{len(waiting)} {folder.name} {name}: {said} {took}", flush=True)
    except TimeoutError:
        print("the time is over", flush=True)


def _note(folder: Path, name: str) -> Path:
    return folder / "jobs" / f"{name}.json"


def collect(output: Path) -> dict[str, Any]:
    """Return the figures of all jobs that are done, over the seeds, and write them."""
    found: dict[str, dict[str, list[float]]] = {}
    failed: dict[str, str] = {}
    manifest: dict[str, Any] = {}
    seeds = []
    for folder in sorted(output.glob("seed-*")):
        manifest = read_json(folder / "manifest.json")
        seeds.append(int(folder.name.removeprefix("seed-")))
        for name, figures in _of_seed(folder, failed):
            for figure, value in figures.items():
                found.setdefault(name, {}).setdefault(figure, []).append(value)
    models: dict[str, dict[str, Any]] = {
        name: {figure: over_seeds(values) for figure, values in figures.items()}
        for name, figures in found.items()
    }
    language = models.get("target", {}).get("LS forget", {}).get("mean")
    results = {
        "experiment": output.name,
        "seeds": seeds,
        "hardware": {k: manifest["host"][k] for k in ("cpus", "memory_bytes", "accelerator")},
        "versions": {"relearn": manifest["relearn"], **manifest["versions"]},
        "models": models,
        "scores": {
            name: score({k: v["mean"] for k, v in figures.items()}, language)
            for name, figures in models.items()
            if "KFR" in figures and language
        },
        "failed": failed,
    }
    write_json(output / "results.json", results)
    write_text(output / "table.md", table(results) + "\n")
    return results


def _of_seed(folder: Path, failed: dict[str, str]) -> Iterator[tuple[str, dict[str, float]]]:
    for file in sorted((folder / "jobs").glob("*.json")):
        note, name = read_json(file), file.stem
        if "failed" in note:
            failed[f"{folder.name} {name}"] = note["failed"]
            continue
        model = "target" if name == CONTROLS else name
        evaluated = read_json(folder / "evaluation" / model / "metrics.json")
        audit = folder / "audit" / name / "summary.json"
        attacked = read_json(audit)["models"] if audit.is_file() else {}
        took = {} if name == CONTROLS else {"seconds": note["seconds"]["training"]}
        yield model, figures_of(evaluated, attacked.get(model)) | took
        if name == CONTROLS:
            for control in attacked.keys() - {"target"}:
                yield control, figures_of({}, attacked[control])


def score(figures: Mapping[str, float], language_of_target: float) -> float:
    """Return by how much a model forgets, keeps and still speaks; see above. 0 to 1."""
    told = [1 - figures["private word"]] if "private word" in figures else []
    forgets = [figures["KFR"], figures["KFR unseen"], *told]
    keeps = [figures["KRR"], figures["KRR unseen"]]
    means = [sum(each) / len(each) for each in (forgets, keeps)]
    return harmonic_mean([*means, min(1.0, figures["LS forget"] / language_of_target)])


def best_rates(results: Mapping[str, Any]) -> dict[str, str]:
    """Return by method the name of its best training."""
    best: dict[str, str] = {}
    for name, value in results["scores"].items():
        method = _method(name)
        if method != "target" and value > results["scores"].get(best.get(method, ""), -1.0):
            best[method] = name
    return best


def told(results: Mapping[str, Any], grid: Mapping[str, Any]) -> dict[str, Any]:
    """Return the results of each objective's best rate, best first, and of the controls.

    An objective is named with its rate, as in `npo 0.0005`.
    """
    made, models = trainings(grid, {}), results["models"]
    best = sorted(best_rates(results).values(), key=lambda name: -results["scores"][name])
    rows = {f"{_method(n)} {made[n].learning_rate:g}": models[n] for n in best}
    others = {name: each for name, each in models.items() if name not in made}
    return {**results, "models": {"target": others.pop("target"), **rows, **others}}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("grid", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--tuned", type=Path, help="results of the grid whose best rates are taken")
    parser.add_argument("--set", nargs="+", default=[], help="settings of the recipe")
    parser.add_argument("--only", nargs="+", help="of the methods (npo) and trainings (npo__3)")
    parser.add_argument("--docs", type=Path, help="folder of the table and all figures")
    parser.add_argument("--prepare", action="store_true", help="do what the trainings need alone")
    parser.add_argument("--seconds", type=float, default=1e6, help="then stop")
    chosen = parser.parse_args()
    deadline = time.monotonic() + chosen.seconds
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    grid = yaml.safe_load(chosen.grid.read_text())
    best = best_rates(read_json(chosen.tuned)) if chosen.tuned else {}
    named = trainings(grid, best)
    names = [] if chosen.prepare else among(named, chosen.only or [])
    config = load_config(chosen.recipe, chosen.set).model_copy(update={"baselines": named})
    run_grid(config, chosen.seeds, names, chosen.output, chosen.workers, deadline)
    results = collect(chosen.output)
    if chosen.docs and results["scores"]:  # otherwise the time was over before the first model
        results["experiment"] = f"{chosen.grid.stem}-{chosen.recipe.stem}"
        write_json(chosen.docs / "results" / f"{results['experiment']}.json", results)
        write_into(chosen.docs / "results.md", told(results, grid))
    print((chosen.output / "table.md").read_text())
    for name, value in sorted(results["scores"].items(), key=lambda each: -each[1]):
        print(f"{value:.3f} {name}")
    if time.monotonic() >= deadline:  # workers may still be at it
        for worker in psutil.Process().children(recursive=True):
            worker.kill()


if __name__ == "__main__":
    main()
