"""One job's states, the events that change them and the instructions that come of it: values only.

A job has two tracks. The main one goes snapshot → export → download → convert → publish, or begins with the
download where the disks are files (``Route``), or leaves it out where they are read in place, as long as the
snapshot holds them. The other is what vCenter holds for it (``Hold``): from the moment a snapshot is asked
for until it is known to be gone. The job is not over before the main track has ended and the other is closed,
or known to be stuck.
``orchestrator.fleet.steps`` has the transitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """One step of a job: a task of its own."""

    SNAPSHOT = "snapshot"
    EXPORT = "export"
    """The export lease is opened."""
    DOWNLOAD = "download"
    CONVERT = "convert"
    PUBLISH = "publish"
    RELEASE = "release"
    """Lease closed and snapshot removed; runs beside ``CONVERT``."""


class JobState(StrEnum):
    """Where a job is, in the words of the live view, the metrics and the ledger."""

    QUEUED = "queued"
    SNAPSHOTTING = "snapshotting"
    EXPORTING = "exporting"
    CONVERTING = "converting"
    PUBLISHING = "publishing"
    RELEASING = "releasing"
    """All else has ended; the snapshot's removal has not."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """The run was interrupted before the job could end; the next run does it."""
    SKIPPED = "skipped"

    @property
    def final(self) -> bool:
        """Whether a job stays in this state for the rest of the run."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.SKIPPED)


class Route(StrEnum):
    """Which stages lead a job to its image."""

    EXPORT = "export"
    """A snapshot and an export lease, released as soon as the disks are on scratch."""
    FILES = "files"
    """The disks lie in files that workers see: nothing is asked of vCenter, so nothing is released."""

    @property
    def first(self) -> Stage:
        """The stage that an attempt begins with."""
        return Stage.SNAPSHOT if self is Route.EXPORT else Stage.DOWNLOAD


class Hold(StrEnum):
    """What vCenter holds for a job."""

    NONE = "none"
    OPEN = "open"
    """A snapshot is being made or is there, perhaps with a lease on it."""
    CLOSING = "closing"
    LEFT = "left"
    """The snapshot could not be removed: a person, or a later sweep, has to."""


class Mode(StrEnum):
    """What the run as a whole wants of its jobs."""

    RUN = "run"
    DRAIN = "drain"
    """Begin nothing more; end what is begun."""
    CANCEL = "cancel"
    """Undo what is begun."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a stage failed, as data."""

    kind: str
    message: str
    hint: str = ""
    retryable: bool = False
    untouched: bool = False
    """The failed stage certainly changed nothing in vCenter."""
    put_off: bool = False
    """Others need the VM now: the attempt does not count, and the next one waits longer. Retryable, too."""
    gone: bool = False
    """There is no VM any more: the job is skipped, not failed."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How often, and when, something is tried again."""

    max_attempts: int = 3
    """Attempts of a job, the first one included."""
    release_limit: float = 3600.0
    """Seconds for which the removal of a snapshot that vCenter refuses is tried again."""
    backoff_base: float = 5.0
    """Seconds before the second attempt; doubled for each further one."""
    backoff_limit: float = 300.0
    """Seconds."""
    put_off_pause: float = 60.0
    """Seconds before the next look at a VM that was put off; doubled each time, up to ``backoff_limit``."""
    put_off_limit: float = 4 * 3600.0
    """Seconds for which a VM is put off before it fails."""

    def backoff(self, tries: int) -> float:
        """Seconds to wait after the given number of tries, 1 or more."""
        return min(self.backoff_limit, self.backoff_base * 2.0 ** min(tries - 1, 32))

    def pause(self, looks: int) -> float:
        """Seconds to wait when a VM was put off for the given number of times, 1 or more."""
        return min(
            max(self.backoff_limit, self.put_off_pause), self.put_off_pause * 2.0 ** min(looks - 1, 32)
        )


@dataclass(frozen=True, slots=True)
class Job:
    """One VM's work. ``steps.advance`` makes the next one; nothing else changes it."""

    id: str
    state: JobState = JobState.QUEUED
    attempt: int = 0
    """Attempts begun."""
    stage: Stage | None = None
    """Stage of the main track: in flight, or waiting for ``due``."""
    due: float | None = None
    """When ``stage``, or a queued job, may be tried again; None: it is in flight, or may be begun at once."""
    worker: str = ""
    """Where its convert slot is; empty when it has none."""
    hold: Hold = Hold.NONE
    releases: int = 0
    """Releases begun; the number of the one in flight."""
    release_tries: int = 0
    """Of them, those of the snapshot that is held now."""
    release_since: float | None = None
    """When the removal of the snapshot that is held now was refused first."""
    release_due: float | None = None
    """When a failed release is tried again; None: in flight, or none wanted."""
    outcome: JobState | None = None
    """What it becomes when nothing is in flight and the hold is closed; ``QUEUED``: it is tried again."""
    failure: Failure | None = None
    """The last one."""
    put_offs: int = 0
    """Attempts that do not count, as the VM was put off."""
    put_off_since: float | None = None
    """Since when others have needed the VM whenever it was looked at; None: they did not last time."""
    route: Route = Route.EXPORT

    @property
    def reads_in_place(self) -> bool:
        """Whether its conversion reads what the snapshot holds: nothing of it is on scratch."""
        return self.stage is Stage.CONVERT and self.hold is Hold.OPEN


# Events of one job.


@dataclass(frozen=True, slots=True)
class Admitted:
    """The budgets allow it, and ``worker`` keeps a slot for it."""

    worker: str


@dataclass(frozen=True, slots=True)
class StageDone:
    """A stage ended well. For ``RELEASE``, ``attempt`` is the number of the release."""

    job: str
    stage: Stage
    attempt: int
    in_place: bool = False
    """Of ``EXPORT``: the disks are read where they are, for as long as the snapshot holds them."""


@dataclass(frozen=True, slots=True)
class StageFailed:
    """A stage ended in an error; ``attempt`` as in ``StageDone``."""

    job: str
    stage: Stage
    attempt: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A Dask worker is gone, and with it what its scratch folder held."""

    worker: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Evicted:
    """A snapshot must not be open any longer, and why; one that is on its way out is."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Drain:
    """Do not begin."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """End, and undo."""


JobEvent = Admitted | StageDone | StageFailed | WorkerLost | Evicted | Tick | Drain | Cancel

# Instructions: what the run has to do, in this order.


@dataclass(frozen=True, slots=True)
class Record:
    """Write the job down as it is now, before anything that follows is begun."""

    job: Job


@dataclass(frozen=True, slots=True)
class Start:
    """Begin a stage; answer with ``StageDone`` or ``StageFailed`` of the same number."""

    job: str
    stage: Stage
    attempt: int
    worker: str = ""
    """Where; empty: in the control plane."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Nothing of the job's attempts up to this one is wanted on the worker: stop it, remove its scratch."""

    job: str
    attempt: int
    worker: str


Instruction = Record | Start | Abandon
