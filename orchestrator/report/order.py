"""The order in which people read of VMs: trouble first, then by name."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.fleet.states import JobState
from orchestrator.fleet.view import JobView

_RANKS = {JobState.FAILED: 0, JobState.CANCELLED: 1, JobState.DONE: 3, JobState.SKIPPED: 4}
_UNFINISHED = 2


def worst_first(jobs: Iterable[JobView]) -> list[JobView]:
    """Failed, or with a snapshot left behind; given up; unfinished; done; skipped. The same in every run."""
    return sorted(jobs, key=_place)


def _place(job: JobView) -> tuple[int, str, str, str, str]:
    rank = 0 if job.snapshot_left else _RANKS.get(job.state, _UNFINISHED)
    return rank, job.vm.casefold(), job.vm, job.folder, job.job
