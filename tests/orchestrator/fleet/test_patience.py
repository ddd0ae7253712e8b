"""A VM that others need is looked at again, within a bound, and loses no attempt by it."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.fleet.patience import counted
from orchestrator.fleet.states import (
    Admitted,
    Cancel,
    Failure,
    Hold,
    Job,
    JobState,
    Rules,
    Stage,
    StageDone,
    StageFailed,
    Start,
    Tick,
)
from orchestrator.fleet.steps import advance

RULES = Rules(max_attempts=2, put_off_pause=60, backoff_limit=300, put_off_limit=1000)
BACKUP = Failure("backup-running", "Veeam is at work on web", "wait", True, untouched=True, put_off=True)
HELD = replace(BACKUP, kind="held", untouched=False)
CUT = Failure("stream", "the connection was cut", retryable=True)
GONE = Failure("gone", "the VM vm-1 was deleted during the run", gone=True)


def tried(job: Job, failure: Failure, now: float, stage: Stage = Stage.SNAPSHOT) -> Job:
    """Admitted at ``now``, and failed at ``stage``; what is held is released well."""
    job, _ = advance(job, Tick(), now, RULES)
    job, _ = advance(job, Admitted("w"), now, RULES)
    for before in (Stage.SNAPSHOT, Stage.EXPORT, Stage.DOWNLOAD):
        if before is stage:
            break
        job, _ = advance(job, StageDone(job.id, before, job.attempt), now, RULES)
    job, _ = advance(job, StageFailed(job.id, stage, job.attempt, failure), now, RULES)
    if job.hold is Hold.CLOSING:
        job, _ = advance(job, StageDone(job.id, Stage.RELEASE, job.releases), now, RULES)
    return job


def test_it_is_put_off_for_longer_each_time_and_then_fails_with_the_reason() -> None:
    job, now, pauses = Job("j"), 0.0, []
    while not job.state.final:
        job = tried(job, BACKUP, now)
        if job.due is not None:
            pauses.append(job.due - now)
            now = job.due
    assert pauses == [60, 120, 240, 300, 300]
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.message.startswith("Veeam is at work on web; so it was put off for 0.3 hours")
    assert job.attempt == 6


def test_attempts_that_fail_count_and_put_offs_do_not() -> None:
    job = Job("j")
    for now in (0.0, 100.0, 400.0):
        job = tried(job, HELD, now)
    assert (job.state, job.attempt, counted(job)) == (JobState.QUEUED, 3, 0)
    job = tried(job, CUT, 700.0, Stage.DOWNLOAD)
    assert (job.state, job.due, job.put_off_since) == (JobState.QUEUED, 705.0, None)
    job = tried(job, HELD, 900.0)  # another wait begins: the one before was over
    assert (job.state, job.put_off_since) == (JobState.QUEUED, 900.0)
    job = tried(job, CUT, 1300.0, Stage.DOWNLOAD)
    assert (job.state, counted(job)) == (JobState.FAILED, 2)


def test_what_was_refused_before_anything_was_asked_needs_no_release() -> None:
    job, _ = advance(Job("j"), Admitted("w"), 0.0, RULES)
    after, instructions = advance(job, StageFailed("j", Stage.SNAPSHOT, 1, BACKUP), 0.0, RULES)
    assert (after.state, after.hold, after.worker) == (JobState.QUEUED, Hold.NONE, "")
    after, instructions = advance(job, StageFailed("j", Stage.SNAPSHOT, 1, HELD), 0.0, RULES)
    assert Start("j", Stage.RELEASE, 1) in instructions


def test_one_that_waits_is_cancelled_at_once() -> None:
    job, _ = advance(tried(Job("j"), BACKUP, 0.0), Cancel(), 1.0, RULES)
    assert job.state is JobState.CANCELLED


def test_a_vm_that_is_gone_is_skipped_at_once() -> None:
    job = tried(Job("j"), GONE, 0.0)
    assert (job.state, job.attempt, job.hold) == (JobState.SKIPPED, 1, Hold.NONE)
    assert job.failure == GONE
