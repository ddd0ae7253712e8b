"""One job's transitions: a job and an event in, the next job and instructions out. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from converters.errors import StreamError
from orchestrator.errors import DisksChangedError, RemovalError
from orchestrator.fleet.patience import pause, put_off, tries_again
from orchestrator.fleet.states import (
    Abandon,
    Admitted,
    Cancel,
    Drain,
    Evicted,
    Failure,
    Hold,
    Instruction,
    Job,
    JobEvent,
    JobState,
    Mode,
    Record,
    Rules,
    Stage,
    StageDone,
    StageFailed,
    Start,
    Tick,
    WorkerLost,
)

Step = tuple[Job, tuple[Instruction, ...]]

_STATE = {
    Stage.SNAPSHOT: JobState.SNAPSHOTTING,
    Stage.EXPORT: JobState.EXPORTING,
    Stage.DOWNLOAD: JobState.EXPORTING,
    Stage.CONVERT: JobState.CONVERTING,
    Stage.PUBLISH: JobState.PUBLISHING,
}
_ON_WORKER = (Stage.DOWNLOAD, Stage.CONVERT)
_IN_VCENTER = (Stage.SNAPSHOT, Stage.EXPORT)


def advance(job: Job, event: JobEvent, now: float, rules: Rules, mode: Mode = Mode.RUN) -> Step:
    """The job after the event, and what has to be done; an event that is not its any more changes nothing.

    ``now`` is in seconds by any clock that does not go back.
    """
    after, instructions = _step(job, event, now, rules, mode)
    return after, (Record(after), *instructions) if after != job else instructions


def _step(job: Job, event: JobEvent, now: float, rules: Rules, mode: Mode) -> Step:
    if job.state.final:
        return job, ()
    match event:
        case Admitted(worker):
            return _admitted(job, worker)
        case StageDone(stage=Stage.RELEASE):
            return _released(job, event.attempt, mode)
        case StageDone():
            return _stage_done(job, event, mode)
        case StageFailed(stage=Stage.RELEASE):
            return _release_failed(job, event, now, rules, mode)
        case StageFailed():
            return _stage_failed(job, event, now, rules, mode)
        case WorkerLost(worker):
            return _worker_lost(job, worker, now, rules, mode)
        case Evicted(failure):
            return _evicted(job, failure, now, rules, mode)
        case Tick():
            return _tick(job, now)
        case Drain() if job.state is JobState.QUEUED:
            return replace(job, state=JobState.CANCELLED, due=None), ()
        case Drain():
            return job, ()
        case Cancel():
            return _cancelled(job)
        case _:
            assert_never(event)


def expects(job: Job, stage: Stage, attempt: int) -> bool:
    """Whether this stage of this attempt is in flight; a result of another is late, and of no use."""
    if stage is Stage.RELEASE:
        return job.hold is Hold.CLOSING and job.release_due is None and job.releases == attempt
    return job.due is None and (job.stage, job.attempt) == (stage, attempt)


def _admitted(job: Job, worker: str) -> Step:
    if job.state is not JobState.QUEUED:
        raise ValueError(f"job {job.id} is {job.state}, so it cannot be admitted")
    first = job.route.first
    begun = replace(
        job,
        attempt=job.attempt + 1,
        worker=worker,
        hold=Hold.OPEN if first is Stage.SNAPSHOT else Hold.NONE,
        release_tries=0,
        release_since=None,
    )
    return _start(begun, first)


def _start(job: Job, stage: Stage) -> Step:
    started = replace(job, stage=stage, state=_STATE[stage], due=None)
    worker = job.worker if stage in _ON_WORKER else ""
    return started, (Start(job.id, stage, job.attempt, worker),)


def _stage_done(job: Job, event: StageDone, mode: Mode) -> Step:
    if not expects(job, event.stage, event.attempt):
        return job, ()
    if job.outcome is not None:
        return _settle(replace(job, stage=None), mode)
    match event.stage:
        case Stage.SNAPSHOT:
            return _start(job, Stage.EXPORT)
        case Stage.EXPORT:
            following = Stage.CONVERT if event.in_place else Stage.DOWNLOAD
            return _start(replace(job, put_off_since=None), following)
        case Stage.DOWNLOAD:
            converting, first = _start(job, Stage.CONVERT)
            if job.hold is Hold.NONE:
                return converting, first
            releasing, second = _start_release(converting)
            return releasing, first + second
        case Stage.CONVERT:
            return _start(replace(job, worker=""), Stage.PUBLISH)
        case Stage.PUBLISH:
            return _settle(replace(job, stage=None, outcome=JobState.DONE), mode)
        case Stage.RELEASE:
            raise ValueError("a release is no stage of the main track")
        case _:
            assert_never(event.stage)


def _stage_failed(job: Job, event: StageFailed, now: float, rules: Rules, mode: Mode) -> Step:
    if not expects(job, event.stage, event.attempt):
        return job, ()
    failed = replace(job, failure=event.failure)
    if event.stage is Stage.SNAPSHOT and event.failure.untouched:
        failed = replace(failed, hold=Hold.NONE)
    if job.outcome is not None:
        outcome = JobState.SKIPPED if event.failure.gone else job.outcome
        return _settle(replace(failed, stage=None, outcome=outcome), mode)
    again = tries_again(failed, now, rules) and mode is not Mode.CANCEL
    if again and event.stage in (Stage.CONVERT, Stage.PUBLISH) and not _disks_lost(failed):
        # The disks are at hand, the blobs in the registry: production need not give them a second time.
        return replace(failed, due=now + pause(failed, rules)), ()
    if event.failure.put_off:
        failed = put_off(failed, now, rules)
    return _give_up_attempt(failed, now, rules, mode)


def _disks_lost(job: Job) -> bool:
    """Whether a new snapshot is needed: what was read in place is not there any more, or not what it was."""
    kinds = (StreamError.kind, DisksChangedError.kind)
    return job.hold is Hold.OPEN and job.failure is not None and job.failure.kind in kinds


def _worker_lost(job: Job, worker: str, now: float, rules: Rules, mode: Mode) -> Step:
    if job.worker != worker or job.stage is None:
        return job, ()
    message = f"the worker {worker} ended during {job.stage}"
    failure = Failure("worker-lost", message, "see the worker's log", retryable=True)
    lost = replace(job, failure=failure)
    if job.stage in _IN_VCENTER:
        return _doom(lost, _outcome(lost, now, rules, mode)), ()
    return _give_up_attempt(lost, now, rules, mode)


def _evicted(job: Job, failure: Failure, now: float, rules: Rules, mode: Mode) -> Step:
    if job.hold is not Hold.OPEN or job.outcome is not None:
        return job, ()
    if job.stage is Stage.PUBLISH and job.due is None:
        return job, ()  # the manifest is on its way, and the release follows it
    evicted = put_off(replace(job, failure=failure), now, rules)
    if job.stage in _IN_VCENTER:
        return _doom(evicted, _outcome(evicted, now, rules, mode)), ()
    return _give_up_attempt(evicted, now, rules, mode)


def _outcome(job: Job, now: float, rules: Rules, mode: Mode) -> JobState:
    """What becomes of a job whose attempt failed."""
    if job.failure is not None and job.failure.gone:
        return JobState.SKIPPED
    again = tries_again(job, now, rules)
    if mode is Mode.CANCEL or (again and mode is Mode.DRAIN):
        return JobState.CANCELLED
    return JobState.QUEUED if again else JobState.FAILED


def _doom(job: Job, outcome: JobState) -> Job:
    """The job will have this outcome as soon as vCenter has answered what it is at work on.

    A release before that could come before the snapshot, and miss it.
    """
    return replace(job, outcome=outcome, worker="")


def _give_up_attempt(job: Job, now: float, rules: Rules, mode: Mode) -> Step:
    """Undo the attempt of a job whose stage has ended, or needs not be waited for."""
    outcome = _outcome(job, now, rules, mode)
    due = now + pause(job, rules) if outcome is JobState.QUEUED else None
    return _undo(job, outcome, due, mode)


def _undo(job: Job, outcome: JobState, due: float | None, mode: Mode) -> Step:
    abandoned: tuple[Instruction, ...] = ()
    if job.stage in _ON_WORKER:
        abandoned = (Abandon(job.id, job.attempt, job.worker),)
    undone = replace(job, stage=None, outcome=outcome, worker="", due=due)
    settled, instructions = _settle(undone, mode)
    return settled, abandoned + instructions


def _settle(job: Job, mode: Mode) -> Step:
    """The main track has ended: close the hold, and when it is closed, take on the outcome."""
    match job.hold:
        case Hold.OPEN:
            return _start_release(replace(job, state=JobState.RELEASING))
        case Hold.CLOSING:
            return replace(job, state=JobState.RELEASING), ()
        case Hold.NONE | Hold.LEFT:
            return _finish(job, mode), ()
        case _:
            assert_never(job.hold)


def _finish(job: Job, mode: Mode) -> Job:
    match job.outcome:
        case JobState.QUEUED if mode is not Mode.RUN:
            return replace(job, state=JobState.CANCELLED, due=None)
        case JobState.QUEUED if job.hold is Hold.LEFT:
            # No second snapshot on a VM that still has one of ours.
            return replace(job, state=JobState.FAILED, due=None)
        case JobState.QUEUED:
            return replace(job, state=JobState.QUEUED, outcome=None)
        case None:
            raise ValueError(f"job {job.id} has no outcome yet")
        case outcome:
            return replace(job, state=outcome, due=None)


def _start_release(job: Job) -> Step:
    releasing = replace(
        job,
        hold=Hold.CLOSING,
        releases=job.releases + 1,
        release_tries=job.release_tries + 1,
        release_due=None,
    )
    return releasing, (Start(job.id, Stage.RELEASE, releasing.releases),)


def _released(job: Job, number: int, mode: Mode) -> Step:
    if not expects(job, Stage.RELEASE, number):
        return job, ()
    return _after_release(replace(job, hold=Hold.NONE), mode)


def _release_failed(job: Job, event: StageFailed, now: float, rules: Rules, mode: Mode) -> Step:
    if not expects(job, Stage.RELEASE, event.attempt):
        return job, ()
    since = now if job.release_since is None else job.release_since
    # A VM that failed before has failed of that: its snapshot, which stays, is told beside.
    failure = job.failure if job.outcome is JobState.FAILED and job.failure is not None else event.failure
    failed = replace(job, failure=failure, release_since=since)
    if not _kept(event.failure) and now - since < rules.release_limit:
        return replace(failed, release_due=now + rules.backoff(job.release_tries)), ()
    return _after_release(replace(failed, hold=Hold.LEFT), mode)


def _kept(failure: Failure) -> bool:
    """Whether the snapshot is known to stay; what else goes wrong in a release tells nothing of that."""
    return failure.kind == RemovalError.kind and not failure.retryable


def _after_release(job: Job, mode: Mode) -> Step:
    if job.stage is None and job.outcome is not None:
        return _settle(job, mode)
    return job, ()


def _tick(job: Job, now: float) -> Step:
    instructions: tuple[Instruction, ...] = ()
    if job.release_due is not None and job.release_due <= now:
        job, instructions = _start_release(job)
    if job.due is None or job.due > now:
        return job, instructions
    if job.stage is None:
        return replace(job, due=None), instructions
    job, more = _start(replace(job, attempt=job.attempt + 1), job.stage)
    return job, instructions + more


def _cancelled(job: Job) -> Step:
    if job.state is JobState.QUEUED:
        return replace(job, state=JobState.CANCELLED, due=None), ()
    if job.outcome is not None:
        outcome = JobState.CANCELLED if job.outcome is JobState.QUEUED else job.outcome
        return replace(job, outcome=outcome), ()
    if job.stage in _IN_VCENTER:
        return _doom(job, JobState.CANCELLED), ()
    if job.stage is Stage.PUBLISH and job.due is None:
        return job, ()  # the manifest is on its way: whether it arrives decides
    return _undo(job, JobState.CANCELLED, None, Mode.CANCEL)
