"""Speed of the `relearn` suite against one generation at a time and one pass per metric.

Both sides evaluate the embedded SmolLM2-135M on KnowUnDo's validation questions (110 forget, 108
retain) in this process, one after the other, with the same weights, threads and lengths:

- the suite: every pass once, in batches of like length;
- the plain way: each metric that reads answers lets `model.generate` answer one question at a time,
  and each that reads perplexity takes that of one answer at a time.

The plain way's passes are all alike, so that one of each kind is timed and its time multiplied by
the number of metrics; `--every-pass` makes every one of them (16 times as long). The ratio against
one pass of each kind is given too. `--plain-every 4` lets the plain way answer every fourth
question only, and takes the others to be like them. Judges work on texts alone and take the same
time either way; theirs is given apart.

    python benchmarks/evaluation.py [--quick] [--every-pass] [--plain-every N] [--json FILE]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from relearn.base.progress import progress_bar
from relearn.config import EvaluationConfig, ModelConfig
from relearn.data.sources import load_records
from relearn.data.tokenization import PromptFormat
from relearn.evaluation.evaluate import loaded_when_needed, wanted_fields
from relearn.evaluation.metrics import METRICS
from relearn.evaluation.passes import EvaluatedModel, make_pass
from relearn.evaluation.rows import EvaluatedRow
from relearn.evaluation.scoring import JUDGED, judge_rows, score
from relearn.evaluation.suites import load_suite
from relearn.models.loading import model_folder

DATA = Path(__file__).parents[2] / "shared" / "data" / "knowundo_privacy"
FILES = {"forget": "unlearn_val.json", "retain": "retention_val.json"}
QUICK_QUESTIONS = 8  # of each set


def rows_of(limit: int | None) -> list[EvaluatedRow]:
    return [
        EvaluatedRow(
            set=name,  # type: ignore[arg-type]
            id=record.id,
            question=record.question,
            reference=record.answer,
            generation="",
        )
        for name, file in FILES.items()
        for record in load_records(str(DATA / file), set_name=name)[:limit]
    ]


class Stopwatch:
    """Seconds since it was made: of the clock, and of this process's processors."""

    def __init__(self) -> None:
        self.start = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Return both."""
        return time.perf_counter() - self.start[0], time.process_time() - self.start[1]


def batched(
    rows: list[EvaluatedRow], model: EvaluatedModel, config: EvaluationConfig
) -> tuple[float, float]:
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("generation", "perplexity"):
            make_pass(name, rows, model, config, Path(scratch) / f"{name}.jsonl", name)
    return watch.read()


@torch.inference_mode()
def generate_plainly(
    rows: list[EvaluatedRow], model: EvaluatedModel, config: EvaluationConfig
) -> tuple[float, float]:
    watch = Stopwatch()
    tokenizer = model.prompt_format.tokenizer
    with progress_bar("plain generation") as advance:
        for number, row in enumerate(rows, 1):
            ids = model.prompt_format.encode_prompt(row.question)
            prompt = torch.tensor([ids], device=model.model.device)
            output = model.model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=config.max_new_tokens,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=tokenizer.pad_token_id,
            )
            new = output[0, prompt.shape[1] :]
            row.generation = tokenizer.decode(new, skip_special_tokens=True).strip()
            advance(number, len(rows), "")
    return watch.read()


@torch.inference_mode()
def perplexity_plainly(
    rows: list[EvaluatedRow], model: EvaluatedModel, config: EvaluationConfig
) -> tuple[float, float]:
    watch = Stopwatch()
    with progress_bar("plain perplexity"):
        for row in rows:
            row.perplexity = plain_perplexity(model.model, model.prompt_format, row)
    return watch.read()


def plain_perplexity(model: Any, prompt_format: PromptFormat, row: EvaluatedRow) -> float:
    example = prompt_format.encode(row.question, row.generation, end=False)
    if not example.answer:
        return float(model.config.vocab_size)
    ids = torch.tensor([example.prompt + example.answer], device=model.device)
    labels = ids.clone()
    labels[:, : len(example.prompt)] = -100
    return float(model(input_ids=ids, labels=labels, use_cache=False).loss.exp())


def plainly(
    rows: list[EvaluatedRow], model: EvaluatedModel, config: EvaluationConfig,
    metrics: list[str], every_pass: bool,
) -> dict[str, float]:  # fmt: skip
    """Answer plainly; return the seconds of one pass of each kind and of all passes."""
    kinds = [
        (generate_plainly, sum(map(reads_answers, metrics))),
        (perplexity_plainly, sum("perplexity" in METRICS[name].needs for name in metrics)),
    ]
    one = processor = every = 0.0
    for make, passes in kinds:
        seconds, of_processor = make(rows, model, config)
        others = [make(rows, model, config)[0] for _ in range(passes - 1) if every_pass]
        one += seconds
        processor += of_processor
        every += seconds + (sum(others) if every_pass else seconds * (passes - 1))
    return {
        "plain_generation_passes": kinds[0][1],
        "plain_perplexity_passes": kinds[1][1],
        "plain_one_pass_seconds": one,
        "plain_one_pass_processor_seconds": processor,
        "plain_seconds": every,
    }


def measure(quick: bool, batch_size: int, every_pass: bool, plain_every: int) -> dict[str, Any]:
    # Single precision, in which no two words tie in a batch that did not tie alone.
    settings = ModelConfig(dtype="float32")
    config = EvaluationConfig(batch_size=batch_size)
    metrics = load_suite("relearn").metric_names
    model = loaded_when_needed(model_folder(settings.name), settings)
    ours, plain = (rows_of(QUICK_QUESTIONS if quick else None) for _ in range(2))
    batched(rows_of(2), model, EvaluationConfig(max_new_tokens=2))  # loads and warms up
    seconds, processor = batched(ours, model, config)
    some = plain[::plain_every]
    plain_figures = plainly(some, model, config, metrics, every_pass)
    plain_figures = {
        name: value * len(plain) / len(some) if name.endswith("seconds") else value
        for name, value in plain_figures.items()
    }
    watch = Stopwatch()
    wanted = wanted_fields(ours, metrics)
    judge_rows(ours, config, set().union(*wanted.values()) & set(JUDGED))
    judging, _ = watch.read()
    watch = Stopwatch()
    score(ours, metrics)
    scoring, _ = watch.read()
    both = list(zip(ours, plain, strict=True))[::plain_every]
    equal = [a.generation == b.generation for a, b in both]
    gaps = [
        abs(a.perplexity / b.perplexity - 1)  # type: ignore[operator]
        for (a, b), same in zip(both, equal, strict=True)
        if same
    ]
    suite = seconds + scoring
    return {
        "model": settings.name,
        "dtype": settings.dtype,
        "threads": torch.get_num_threads(),
        "questions": len(ours),
        "batch_size": batch_size,
        "max_new_tokens": config.max_new_tokens,
        "suite_seconds": suite,
        **plain_figures,
        "every_pass_made": every_pass,
        "plain_questions": len(some),
        "speedup_against_one_pass": plain_figures["plain_one_pass_seconds"] / suite,
        "speedup": plain_figures["plain_seconds"] / suite,
        # Less moved by what else the machine does.
        "processor_speedup_against_one_pass": plain_figures["plain_one_pass_processor_seconds"]
        / (processor + scoring),
        "equal_answers": sum(equal) / len(equal),
        "largest_perplexity_difference": max(gaps, default=0.0),
        "judges_seconds": judging,
    }


def reads_answers(name: str) -> bool:
    """Return whether a metric reads what the model answered, or something made of it."""
    return bool({"generation", "perplexity", *JUDGED} & set(METRICS.named(name).needs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="8 questions of each set")
    parser.add_argument("--every-pass", action="store_true", help="make every plain pass")
    parser.add_argument("--plain-every", type=int, default=1, metavar="N", help="see above")
    parser.add_argument("--batch-size", type=int, default=EvaluationConfig().batch_size)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    arguments = parser.parse_args()
    figures = measure(
        arguments.quick, arguments.batch_size, arguments.every_pass, arguments.plain_every
    )
    for name, value in figures.items():
        print(f"{name:32} {value:.4g}" if isinstance(value, float) else f"{name:32} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
