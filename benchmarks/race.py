"""A race against open-unlearning's own trainer, each side a process of its own.

Both sides start from nothing and train the same model on the same rows with GradDiff,
-CE(forget) + CE(retain): the same epochs, rows of a step, maximum length, learning rate, weight
decay and precision. What is measured is the whole process: its time from the launch to its exit,
with imports, loading and saving, and its peak memory.

open-unlearning runs from a checkout and by an interpreter that has its requirements; its files are
read, never changed. Its transformers is older than ours, so that it is given a copy of the model's
configuration in the older form; the weights are the same file.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

Figures = dict[str, float]

RACERS = {
    "open_unlearning": "open-unlearning, full fine-tuning",
    "relearn_full": "relearn, full fine-tuning",
    "relearn_lora": "relearn, LoRA",
}
MAX_LENGTH = 512


@dataclass(frozen=True)
class Race:
    """What every side does.

    Attributes:
        model: Folder of the model.
        forget: Questions and answers of the forget rows.
        retain: Likewise of the retain rows, as many.
        precision: Of the products, `bfloat16` or `float32`; fully trained weights are float32.
        batch_size: Forget rows of an optimizer step, and as many retain rows.
        epochs: Passes over them.
    """

    model: Path
    forget: list[tuple[str, str]]
    retain: list[tuple[str, str]]
    precision: str
    batch_size: int = 4
    epochs: int = 4

    @property
    def examples(self) -> int:
        """Rows that are trained on, all epochs together."""
        return self.epochs * (len(self.forget) + len(self.retain))


def run_race(
    race: Race,
    checkout: Path,
    python: str,
    rounds: int,
    runs: dict[str, list[Figures]],
    save: Callable[[], None],
) -> dict[str, Figures]:
    """Let all sides run by turns, and return each side's median figures and their ratios.

    Args:
        race: What they do.
        checkout: Folder of open-unlearning.
        python: Interpreter that has its requirements.
        rounds: How often each side runs.
        runs: Figures of each run so far, by side; what is missing is added.
        save: Called after each run.
    """
    with tempfile.TemporaryDirectory() as scratch:
        for turn in range(rounds):
            for side in RACERS:
                done = runs.setdefault(side, [])
                if len(done) <= turn:
                    done.append(_run(side, race, checkout, python, Path(scratch, f"{side}{turn}")))
                    save()
    sides = {
        side: {name: median(run[name] for run in done) for name in done[0]}
        for side, done in runs.items()
    }
    theirs = sides["open_unlearning"].copy()
    for figures in sides.values():
        figures["examples_per_second"] = race.examples / figures["seconds"]
        figures["speedup"] = theirs["seconds"] / figures["seconds"]
        figures["cpu_speedup"] = theirs["cpu_seconds"] / figures["cpu_seconds"]
        figures["memory_ratio"] = figures["peak_memory_bytes"] / theirs["peak_memory_bytes"]
    return sides


def _run(side: str, race: Race, checkout: Path, python: str, folder: Path) -> Figures:
    folder.mkdir()
    files = {}
    for name, rows in (("forget", race.forget), ("retain", race.retain)):
        files[name] = folder / f"{name}.jsonl"
        lines = (json.dumps({"question": q, "answer": a}) + "\n" for q, a in rows)
        files[name].write_text("".join(lines), encoding="utf-8")
    if side == "open_unlearning":
        command = [python, "src/train.py", *_overrides(race, files, folder)]
        # Nothing is fetched, and no cache of an earlier run helps.
        setting = {"HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
        return _measured(command, folder / "log.txt", setting, checkout)
    job = _job(side.removeprefix("relearn_"), race, files, folder / "trained")
    command = [sys.executable, str(Path(__file__).with_name("relearn_side.py")), json.dumps(job)]
    return _measured(command, folder / "log.txt", {})


def _job(method: str, race: Race, files: dict[str, Path], output: Path) -> dict[str, object]:
    return {
        "model": str(race.model),
        "forget": str(files["forget"]),
        "retain": str(files["retain"]),
        "output": str(output),
        "training": {
            "method": method,
            "objective": "grad_diff",
            "epochs": race.epochs,
            "batch_size": race.batch_size,
            "gradient_accumulation": 1,
            # Adapters take larger steps; it does not change the time.
            "learning_rate": 1e-5 if method == "full" else 1e-4,
            "weight_decay": 0.01,
            "warmup_ratio": 0,
            "max_length": MAX_LENGTH,
        },
    }


def _overrides(race: Race, files: dict[str, Path], folder: Path) -> list[str]:
    """Return open-unlearning's command line: its GradDiff on our files, without evaluations."""
    model = _older_form(race.model, folder / "model")
    arguments = {
        "model.model_args.pretrained_model_name_or_path": model,
        "model.tokenizer_args.pretrained_model_name_or_path": model,
        # As ours: weights and moments in float32, products in the type below.
        "model.model_args.torch_dtype": "float32",
        # Its default needs a GPU.
        "model.model_args.attn_implementation": "sdpa",
        "model.template_args.system_prompt": "null",
        "model.template_args.date_string": "null",
        "trainer.args.bf16": str(race.precision == "bfloat16").lower(),
        "trainer.args.bf16_full_eval": "false",
        "trainer.args.num_train_epochs": race.epochs,
        "trainer.args.per_device_train_batch_size": race.batch_size,
        "trainer.args.gradient_accumulation_steps": 1,
        "trainer.args.learning_rate": 1e-5,
        "trainer.args.weight_decay": 0.01,
        "trainer.args.optim": "adamw_torch",  # its default needs a GPU
        "trainer.args.report_to": "none",
        "trainer.args.do_eval": "false",
        "trainer.args.eval_on_start": "false",
        "trainer.args.eval_strategy": "no",
        "paths.output_dir": folder / "trained",
    }
    for kind, file in files.items():
        rows = f"data.{kind}.TOFU_QA_{kind}.args"
        arguments |= {
            f"{rows}.hf_args.path": "json",
            f"{rows}.hf_args.name": "null",
            f"{rows}.hf_args.split": "train",
            f"+{rows}.hf_args.data_files": file,
            f"{rows}.max_length": MAX_LENGTH,
        }
    fixed = ["--config-name=unlearn.yaml", "trainer=GradDiff", "task_name=race", "~eval"]
    cpu = "+trainer.args.use_cpu=true"
    return [*fixed, cpu, *(f"{name}={value}" for name, value in arguments.items())]


