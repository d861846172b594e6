"""Several processes on one job, as `accelerate launch` starts them: one leads, the others help.

All of them train, evaluate, audit and analyze. Everything else the leader does alone, while the
others wait for it. They see one file system: the run folder, and relearn's cache.

What the leader does alone goes through `by_leader`, what all do through `together`: a failure then
ends all of them, instead of leaving some to wait for one that is gone. Work that can be cut into
parts goes through `shared_out`, or is shared out by `share` and put together by `everyones`.
"""

import atexit
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar

from relearn.base.errors import UserError

T = TypeVar("T")
R = TypeVar("R")

_failures = count()
_alone = False  # whether this is the leader, and the others wait for it


class OneProcessError(UserError):
    """A mistake that stopped one process of several: the others can't be told to go on without."""


@atexit.register
def _leave() -> None:
    """Leave the group in good order: its threads, ended by the process's end, would abort it.

    They outlive the group where something still refers to it, as the caches of sharded tensors do.
    A thread that has just done the last sum waits for the interpreter's lock to free the tensors,
    and must have it before the interpreter ends.
    """
    if _met():
        from torch import distributed

        distributed.destroy_process_group()
        time.sleep(0.2)


def process_count() -> int:
    """Return how many processes there are at work: one where the leader works alone."""
    return 1 if _alone else int(os.environ.get("WORLD_SIZE", "1"))


def is_leader() -> bool:
    """Return whether this process is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def share() -> tuple[int, int]:
    """Return which of the processes at work this one is, from 0, and how many there are."""
    count = process_count()
    return (int(os.environ.get("RANK", "0")) if count > 1 else 0), count


def everyones(value: T) -> list[T]:
    """Return the value of each process, in their order, in every one of them."""
    if process_count() == 1:
        return [value]
    from accelerate.utils import gather_object

    _state()
    return list(gather_object([value]))


def shared_out(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Do `work` on each item in one of the processes at work; return all values in every one.

    Every process must come here, with the same items.

    Args:
        work: From an item to a value that can be pickled. A tensor should not be part of a larger
            one, all of which would be sent.
        items: Those of one process are not next to each other, so that where they are sorted by
            size each process has as much to do.
    """
    process, processes = share()
    made = everyones([work(item) for item in items[process::processes]])
    return [made[i % processes][i // processes] for i in range(len(items))]


def meet() -> None:
    """Wait until every process is here."""
    if process_count() > 1:
        _state().wait_for_everyone()


@contextmanager
def _by_itself() -> Iterator[None]:
    """Let this process, the leader, be the only one at work while this lasts."""
    global _alone
    _alone = True
    try:
        yield
    finally:
        _alone = False


def leaders(value: T) -> T:
    """Return the leader's `value` in every process."""
    if process_count() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    _state()
    values = [value]
    broadcast_object_list(values)
    return values[0]


def by_leader(work: Callable[[], T]) -> T:
    """Let the leader do `work`, and return its result in every process.

    Raises:
        UserError: what the leader raised, in every process.
        SystemExit: in the others, where the leader raised anything else.
    """
    if process_count() == 1:
        return work()
    value: Any = None
    ours: Exception | None = None
    theirs: BaseException | None = None
    if is_leader():
        try:
            with _by_itself():
                value = work()
        except Exception as error:
            ours = error
            theirs = error if isinstance(error, UserError) else SystemExit(1)
    value, theirs = leaders((value, theirs))
    if ours is not None:
        raise ours
    if isinstance(theirs, UserError):
        theirs.elsewhere = True
    if theirs is not None:
        raise theirs
    return value


def together(work: Callable[[], None]) -> None:
    """Do `work` in every process.

    Raises:
        UserError: every process raised one: they can go on with something else.
        OneProcessError: this one did, and not all of the others.
    """
    meet()  # what fails before they have met, fails together too
    try:
        work()
    except UserError as error:
        if process_count() == 1:
            raise
        if not _everyone_failed():
            raise OneProcessError(error.problem, error.hint) from error
        error.elsewhere = not is_leader()
        raise


def _everyone_failed(patience: float = 30) -> bool:
    """Return whether all processes come here within `patience` seconds.

    By the store that the processes met at: others may be in the middle of a sum that never ends.
    """
    from torch.distributed import distributed_c10d

    store = distributed_c10d._get_default_store()
    key = f"relearn/failure/{next(_failures)}"
    end = time.monotonic() + patience
    # A second time so that the leader leaves last: the store may end with it.
    for name in ("came", "seen"):
        store.add(f"{key}/{name}", 1)
        while (is_leader() or name == "came") and store.add(f"{key}/{name}", 0) < process_count():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
    return True


def prints(error: UserError) -> bool:
    """Return whether this process is the one to print `error`.

    Before the processes have met, each of them finds the same mistake: one of each host prints it.
    """
    if _met():
        return not error.elsewhere
    return os.environ.get("LOCAL_RANK", "0") == "0"


def _met() -> bool:
    """Return whether the processes have met; without loading torch for it."""
    if "torch" not in sys.modules:
        return False
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized()


def _state() -> Any:
    import torch
    from accelerate import PartialState

    # The leader may evaluate or write synthesis for hours before it comes to the next meeting.
    return PartialState(cpu=not torch.accelerator.is_available(), timeout=timedelta(days=7))
