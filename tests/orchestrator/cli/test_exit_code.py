"""The exit status tells how a run went."""

from __future__ import annotations

import dataclasses

import pytest

from orchestrator.cli.run import exit_code
from orchestrator.errors import ExitCode
from orchestrator.fleet.states import JobState
from orchestrator.fleet.view import JobView, RunPhase
from tests.orchestrator.report.views import job, run_view

DONE, SKIPPED = job("a", JobState.DONE), job("b", JobState.SKIPPED)


@pytest.mark.parametrize(
    ("jobs", "phase", "code"),
    [
        ((DONE, SKIPPED), RunPhase.ENDED, ExitCode.OK),
        ((DONE, job("c", JobState.FAILED)), RunPhase.ENDED, ExitCode.SOME_FAILED),
        ((job("a", JobState.DONE, snapshot_left=True),), RunPhase.ENDED, ExitCode.SOME_FAILED),
        ((SKIPPED,), RunPhase.ENDED, ExitCode.NOTHING_MATCHED),
        ((DONE, job("d", JobState.CANCELLED)), RunPhase.ENDED, ExitCode.INTERRUPTED),
        ((DONE,), RunPhase.DRAINING, ExitCode.INTERRUPTED),
    ],
)
def test_worst_outcome_decides(jobs: tuple[JobView, ...], phase: RunPhase, code: ExitCode) -> None:
    assert exit_code(dataclasses.replace(run_view(), jobs=jobs, phase=phase)) is code
