"""The exit status tells how a run went, and the last words what is left to do."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.cli.run import exit_code, tell
from orchestrator.errors import ExitCode
from orchestrator.fleet.states import JobState, Stage
from orchestrator.fleet.view import ErrorView, JobView, RunPhase
from tests.orchestrator.report.views import job, run_view

DONE, FAILED, SKIPPED = (
    job(state.value, state) for state in (JobState.DONE, JobState.FAILED, JobState.SKIPPED)
)
LEFT_TO_THE_NEXT_RUN = job("d", JobState.CANCELLED)
SNAPSHOT_LEFT = job("a", JobState.DONE, snapshot_left=True)
UNDISTURBED = (RunPhase.STARTING, RunPhase.RUNNING)
DRAINED = (*UNDISTURBED, RunPhase.DRAINING)
CANCELLED = (*DRAINED, RunPhase.CANCELLING)


@pytest.mark.parametrize(
    ("jobs", "passed", "code"),
    [
        ((DONE, SKIPPED), UNDISTURBED, ExitCode.OK),
        ((DONE, FAILED), UNDISTURBED, ExitCode.SOME_FAILED),
        ((SNAPSHOT_LEFT,), UNDISTURBED, ExitCode.SOME_FAILED),
        ((SKIPPED,), UNDISTURBED, ExitCode.NOTHING_MATCHED),
        ((DONE, FAILED, LEFT_TO_THE_NEXT_RUN), DRAINED, ExitCode.INTERRUPTED),
        ((LEFT_TO_THE_NEXT_RUN,), CANCELLED, ExitCode.INTERRUPTED),
        # The interruption came when nothing was left to be kept from.
        ((DONE, SKIPPED), DRAINED, ExitCode.OK),
        ((DONE, FAILED), CANCELLED, ExitCode.SOME_FAILED),
    ],
)
def test_what_became_of_the_vms_decides(
    jobs: tuple[JobView, ...], passed: tuple[RunPhase, ...], code: ExitCode
) -> None:
    ended = dataclasses.replace(run_view(), jobs=jobs, passed=passed, phase=RunPhase.ENDED)
    assert exit_code(ended) is code


def test_a_snapshot_of_an_earlier_run_that_stays_is_a_failure() -> None:
    view = dataclasses.replace(run_view(), jobs=(DONE,), phase=RunPhase.ENDED)
    assert exit_code(view) is ExitCode.OK
    assert exit_code(dataclasses.replace(view, stays=1)) is ExitCode.SOME_FAILED


def test_a_snapshot_that_stays_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    refused = ErrorView(Stage.RELEASE, 1, "removal", "the file is locked", "Snapshots > Delete", True)
    left = dataclasses.replace(SNAPSHOT_LEFT, errors=(refused,))
    view = dataclasses.replace(run_view(), jobs=(left,), phase=RunPhase.ENDED)
    tell(view, Path("out/report.html"), Console(stderr=True))
    said = capsys.readouterr().out
    assert "the snapshot on a is still there: the file is locked" in said
    assert "the file is locked → Snapshots > Delete" in said
