"""Several processes on one job, as `accelerate launch` starts them: one leads, the others help.

All of them train. Everything else the leader does alone, while the others wait for it. They see one
file system: the run folder, and relearn's cache.
"""

import atexit
import os
import sys
from datetime import timedelta
from typing import Any, TypeVar

T = TypeVar("T")


@atexit.register
def _leave() -> None:
    """Leave the group in good order: its threads, ended by the process's end, would abort it."""
    if "torch" in sys.modules:
        from torch import distributed

        if distributed.is_available() and distributed.is_initialized():
            distributed.destroy_process_group()


def process_count() -> int:
    """Return how many processes there are."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_leader() -> bool:
    """Return whether this process is the one that writes."""
    return int(os.environ.get("RANK", "0")) == 0


def wait_for_everyone() -> None:
    """Wait until all processes have come here; for as long as it takes."""
    if process_count() > 1:
        _state().wait_for_everyone()


def leaders(value: T) -> T:
    """Return the leader's `value` in every process."""
    if process_count() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    _state()
    values = [value]
    broadcast_object_list(values)
    return values[0]


def _state() -> Any:
    import torch
    from accelerate import PartialState

    # The leader may evaluate or write synthesis for hours before it comes to the next meeting.
    return PartialState(cpu=not torch.accelerator.is_available(), timeout=timedelta(days=7))
