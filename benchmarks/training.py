"""Training speed and memory beside the recipes of two other code bases, on the same rows.

    python benchmarks/training.py [--quick] [--json FILE] [--scaling]
    python benchmarks/training.py --quick --open-unlearning DIR --python EXE

Three sides train a LoRA adapter (rank 32, no dropout, so that losses can be compared) on the same
model with ReLearn's loss, CE(forget) + CE(retain) + KL(reference || policy on retain):

- *fixed padding*, as zjunlp/unlearn trains: rows padded on the left to 512 tokens, a second model
  as reference, separate forward passes of forget and retain rows, logits and KL over the full
  vocabulary at every position;
- *dynamic padding*, as open-unlearning's GradDiff with KL: rows padded to the longest of the batch,
  a deep copy of the model as reference, retain rows forwarded twice, the first time for nothing;
- *relearn*: `relearn.training.engine.train` as it is.

Both recipes are rewritten in `sides.py`, on transformers and peft, with a bare loop instead of a
Trainer. Each side runs in a process of its own. The clock runs from the loaded model to the
adapter on disk: so it counts the second model, and what relearn computes once before training. A
first training, on rows of its own, is not timed. The KL is averaged over padding too in both
recipes, so what is compared are the cross-entropies. Products are made in bfloat16, on a CPU that
has no instructions for it in float32; by all sides.

With `--open-unlearning DIR --python EXE` a fourth side takes part: open-unlearning's own trainer, a
checkout in DIR run by the interpreter EXE, in a race from nothing to a trained model (`race.py`).

What is done is kept in FILE.partial until all is: the same command goes on where it was killed.
"""

import argparse
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from race import RACERS, Race, run_race
from rich.console import Console
from rich.table import Table
from scipy.stats import linregress
from sides import PRODUCTS, Seconds, dynamic_padding, fixed_padding, relearn
from torch import nn

from relearn.base.storage import write_json
from relearn.config import ColumnsConfig, ModelConfig
from relearn.data.sources import load_records
from relearn.data.tokenization import Example, PromptFormat
from relearn.models.loading import best_device, load_tokenizer, model_folder

SIDES = {
    "fixed_padding": "fixed padding (zjunlp/unlearn's recipe)",
    "dynamic_padding": "dynamic padding (open-unlearning's recipe)",
    "relearn": "relearn",
}
SHARED = Path(__file__).parents[2] / "shared" / "data" / "knowundo_privacy"
RACE_ROWS = 16


@dataclass(frozen=True)
class Workload:
    """What every side does.

    Attributes:
        model: Name of the model.
        rows: Forget rows, and as many retain rows.
        batch_size: Forget rows of an optimizer step, and as many retain rows.
        epochs: Passes over them.
        length: Rows are made this many tokens long by repeating their answers; 0 leaves them.
    """

    model: str
    rows: int
    batch_size: int
    epochs: int
    length: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="4 rows of each set instead of 32")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--scaling", action="store_true", help="relearn's cost by size and length")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rows", type=int, help="forget rows, and as many retain rows")
    parser.add_argument("--batch-size", type=int, help="forget rows of an optimizer step")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--open-unlearning", type=Path, help="folder of its checkout")
    parser.add_argument("--python", help="interpreter that has open-unlearning's requirements")
    parser.add_argument("--rounds", type=int, default=1, help="of the race; medians are given")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--workload", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(run_side(arguments.side, Workload(**arguments.workload))))
        return
    workload = Workload(
        arguments.model,
        arguments.rows or (4 if arguments.quick else 32),
        # The paper's on KnowUnDo.
        arguments.batch_size or 4,
        arguments.epochs or 4,
    )
    if bool(arguments.open_unlearning) != bool(arguments.python):
        parser.error("--open-unlearning and --python go together")
    kept = Kept(arguments.json, workload)
    result = scaling(workload) if arguments.scaling else comparison(workload, kept)
    if arguments.open_unlearning:
        checkout, python = arguments.open_unlearning.resolve(), arguments.python
        result["race"] = race(workload.model, checkout, python, arguments.rounds, kept)
    if arguments.json:
        write_json(arguments.json, result)
    kept.forget()


class Kept:
    """Figures that are measured already, in a file beside the results until all are.

    Args:
        results: File of the results; None keeps figures in memory alone.
        workload: Figures of another one are not taken up.
    """

    def __init__(self, results: Path | None, workload: Workload) -> None:
        self._file = results and results.with_name(f"{results.name}.partial")
        self.figures: dict[str, Any] = {"workload": asdict(workload)}
        if self._file and self._file.is_file():
            found = json.loads(self._file.read_text())
            if found["workload"] == asdict(workload):
                self.figures = found

    def save(self) -> None:
        """Write what there is."""
        if self._file:
            write_json(self._file, self.figures)

    def forget(self) -> None:
        """Delete the file."""
        if self._file:
            self._file.unlink(missing_ok=True)


