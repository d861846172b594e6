"""Synthesis into a folder: its files, its journal, and the resuming of a job that was killed."""

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path

from filelock import FileLock, Timeout

from relearn.base.errors import UnansweredError, UserError
from relearn.base.storage import content_hash, disk_errors, read_json, write_json, write_jsonl
from relearn.config import SynthesisConfig
from relearn.data.records import Record
from relearn.llm import LLMS, Journal
from relearn.synthesis.fluency import Fluency
from relearn.synthesis.mixing import Answerer
from relearn.synthesis.pipeline import SynthesisResult, synthesize

JOURNAL = "journal.sqlite"
_OURS = frozenset({"augmented.jsonl", "rejected.jsonl", "pairs.jsonl", "summary.json"})


def synthesize_into(
    folder: Path,
    records: Sequence[Record],
    config: SynthesisConfig,
    seed: int,
    *,
    answer: Answerer | None = None,
    fluency: Fluency | None = None,
    reserved: Collection[str] = (),
) -> SynthesisResult:
    """Synthesize and write `augmented.jsonl`, `rejected.jsonl`, `pairs.jsonl`, `summary.json`.

    What a language model writes is journaled there at once, so that the same call on the same
    folder repeats none of its calls.

    Args:
        folder: Where to; made if need be.
        records: The forget set.
        config: Backend, strategy and amounts.
        seed: Fixes the backend's choices.
        answer: How the target model answers; see `synthesize`.
        fluency: How likely the base model finds an answer; see `synthesize`.
        reserved: Questions that no variant may repeat; see `synthesize`.

    Raises:
        UserError: the folder holds something else, or another process works in it.
        UnansweredError: nothing passed the verification; the rejects are written even then.
    """
    with disk_errors(folder):
        _check_ours(folder, records)
        folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(
            f"another process is at work in {folder}.", "Wait, or choose another --output."
        ) from error
    try:
        with Journal(folder / JOURNAL) if config.backend in LLMS else nullcontext() as journal:
            result = synthesize(
                records,
                config,
                seed,
                journal=journal,
                answer=answer,
                fluency=fluency,
                reserved=reserved,
            )
        write_jsonl(folder / "rejected.jsonl", result.rejected)
        if not result.accepted:
            raise UnansweredError(
                f"synthesis: no answer passed the verification; none of the {len(records)} records "
                "would be unlearned.",
                f"See {folder / 'rejected.jsonl'}; raise synthesis.attempts or change the backend.",
            )
        write_jsonl(folder / "augmented.jsonl", result.augmented)
        write_jsonl(folder / "pairs.jsonl", result.pairs)
        summary = result.summary | {"forget_sha256": _hash(records)}
        write_json(folder / "summary.json", summary)
    finally:
        lock.release()
    return result


def _hash(records: Sequence[Record]) -> str:
    return content_hash([record.model_dump(mode="json") for record in records])


def _check_ours(folder: Path, records: Sequence[Record]) -> None:
    """Refuse a folder of something else, or of another forget set's synthesis."""
    mend = "Choose another --output."
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output folder {folder} is a file.", mend)
    visible = {e.name for e in folder.iterdir() if e.name[0] != "."} if folder.is_dir() else set()
    if any(name not in _OURS and not name.startswith(JOURNAL) for name in visible):
        raise UserError(f"output folder {folder} is already used, and not by a synthesis.", mend)
    if "summary.json" in visible:
        summary = read_json(folder / "summary.json")
        if summary.get("forget_sha256") != _hash(records):
            raise UserError(f"output folder {folder} holds another forget set's synthesis.", mend)
