"""Keeping other libraries from logging what is no news, or is private."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(*libraries: str, below: int = logging.ERROR) -> Iterator[None]:
    """Silence what `libraries` log below a level; one that is imported within may set its own."""
    loggers = [logging.getLogger(name) for name in libraries]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(below)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