def _older_form(model: Path, folder: Path) -> Path:
    """Describe the model as transformers 4 wrote it, beside links to its files."""
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).symlink_to(file.resolve())
    config = json.loads((model / "config.json").read_text())
    rope = config.pop("rope_parameters", None) or {}
    if "rope_theta" in rope:
        config["rope_theta"] = rope["rope_theta"]
    _replace(folder / "config.json", config)
    tokenizer = json.loads((model / "tokenizer_config.json").read_text())
    tokenizer["tokenizer_class"] = "PreTrainedTokenizerFast"
    template = model / "chat_template.jinja"
    if template.is_file():
        tokenizer["chat_template"] = template.read_text(encoding="utf-8")
    _replace(folder / "tokenizer_config.json", tokenizer)
    return folder


def _replace(link: Path, content: dict[str, object]) -> None:
    link.unlink()
    link.write_text(json.dumps(content), encoding="utf-8")


def _measured(
    command: list[str], log: Path, setting: dict[str, str], folder: Path | None = None
) -> Figures:
    """Run a command and return its time by the clock, of all cores, and its peak memory."""
    with log.open("w", encoding="utf-8") as file:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=folder, env=os.environ | setting
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        end = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:])
        sys.exit(f"{' '.join(command[:2])} ended with {child.returncode}:\n{end}")
    return {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory_bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    }
