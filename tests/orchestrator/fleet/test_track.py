"""What people see of a job, event by event."""

from __future__ import annotations

import pytest

from orchestrator.fleet.states import Failure, Hold, Job, JobState, Stage
from orchestrator.fleet.track import Tracker
from orchestrator.fleet.view import JobView


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(JobView("j", "web", "vm-1", "", "esx1", ("ds1",), JobState.QUEUED, queued=0.0))


def test_bytes_of_all_attempts_only_grow(tracker: Tracker) -> None:
    tracker.began(Stage.DOWNLOAD, 1, 10)
    tracker.moved({"received": 100}, 11)
    tracker.moved({"received": 300}, 12)
    tracker.began(Stage.DOWNLOAD, 2, 20)
    assert (tracker.view.received_bytes, tracker.view.received_total) == (0, 300)
    tracker.moved({"received": 50}, 21)
    assert (tracker.view.received_bytes, tracker.view.received_total) == (50, 350)


def test_a_report_that_comes_late_takes_nothing_back(tracker: Tracker) -> None:
    tracker.began(Stage.CONVERT, 1, 10)
    tracker.moved({"read": 200, "pushed": 20}, 11)
    tracker.moved({"read": 100}, 12)
    assert (tracker.view.read_bytes, tracker.view.pushed_bytes) == (200, 20)


def test_the_rate_is_of_the_stage_in_flight(tracker: Tracker) -> None:
    tracker.began(Stage.DOWNLOAD, 1, 10)
    tracker.moved({"received": 1000}, 12)
    assert tracker.view.rate == 500
    tracker.ended(Stage.DOWNLOAD, 1, 12, True)
    tracker.began(Stage.CONVERT, 1, 12)
    tracker.moved({"read": 600}, 15)
    assert tracker.view.rate == 200
    tracker.recorded(Job("j", JobState.PUBLISHING, stage=Stage.PUBLISH), 16)
    assert tracker.view.rate == 0


def test_a_snapshot_is_open_from_its_making_to_its_removal(tracker: Tracker) -> None:
    tracker.began(Stage.SNAPSHOT, 1, 10)
    tracker.ended(Stage.SNAPSHOT, 1, 12, True)
    assert tracker.view.snapshot_since == 12
    tracker.began(Stage.RELEASE, 1, 20)
    tracker.ended(Stage.RELEASE, 1, 25, False)
    assert tracker.view.snapshot_since == 12
    tracker.began(Stage.RELEASE, 2, 30)
    tracker.ended(Stage.RELEASE, 2, 31, True)
    assert tracker.view.snapshot_since is None


def test_what_is_abandoned_has_ended_and_what_vcenter_does_goes_on(tracker: Tracker) -> None:
    tracker.began(Stage.CONVERT, 1, 10)
    tracker.began(Stage.RELEASE, 1, 10)
    (given_up,) = tracker.abandoned(15)
    assert (given_up.stage, given_up.ended, given_up.ok) == (Stage.CONVERT, 15, False)
    assert tracker.view.running == (Stage.RELEASE,)
    assert tracker.ended(Stage.CONVERT, 1, 16, True) is None


def test_failures_are_kept_and_a_left_snapshot_is_shown(tracker: Tracker) -> None:
    tracker.failed(Stage.RELEASE, 1, Failure("removal", "locked"))
    tracker.recorded(Job("j", JobState.DONE, hold=Hold.LEFT), 30)
    view = tracker.view
    assert view.error is not None and view.error.kind == "removal"
    assert view.snapshot_left and view.ended == 30


def test_the_stage_that_counts_is_not_the_release(tracker: Tracker) -> None:
    tracker.began(Stage.CONVERT, 1, 10)
    tracker.began(Stage.RELEASE, 1, 10)
    assert tracker.last_stage is Stage.CONVERT


def test_a_vm_that_goes_away_is_skipped_with_the_reason(tracker: Tracker) -> None:
    gone = Failure("gone", "the VM vm-1 was deleted during the run", gone=True)
    tracker.recorded(Job("j", JobState.SKIPPED, failure=gone), 20)
    assert (tracker.view.state, tracker.view.reason) == (JobState.SKIPPED, gone.message)