def race(
    model: str, checkout: Path, python: str, rounds: int, kept: Kept
) -> dict[str, dict[str, float]]:
    """Race against open-unlearning's trainer, print the table and return the figures."""
    sets = [load_records(source, ColumnsConfig(), "race")[:RACE_ROWS] for source in sources()]
    forget, retain = ([(r.question, r.answer) for r in records] for records in sets)
    course = Race(model_folder(model), forget, retain, str(PRODUCTS).removeprefix("torch."))
    sides = run_race(
        course, checkout, python, rounds, kept.figures.setdefault("race", {}), kept.save
    )
    table = Table("", "examples/s", "seconds", "speedup", "by CPU time", "peak GiB", "memory")
    for side, figures in sides.items():
        table.add_row(
            RACERS[side],
            f"{figures['examples_per_second']:.2f}",
            f"{figures['seconds']:.1f}",
            f"{figures['speedup']:.2f}",
            f"{figures['cpu_speedup']:.2f}",
            f"{figures['peak_memory_bytes'] / 2**30:.2f}",
            f"{figures['memory_ratio']:.2f}",
        )
    table.caption = (
        f"{len(forget)} forget and {len(retain)} retain rows, {course.epochs} epochs, GradDiff, "
        f"products in {course.precision}; from the launch of a process to its exit. speedup and "
        "memory: beside open-unlearning."
    )
    console().print(table)
    return sides


def comparison(workload: Workload, kept: Kept) -> dict[str, object]:
    """Run the three sides, print the table and return the figures."""
    sides = kept.figures.setdefault("sides", {})
    for side in SIDES:
        if side not in sides:
            sides[side] = in_process(side, workload)
            kept.save()
    ours, peak = sides["relearn"], matmul_peak()
    columns = "examples/s", "speedup", "by CPU time", "peak GiB", "memory", "loss", "first"
    table = Table("", *columns, "peak share")
    for side, title in SIDES.items():
        figures = sides[side]
        figures["matmul_peak_share"] = figures["flops_per_second"] / peak
        table.add_row(
            title,
            f"{figures['examples_per_second']:.2f}",
            f"{ours['examples_per_second'] / figures['examples_per_second']:.1f}",
            f"{figures['cpu_seconds'] / ours['cpu_seconds']:.1f}",
            f"{figures['peak_memory_bytes'] / 2**30:.2f}",
            f"{ours['peak_memory_bytes'] / figures['peak_memory_bytes']:.2f}",
            f"{figures['loss']:.4f}",
            f"{figures['first_loss']:.4f}",
            f"{figures['matmul_peak_share']:.0%}",
        )
    table.caption = (
        "speedup and memory: relearn's over the side's; by CPU time is what a busy machine "
        "disturbs least. loss: CE(forget) + CE(retain), mean over "
        "all steps, and at the first. peak share: products that the unpadded rows need, over "
        f"this machine's {peak / 1e9:.0f} GFLOP/s in {PRODUCTS}."
    )
    console().print(table)
    return {
        **sides,
        **{
            f"speedup_{side}": ours["examples_per_second"] / sides[side]["examples_per_second"]
            for side in ("fixed_padding", "dynamic_padding")
        },
        **{
            f"cpu_speedup_{side}": sides[side]["cpu_seconds"] / ours["cpu_seconds"]
            for side in ("fixed_padding", "dynamic_padding")
        },
        **{
            f"memory_ratio_{side}": ours["peak_memory_bytes"] / sides[side]["peak_memory_bytes"]
            for side in ("fixed_padding", "dynamic_padding")
        },
        "matmul_peak_flops_per_second": peak,
        "workload": asdict(workload),
        "threads": torch.get_num_threads(),
    }


def scaling(workload: Workload) -> dict[str, object]:
    """Show that relearn's cost is linear in the forget set's size, and in the rows' length."""
    series = {
        "forget-set size": [(rows, 64) for rows in (8, 16, 32, 64)],
        "length": [(8, length) for length in (64, 128, 256, 512)],
    }
    table = Table("by", "forget rows", "tokens a row", "seconds", "CPU seconds")
    result: dict[str, object] = {"threads": torch.get_num_threads()}
    # The first training of a process is slower.
    run_side("relearn", replace(workload, rows=8, epochs=1, length=64))
    for name, sizes in series.items():
        points = []
        for rows, length in sizes:
            size = replace(workload, rows=rows, epochs=1, length=length)
            figures = run_side("relearn", size)
            point = {"rows": rows, "length": length, "tokens": 2 * rows * length}
            points.append(point | {key: figures[key] for key in ("seconds", "cpu_seconds")})
            table.add_row(
                name,
                str(rows),
                str(length),
                *(f"{figures[key]:.2f}" for key in ("seconds", "cpu_seconds")),
            )
        table.add_section()
        fits = {key: fit(points, key) for key in ("seconds", "cpu_seconds")}
        result[name.replace(" ", "_").replace("-", "_")] = {"points": points, "fits": fits}
        for key, line in fits.items():
            print(
                f"{name}: {key.replace('_', ' ')} = {line['intercept']:.2f} + "
                f"{line['per_thousand_tokens']:.3f} x thousand tokens, R2 {line['r2']:.4f}"
            )
    console().print(table)
    return result


