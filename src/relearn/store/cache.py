"""The cache: models that were fetched, converted, merged or made, by a hash of what they are from.

Some of them know private data (docs/security.md), so that nobody else can read any of it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from relearn.base.errors import UserError
from relearn.base.private import private_files
from relearn.base.storage import clear_leftovers


def cache_folder() -> Path:
    """Return where relearn keeps models: `$RELEARN_CACHE`, by default `~/.cache/relearn`."""
    return Path(os.environ.get("RELEARN_CACHE", "~/.cache/relearn")).expanduser()


@contextmanager
def cache_lock(folder: Path) -> Iterator[None]:
    """Let one process at a time make `folder`, a place in the cache; what it writes is private.

    Raises:
        UserError: the cache can't be made.
    """
    with private_files():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"the model cache {folder.parent} can't be made: {error.strerror}.",
                "Set RELEARN_CACHE.",
            ) from error
        with FileLock(f"{folder}.lock"):
            clear_leftovers(list(folder.parent.glob(f".{folder.name}.*")))
            yield
