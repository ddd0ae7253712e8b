"""A run as it is at one moment: what the live view, the metrics and the report read. Values only.

Times are seconds since 1970-01-01 UTC by the orchestrator's clock; None where it has not happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from converters.difference import Difference
from converters.guest.facts import StepDown
from orchestrator.fleet.states import JobState, Stage
from orchestrator.verify.verdict import Verification


class RunPhase(StrEnum):
    """What the run as a whole is at."""

    STARTING = "starting"
    """Leftovers are swept, the inventory is read."""
    TESTING = "testing"
    """Local workers are started; workers, and what they reach, are tested."""
    RUNNING = "running"
    DRAINING = "draining"
    """Interrupted once: no VM is begun any more, those begun end."""
    CANCELLING = "cancelling"
    """Interrupted twice, or SIGTERM: what was begun is undone."""
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class ErrorView:
    """A failure, as the ledger has it."""

    stage: Stage
    attempt: int
    kind: str
    """Stable word of the error's class: ``lease``, ``registry-unavailable``…"""
    message: str
    hint: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class StageTime:
    """When a stage of one attempt ran."""

    stage: Stage
    attempt: int
    started: float
    ended: float | None = None
    ok: bool = False
    """Whether it ended well; False while it runs."""


@dataclass(frozen=True, slots=True)
class ImageView:
    """A published image."""

    reference: str
    """``host/name@sha256:…``."""
    digest: str
    size: int
    """Compressed bytes: what a pull transfers."""
    created: float


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What one rule, or the form of layers, kept out of an image."""

    name: str
    reason: str
    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ConversionView:
    """What a conversion found and made."""

    release: str
    """Distribution, in its own words."""
    service: str
    """What the image starts; empty: a shell."""
    engines: tuple[str, ...]
    """What read the guest's file systems."""
    step_downs: tuple[StepDown, ...]
    """Engines that could not, and why."""
    entries: int
    """Files, directories and the like in the image."""
    tree_bytes: int
    """Of the image's tree, as tar."""
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    """What a person should know before running the image."""
    differences: tuple[Difference, ...] = ()
    """How the machine's containers differ from it."""


@dataclass(frozen=True, slots=True)
class JobView:
    """One VM of the run."""

    job: str
    """Identifier of the job: the same in every run over the same ledger."""
    vm: str
    """The VM's name."""
    moref: str
    folder: str
    host: str
    """Name of its ESXi host; empty when it has none."""
    datastores: tuple[str, ...]
    state: JobState
    running: tuple[Stage, ...] = ()
    """Stages in flight; ``release`` may run beside another."""
    attempt: int = 0
    worker: str = ""
    """Address of the Dask worker that has the job's disks."""
    stages: tuple[StageTime, ...] = ()
    """Every stage begun in this run, in order."""
    queued: float | None = None
    started: float | None = None
    """First admission in this run."""
    ended: float | None = None
    capacity_bytes: int = 0
    """Of all its virtual disks."""
    used_bytes: int = 0
    """Committed storage, by the inventory."""
    wire_bytes: int = 0
    """What the download is expected to transfer; 0 when vCenter does not say."""
    received_bytes: int = 0
    """Downloaded by the current attempt."""
    read_bytes: int = 0
    """Read from the guest's tree by the current attempt."""
    pushed_bytes: int = 0
    """Sent to the registry by the current attempt."""
    received_total: int = 0
    """Downloaded by all attempts of this run; only grows, as do the next two."""
    read_total: int = 0
    pushed_total: int = 0
    rate: float = 0.0
    """Bytes per second of the stage in flight, over its last reports."""
    snapshot_since: float | None = None
    """When the snapshot that is open now was made; None when there is none."""
    snapshot_left: bool = False
    """The snapshot could not be removed: it is still on the VM, and ``error`` says so."""
    errors: tuple[ErrorView, ...] = ()
    """Every failure in this run, retried ones too; the last one decides a ``failed`` job."""
    reason: str = ""
    """Why it is skipped, or what a person should know about how it went."""
    remedy: str = ""
    step_down: str = ""
    """The transport that did not do for the VM, and why: ``datastore: …``; empty: the one asked for did."""
    image: ImageView | None = None
    conversion: ConversionView | None = None
    """None until this run has converted it."""
    verification: Verification | None = None
    """None when nobody wanted it, or it is still to come."""

    @property
    def error(self) -> ErrorView | None:
        """The last failure."""
        return self.errors[-1] if self.errors else None

    @property
    def cause(self) -> ErrorView | None:
        """What it failed of: a release that fails as well comes last, and is not why there is no image."""
        return next(
            (error for error in reversed(self.errors) if error.stage is not Stage.RELEASE), self.error
        )

    @property
    def removal_error(self) -> ErrorView | None:
        """Why a snapshot that is left is still there."""
        return next((error for error in reversed(self.errors) if error.stage is Stage.RELEASE), self.error)


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """One budget and how much of it is taken."""

    kind: str
    """``slots``, ``host disks``, ``vcenter disks`` or ``datastore snapshots``."""
    name: str
    """The host or datastore; empty for the budgets of the whole run."""
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class RunView:
    """The whole run at one moment."""

    run: str
    ledger: str
    datacenter: str
    phase: RunPhase
    now: float
    started: float
    ended: float | None = None
    passed: tuple[RunPhase, ...] = ()
    """The phases before this one, in order: who looks now and then must not miss a short one."""
    jobs: tuple[JobView, ...] = ()
    """In the order of the inventory."""
    workers: tuple[str, ...] = ()
    """Addresses of the Dask workers that convert."""
    budgets: tuple[BudgetUse, ...] = ()
    swept: int = 0
    """Snapshots of earlier runs that were removed at the start."""
    stays: int = 0
    """Snapshots of earlier runs that could not be removed."""
    notes: tuple[str, ...] = ()
    """What the person should know about the run as a whole."""
    plan_only: bool = False
    """Whether machines were only looked at, and none was converted."""
    lost: str = ""
    """Why the ledger does not have all of the run: it is away, or another orchestrator closed the run."""

    @property
    def counts(self) -> Mapping[JobState, int]:
        """Jobs by state; every state is there."""
        counted = Counter(job.state for job in self.jobs)
        return {state: counted[state] for state in JobState}
