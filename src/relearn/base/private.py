"""Files that nobody but their owner can read, whatever the umask."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_depth = 0
_umask = 0


@contextmanager
def private_files() -> Iterator[None]:
    """Keep group and others from all files and folders that are made while this lasts.

    By the umask, so that it holds for what libraries write as well. The umask is the process's:
    what other threads write meanwhile is private too. May be nested, in several threads.
    """
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _depth, _umask
    with _lock:
        if not _depth:
            _umask = os.umask(0o077)
        _depth += 1


def _leave() -> None:
    global _depth
    with _lock:
        _depth -= 1
        if not _depth:
            os.umask(_umask)
