"""Dask's log lines: sent where the product's own go, less those that tell of nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_LOGGERS = ("distributed", "distributed.client", "tornado", "tornado.application")
"""Those to which Dask gives a level and a handler of their own, past any configuration."""
_PACKAGE = "distributed."
_UNHEARD = "Failed to communicate with scheduler during heartbeat"


def _says_something(record: logging.LogRecord) -> bool:
    """False for the end of what was ended on purpose, such as to wait for a scheduler that is gone.

    False, too, for a heartbeat that did not reach one: who waits for it says so, once and in plain words.
    """
    error = record.exc_info[1] if record.exc_info else None
    cancelled = isinstance(error, asyncio.CancelledError) or "CancelledError" in record.getMessage()
    unheard = isinstance(error, OSError) and record.getMessage().startswith(_UNHEARD)
    return not ((cancelled or unheard) and record.name.startswith(_PACKAGE))


@contextmanager
def our_log_lines() -> Iterator[None]:
    """While the block runs, the root logger's handlers get what Dask warns of, and nothing else does."""
    with ExitStack() as stack:
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            stack.callback(_restore, logger, logger.handlers[:], logger.level, logger.propagate)
            logger.handlers[:] = []
            logger.propagate = True
            logger.setLevel(logging.WARNING)
        for handler in logging.getLogger().handlers:
            handler.addFilter(_says_something)
            stack.callback(handler.removeFilter, _says_something)
        yield


def _restore(logger: logging.Logger, handlers: list[logging.Handler], level: int, propagate: bool) -> None:
    logger.handlers[:] = handlers
    logger.setLevel(level)
    logger.propagate = propagate
