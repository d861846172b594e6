"""Synthesis into a folder: its files, its journal, and the resuming of a job that was killed."""

from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path

import relearn
from relearn.base.errors import UnansweredError, UserError
from relearn.base.storage import content_hash, read_json, write_json, write_jsonl
from relearn.base.workspace import Workspace
from relearn.config import ModelConfig, SynthesisConfig
from relearn.data.new_answers import AUGMENTED, REJECTED, write_answers
from relearn.data.records import Record, dumped
from relearn.llm import LLMS, Journal
from relearn.synthesis.blocks import FinishedBlocks
from relearn.synthesis.fluency import Fluency
from relearn.synthesis.lengths import TooLong
from relearn.synthesis.mixing import Answerer
from relearn.synthesis.pipeline import SynthesisResult, synthesize

JOURNAL = "journal.sqlite"
_BLOCKS = "blocks.jsonl"
_OURS = frozenset({AUGMENTED, REJECTED, _BLOCKS, "pairs.jsonl", "summary.json"})


def synthesize_into(
    folder: Path,
    records: Sequence[Record],
    config: SynthesisConfig,
    seed: int,
    *,
    answer: Answerer | None = None,
    fluency: Fluency | None = None,
    too_long: TooLong | None = None,
    reserved: Collection[str] = (),
    model: ModelConfig | None = None,
) -> SynthesisResult:
    """Synthesize and write `augmented.jsonl`, `rejected.jsonl`, `pairs.jsonl`, `summary.json`.

    What a language model writes is journaled there at once, so that the same call on the same
    folder repeats none of its calls. Of what rules write, blocks of records are kept until all are
    done.

    Args:
        folder: Where to; made if need be.
        records: The forget set.
        config: Backend, strategy and amounts.
        seed: Fixes the backend's choices.
        answer: How the target model answers; see `synthesize`.
        fluency: How likely the base model finds an answer; see `synthesize`.
        too_long: What is wrong with a row's length; see `synthesize`.
        reserved: Questions that no variant may repeat; see `synthesize`.
        model: Whose `answer` and `fluency` are; another's blocks are not gone on with.

    Raises:
        UserError: the folder holds something else, or another process works in it.
        UnansweredError: nothing passed the verification; the rejects are written even then.
    """
    with Workspace(folder, "a synthesis", _is_ours):
        digest = content_hash(dumped(records))
        _check_same_records(folder, digest)
        by_llm = config.backend in LLMS
        settings = [each and each.model_dump(mode="json") for each in (config, model)]
        key = content_hash(relearn.__version__, settings, seed, digest, sorted(reserved))
        with (
            Journal(folder / JOURNAL) if by_llm else nullcontext() as journal,
            nullcontext() if by_llm else FinishedBlocks(folder / _BLOCKS, key) as finished,
        ):
            result = synthesize(
                records,
                config,
                seed,
                journal=journal,
                answer=answer,
                fluency=fluency,
                too_long=too_long,
                reserved=reserved,
                finished=finished,
            )
        write_answers(folder / REJECTED, result.rejected)
        if not result.accepted:
            (folder / _BLOCKS).unlink(missing_ok=True)
            raise UnansweredError(
                f"synthesis: no answer passed the verification; none of the {len(records)} records "
                "would be unlearned.",
                f"See {folder / REJECTED}; raise synthesis.attempts or change the backend.",
            )
        write_answers(folder / AUGMENTED, result.augmented)
        write_jsonl(folder / "pairs.jsonl", result.pairs)
        summary = result.summary | {"forget_sha256": digest}
        write_json(folder / "summary.json", summary)
        (folder / _BLOCKS).unlink(missing_ok=True)
    return result


def _is_ours(names: Collection[str]) -> bool:
    return all(name in _OURS or name.startswith(JOURNAL) for name in names)


def _check_same_records(folder: Path, digest: str) -> None:
    """Refuse a folder of another forget set's synthesis."""
    file = folder / "summary.json"
    if file.is_file() and read_json(file).get("forget_sha256") != digest:
        raise UserError(
            f"output folder {folder} holds another forget set's synthesis.",
            "Choose another --output.",
        )