def fit(points: list[dict[str, float]], key: str) -> dict[str, float]:
    """Fit a line to the points' times by their tokens."""
    line = linregress([p["tokens"] / 1000 for p in points], [p[key] for p in points])
    return {
        "intercept": line.intercept,
        "per_thousand_tokens": line.slope,
        "r2": line.rvalue**2,
    }


def console() -> Console:
    """Return a console whose tables are whole in a file too."""
    return Console(width=None if sys.stdout.isatty() else 140)


def in_process(side: str, workload: Workload) -> dict[str, float]:
    """Run one side in a process of its own, whose peak memory is that side's alone."""
    command = [sys.executable, __file__, "--side", side, "--workload", json.dumps(asdict(workload))]
    # What relearn sets for itself is not set for the others.
    setting = {} if side == "relearn" else {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "1024"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=False, env=setting | os.environ
    )
    if done.returncode == -signal.SIGKILL:
        sys.exit(f"{SIDES[side]}: killed, probably out of memory; try --batch-size 2")
    done.check_returncode()
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run_side(side: str, workload: Workload) -> dict[str, float]:
    """Train one side's way and return its figures."""
    folder = model_folder(workload.model)
    tokenizer = load_tokenizer(folder, ModelConfig())
    forget, retain = load_rows(PromptFormat(tokenizer), workload)
    ways: dict[str, Callable[..., tuple[Seconds, list[float]]]] = {
        "fixed_padding": fixed_padding,
        "dynamic_padding": dynamic_padding,
        "relearn": relearn,
    }
    size = workload.batch_size
    ways[side](folder, tokenizer, forget[-1:], retain[-1:], 1, 1)  # warm up
    gc.collect()
    forget, retain = forget[: workload.rows], retain[: workload.rows]
    seconds, losses = ways[side](folder, tokenizer, forget, retain, size, workload.epochs)
    examples = workload.epochs * 2 * workload.rows
    flops = workload.epochs * needed_flops(folder, forget, retain)
    return {
        "examples_per_second": examples / seconds.wall,
        "peak_memory_bytes": peak_memory_bytes(),
        "loss": sum(losses) / len(losses),
        "first_loss": losses[0],
        "seconds": seconds.wall,
        "cpu_seconds": seconds.cpu,
        "steps": len(losses),
        "examples": examples,
        "flops_per_second": flops / seconds.wall,
    }


def peak_memory_bytes() -> int:
    """Return the most memory that this process has had: the accelerator's, where there is one."""
    if torch.accelerator.is_available():
        # The device's own module: torch.accelerator has no such function before torch 2.9.
        of_device: int = getattr(torch, best_device().type).max_memory_allocated()
        return of_device
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)


def load_rows(
    prompt_format: PromptFormat, workload: Workload
) -> tuple[list[Example], list[Example]]:
    """Return KnowUnDo's rows, and after them one for the warm-up."""
    sets = []
    for source in sources():
        records = load_records(source, ColumnsConfig(), source)
        examples = [prompt_format.encode(r.question, r.answer) for r in records]
        wanted = workload.rows + 1
        examples = (examples * -(-wanted // len(examples)))[:wanted]
        sets.append([lengthened(e, workload.length) for e in examples])
    return sets[0], sets[1]


def sources() -> list[str]:
    """Return where forget and retain rows are from: KnowUnDo, or else the demo."""
    files = {"forget": SHARED / "unlearn_train.json", "retain": SHARED / "retention_train.json"}
    return [str(file) if file.is_file() else f"demo:{kind}" for kind, file in files.items()]


def lengthened(example: Example, length: int) -> Example:
    if not length:
        return example
    room = max(length - len(example.prompt), 1)
    return Example(example.prompt, (example.answer * room)[:room])


def needed_flops(folder: Path, forget: list[Example], retain: list[Example]) -> float:
    """Return the floating-point operations of one epoch's products, unpadded, nothing shared.

    Two for each weight of a linear layer and token forward, two backward, for the input's gradient
    alone as the weights are frozen; of the output head for answer tokens only. The reference's
    forward pass and attention's products are left out.
    """
    with torch.device("meta"):
        from transformers import AutoConfig, AutoModelForCausalLM

        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    head = model.get_output_embeddings()
    body = sum(
        m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear) and m is not head
    )
    examples = [*forget, *retain]
    tokens, answers = sum(map(len, examples)), sum(len(e.answer) for e in examples)
    return 4.0 * (body * tokens + head.weight.numel() * answers)


def matmul_peak() -> float:
    """Return the floating-point operations a second of a large matrix product."""
    device = best_device()
    # As large as it takes to keep the device busy: an H100 does half of what it can with 2048.
    size = 2048 if device.type == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device).to(PRODUCTS) for _ in range(2))
    times = []
    for _ in range(8):
        start = time.perf_counter()
        a @ b
        if device.type != "cpu":
            torch.accelerator.synchronize()
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


if __name__ == "__main__":
    main()
