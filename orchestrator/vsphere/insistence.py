"""Trying again while something passing is in the way of a removal, each kind for as long as is right."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity
from pyVmomi import vim

from orchestrator.errors import ConnectError, VCenterBusyError
from orchestrator.vsphere import tasks
from orchestrator.vsphere.faults import BUSY, describe
from orchestrator.vsphere.session import Session

log = logging.getLogger(__name__)
T = TypeVar("T")

REFUSED_SECONDS = 60.0
"""For which a refusal that may pass, such as a locked file, is tried again here; then it is told."""
AWAY_SECONDS = 3600.0
"""For which vCenter may not answer, or may refuse the login, before that is told."""
_SLOWEST = 60.0


class HiddenError(VCenterBusyError):
    """vCenter does not tell now whether the snapshot is there."""


def patiently(session: Session, action: Callable[[], T], pace: float, patience: float) -> T:
    """Repeat ``action`` while something passing is in the way, each kind for as long as is right.

    ``pace``: seconds before it is tried again at first; they grow to ``_SLOWEST``. ``patience``: for which it
    is tried again at most.
    """
    since: dict[float, float] = {}

    def lasts_too_long(state: tenacity.RetryCallState) -> bool:
        limit = min(_limit(state.outcome.exception() if state.outcome else None), patience)
        now = time.monotonic()
        for other in [kind for kind in since if kind != limit]:
            del since[other]
        return now - since.setdefault(limit, now) >= limit

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((*BUSY, VCenterBusyError, ConnectError)),
        stop=lasts_too_long,
        wait=tenacity.wait_exponential(multiplier=pace, max=min(_SLOWEST, patience)),
        sleep=session.pause,
        before_sleep=_say,
        reraise=True,
    )(action)


def _say(state: tenacity.RetryCallState) -> None:
    failed = state.outcome.exception() if state.outcome else None
    if isinstance(failed, Exception):
        log.warning(
            "a snapshot's removal is tried again in %.0f s: %s", state.upcoming_sleep, describe(failed)
        )


def _limit(failed: BaseException | None) -> float:
    """For how many seconds this is tried again."""
    match failed:
        case vim.fault.TaskInProgress() | tasks.TaskLostError():
            return math.inf
        case HiddenError():
            return REFUSED_SECONDS
        case VCenterBusyError() | ConnectError():
            return AWAY_SECONDS
        case _:
            return REFUSED_SECONDS
