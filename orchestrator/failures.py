"""An exception becomes data, where it was caught: what travels, is kept and is decided upon."""

from __future__ import annotations

import logging

from converters.errors import ConvertError
from orchestrator.errors import GoneError, OrchestratorError, PutOffError, SnapshotRefusedError
from orchestrator.fleet.states import Failure

log = logging.getLogger(__name__)


class StoppedError(OrchestratorError):
    """The control plane does not want the result any more."""

    kind = "stopped"


def failure_of(error: BaseException) -> Failure:
    """The failure that the state machine decides upon; an error that is not ours is logged with its trace."""
    if isinstance(error, ConvertError | OrchestratorError):
        return Failure(
            kind=error.kind,
            message=error.message,
            hint=error.hint,
            retryable=error.retryable,
            untouched=isinstance(error, SnapshotRefusedError) or getattr(error, "untouched", False),
            put_off=isinstance(error, PutOffError),
            gone=isinstance(error, GoneError),
        )
    if isinstance(error, MemoryError):
        return Failure("memory", "out of memory", "give workers more with --worker-memory", retryable=True)
    log.error("internal error", exc_info=error)
    message = f"internal error: {type(error).__name__}: {error}"
    return Failure("internal", message, "this is a defect: please report it with the log")
