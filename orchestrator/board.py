"""What happens in a run, written to the ledger and shown: one place for both, so that they agree."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from converters.difference import differences
from converters.request import Converted, Proposal
from orchestrator import clock
from orchestrator.fleet.plan import PlannedVm
from orchestrator.fleet.states import Failure, Job, Stage
from orchestrator.fleet.track import Tracker
from orchestrator.fleet.view import (
    BudgetUse,
    ConversionView,
    ImageView,
    LeftOut,
    RunPhase,
    RunView,
    StageTime,
)
from orchestrator.job import Published
from orchestrator.ledger import EnlistedVm, ImageRecord, RunLedger
from orchestrator.verify.verdict import Verification
from orchestrator.vsphere.values import Lease, Placement, Removal, SnapshotRef

log = logging.getLogger(__name__)

_SHOWN = 5
"""Services named where all would be too many."""
_MOVED = {Stage.DOWNLOAD: "received_bytes", Stage.CONVERT: "read_bytes"}


class Board:
    """Written by the run's thread, read by any: what readers see is replaced as a whole, never changed."""

    def __init__(self, ledger: str, datacenter: str, plan_only: bool = False) -> None:
        self._ledger = ledger
        self._datacenter = datacenter
        self._started = clock.now()
        self._ended: float | None = None
        self._run: RunLedger | None = None
        self._trackers: dict[str, Tracker] = {}
        self._planned: dict[str, PlannedVm] = {}
        self._failures: dict[str, list[Failure]] = {}
        self._plan_only = plan_only
        self._phases: tuple[RunPhase, ...] = (RunPhase.STARTING,)
        self.workers: tuple[str, ...] = ()
        self.budgets: tuple[BudgetUse, ...] = ()
        self.swept = 0
        self.stays = 0
        self.notes: tuple[str, ...] = ()
        self.lost = ""

    @property
    def phase(self) -> RunPhase:
        """What the run is at."""
        return self._phases[-1]

    @phase.setter
    def phase(self, phase: RunPhase) -> None:
        if phase is not self.phase:
            self._phases = (*self._phases, phase)

    def view(self) -> RunView:
        """The run as it is now."""
        *passed, phase = self._phases
        return RunView(
            run=self._run.id if self._run else "",
            ledger=self._ledger,
            datacenter=self._datacenter,
            phase=phase,
            now=clock.now(),
            started=self._started,
            ended=self._ended,
            passed=tuple(passed),
            jobs=tuple(tracker.view for tracker in self._trackers.values()),
            workers=self.workers,
            budgets=self.budgets,
            swept=self.swept,
            stays=self.stays,
            notes=self.notes,
            lost=self.lost,
            plan_only=self._plan_only,
        )

    def plan(self, planned: Iterable[PlannedVm]) -> None:
        """The run will do this; it is only shown."""
        now = clock.now()
        self._planned = {one.job: one for one in planned}
        self._trackers = {job: Tracker(one.view(now)) for job, one in self._planned.items()}

    def enlist(self, run: RunLedger) -> None:
        """The run does what was planned."""
        self._run = run
        run.enlist(
            EnlistedVm(
                job=one.job,
                instance_uuid=one.vm.instance_uuid,
                moref=one.vm.moref,
                name=one.vm.name,
                folder=one.vm.folder,
                repository=one.repository,
            )
            for one in self._planned.values()
        )
        for one in self._planned.values():
            if not one.converts:
                run.decided(one.job, one.state, one.reason, one.remedy)

    def note(self, note: str, job: str | None = None) -> None:
        """A person should know this; once is enough."""
        if job is not None:
            self._trackers[job].noted(note)
        elif note not in self.notes:
            self.notes = (*self.notes, note)
        if self._run is not None:
            self._run.event("note", note, job=job)

    def end(self, outcome: str) -> None:
        """The run is over."""
        self._ended = clock.now()
        self.phase = RunPhase.ENDED
        if self._run is not None and not self._run.end(outcome):
            self.lost = self.lost or self._run.trouble()

    def recorded(self, job: Job) -> None:
        """The state machine has the job so."""
        self._ledger_of_run.record(job)
        tracker = self._trackers[job.id]
        tracker.recorded(job, clock.now())
        if job.failure is not None and not any(job.failure is one for one in self._failures.get(job.id, ())):
            # Not a stage's own: its worker is gone, or it was never begun.
            self._failed(job.id, tracker.last_stage, job.attempt, job.failure)

    def began(self, job: str, stage: Stage, attempt: int) -> None:
        """A stage is about to begin."""
        self._trackers[job].began(stage, attempt, clock.now())

    def done(self, job: str, stage: Stage, attempt: int, value: object) -> None:
        """A stage ended well and gave ``value``."""
        tracker = self._trackers[job]
        self._stage_ended(job, tracker.ended(stage, attempt, clock.now(), True))
        match value:
            case SnapshotRef():
                self._ledger_of_run.snapshot_made(job, value)
                if value.note:
                    tracker.noted(value.note)
            case Removal(note=str(note)) if note:
                tracker.noted(note)
            case Lease():
                absent = {disk.key for disk in self._planned[job].left_out}
                tracker.leased(sum(disk.file_size for disk in value.disks if disk.device not in absent))
                if value.instead:
                    tracker.exported_instead(value.instead)
            case Proposal(inspection=found, plan=plan):
                names = ", ".join(service.name for service in plan.services[:_SHOWN]) or "no service to start"
                more = f" and {len(plan.services) - _SHOWN} more" if len(plan.services) > _SHOWN else ""
                tracker.noted(f"{found.guest.release.name}; its plan has {names}{more}")
            case Converted():
                tracker.converted(_conversion(value))
                for step in value.inspection.step_downs:
                    name = self._planned[job].vm.name
                    log.warning("%s: %s is read by %s: %s", name, step.volume, step.instead, step.reason)
        if stage is Stage.RELEASE:
            self._ledger_of_run.snapshot_removed(job)

    def failed(self, job: str, stage: Stage, attempt: int, failure: Failure) -> None:
        """A stage failed; one that changed nothing in vCenter leaves no snapshot to remember."""
        tracker = self._trackers[job]
        self._stage_ended(job, tracker.ended(stage, attempt, clock.now(), False))
        self._failed(job, stage, attempt, failure)
        if stage is Stage.SNAPSHOT and failure.untouched:
            self._ledger_of_run.snapshot_removed(job)

    def _failed(self, job: str, stage: Stage, attempt: int, failure: Failure) -> None:
        self._failures.setdefault(job, []).append(failure)
        self._trackers[job].failed(stage, attempt, failure)
        self._ledger_of_run.failed(job, failure)

    def abandoned(self, job: str) -> None:
        """What ran on a worker is given up."""
        for ended in self._trackers[job].abandoned(clock.now()):
            self._stage_ended(job, ended)

    def placed(self, job: str, placement: Placement) -> None:
        """The VM is there now."""
        self._trackers[job].placed(placement.host_name, placement.datastores)

    def moved(self, job: str, counts: Mapping[str, int]) -> None:
        """A worker tells how many bytes it has moved."""
        self._trackers[job].moved(counts, clock.now())

    def published(
        self, job: str, image: Published, converted: Converted, snapshot: SnapshotRef | None
    ) -> None:
        """There is an image."""
        now = clock.now()
        self._ledger_of_run.image(
            job,
            ImageRecord(
                reference=image.reference,
                digest=image.digest,
                config_digest=converted.config.digest,
                size=converted.size,
                published=now,
                snapshot_time=snapshot.created if snapshot else None,
                fingerprint=self._planned[job].fingerprint,
                settings=self._planned[job].settings,
            ),
        )
        self._trackers[job].published(ImageView(image.reference, image.digest, converted.size, now))

    def verified(self, job: str, found: Verification) -> None:
        """The image's containers were started, and removed again."""
        self._ledger_of_run.event("verified" if found.good else "verify", found.sentence(), job=job)
        self._trackers[job].verified(found)

    @property
    def _ledger_of_run(self) -> RunLedger:
        if self._run is None:
            raise ValueError("the run has not begun")
        return self._run

    def _stage_ended(self, job: str, time: StageTime | None) -> None:
        if time is None or time.ended is None:
            return
        moved = getattr(self._trackers[job].view, _MOVED[time.stage]) if time.stage in _MOVED else 0
        self._ledger_of_run.stage(job, time.stage, time.attempt, time.started, time.ended, time.ok, moved)


def _conversion(converted: Converted) -> ConversionView:
    inspection, plan = converted.inspection, converted.plan
    return ConversionView(
        release=inspection.guest.release.name,
        service=plan.service,
        engines=tuple(sorted({mount.engine for mount in inspection.mounts})),
        step_downs=inspection.step_downs,
        entries=converted.entries,
        tree_bytes=converted.read_bytes,
        left_out=tuple(
            LeftOut(removal.name, removal.reason, removal.entries, removal.bytes)
            for removal in converted.removals
        ),
        notes=(*inspection.notes, *inspection.guest.notes, *plan.notes),
        differences=differences(inspection, plan, converted.removals),
    )
