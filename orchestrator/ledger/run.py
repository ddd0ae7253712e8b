"""One run's pages in the ledger.

What must be known before it is done — VMs enlisted, a snapshot intended, an image published — is on disk when
the method returns, or the method raises. All else is on disk too unless the database is away: then it is
brought there when it is back (``orchestrator.ledger.scribe``), and the run goes on meanwhile.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable

from sqlalchemy import Connection, Table, select, update

from orchestrator import clock
from orchestrator.fleet.states import Failure, Job, JobState, Stage
from orchestrator.ledger import runs, schema
from orchestrator.ledger.database import Database, insert_into, insert_once
from orchestrator.ledger.errors import LedgerError, NotIntendedError, RunClosedError
from orchestrator.ledger.presence import Timing
from orchestrator.ledger.records import EnlistedVm, ImageRecord, RunRecord
from orchestrator.ledger.scribe import Scribe
from orchestrator.vsphere.values import SnapshotRef


class RunLedger:
    """What one run writes; made by ``Ledger.begin_run``, over with ``end``. Methods may be called from any
    thread. From its beginning on it keeps the run's lease on the datacenter alive by itself."""

    def __init__(
        self, database: Database, timing: Timing, begun: runs.Begun, vcenter: str, datacenter: str
    ) -> None:
        self.id = begun.run
        self.beside: tuple[RunRecord, ...] = begun.beside
        """Runs over other datacenters that were at work when this one began."""
        self._database = database
        self._vcenter = vcenter
        self._datacenter = datacenter
        self._scribe = Scribe(database, begun.run, timing)
        self._ended = False

    def trouble(self) -> str:
        """Why the run must not go on; empty while it may."""
        if self._scribe.closed:
            return "another orchestrator took this run for dead and closed it"
        if (lost := self._scribe.lost) is not None:
            return f"{lost.message}; {lost.hint}"
        return ""

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call ``tell``, in any thread, once there is ``trouble``; it must not block."""
        self._scribe.when_lost(tell)

    def hurry(self) -> None:
        """The run is being cancelled: from now on nothing waits for a database that is away."""
        self._scribe.hurry()

    def end(self, outcome: str) -> bool:
        """The run is over; False when the ledger could not be told so. A second call does nothing."""
        if self._ended:
            return True
        self._ended = True
        return self._scribe.stop(lambda connection: runs.end(connection, self.id, outcome))

    def enlist(self, vms: Iterable[EnlistedVm]) -> None:
        """Take VMs into the run, as queued. Raises ``LedgerError`` when they could not be written down."""
        now = clock.now()
        rows = [self._vm_row(vm) for vm in vms]
        jobs = [
            {
                "run": self.id,
                "job": row["job"],
                "state": JobState.QUEUED,
                "attempt": 0,
                "queued": now,
                "changed": now,
            }
            for row in rows
        ]

        def write(connection: Connection) -> None:
            if not rows:
                return
            vm = insert_into(connection, schema.vms)
            renewed = {name: vm.excluded[name] for name in rows[0] if name != "job"}
            connection.execute(vm.on_conflict_do_update(index_elements=["job"], set_=renewed), rows)
            connection.execute(insert_into(connection, schema.jobs).on_conflict_do_nothing(), jobs)

        self._scribe.require(write)

    def decided(self, job: str, state: JobState, reason: str, remedy: str) -> None:
        """The VM is not converted in this run, and why: it is done, or skipped."""
        self._update(job, state=state, reason=reason, remedy=remedy, ended=clock.now())

    def record(self, job: Job) -> None:
        """The job is as the state machine has it."""
        failure = job.failure
        shown = failure if failure is not None and job.state is not JobState.DONE else None
        self._update(
            job.id,
            state=job.state,
            attempt=job.attempt,
            ended=clock.now() if job.state.final else None,
            error_kind=shown and shown.kind,
            error_message=shown and shown.message,
            error_hint=shown and shown.hint,
        )

    def may_publish(self, job: str, attempt: int) -> bool:
        """Whether this is the attempt that counts, of a run that counts; its lease is renewed then.

        Raises ``LedgerError`` when the ledger cannot be asked: then nothing may be published.
        """
        j = schema.jobs.c
        query = select(j.attempt).where(j.run == self.id, j.job == job, j.state == JobState.PUBLISHING)

        def ask(connection: Connection) -> bool:
            if not runs.beat(connection, self.id, self._database.now(connection)):
                return False
            return bool(connection.execute(query).scalar() == attempt)

        return self._scribe.require(ask)

    def stage(
        self, job: str, stage: Stage, attempt: int, started: float, ended: float, ok: bool, moved: int
    ) -> None:
        """A stage has ended; ``moved`` in bytes."""
        self._add(
            schema.stages,
            job=job,
            stage=stage,
            attempt=attempt,
            started=started,
            ended=ended,
            ok=ok,
            bytes=moved,
        )

    def snapshot_intended(self, job: str, vm: str, name: str) -> None:
        """A snapshot will be asked for: on disk before vCenter hears of it.

        Raises ``NotIntendedError`` when it could not be written down, ``RunClosedError`` when another
        orchestrator has closed the run: vCenter must not be asked then.
        """
        row = self._row(job=job, vm=vm, name=name, intended=clock.now())

        def write(connection: Connection) -> bool:
            if not runs.beat(connection, self.id, self._database.now(connection)):
                return False
            insert_once(connection, schema.snapshots, row)
            return True

        try:
            open_still = self._scribe.require(write)
        except LedgerError as error:
            raise NotIntendedError(f"no snapshot was asked for: {error.message}", error.hint) from error
        if not open_still:
            raise RunClosedError(
                "no snapshot was asked for: another orchestrator took this run for dead and closed it",
                "see `orchestrate status`",
            )

    def snapshot_made(self, job: str, snapshot: SnapshotRef) -> None:
        """vCenter has it."""
        self._update_snapshot(
            job,
            moref=snapshot.moref,
            created=snapshot.created,
            quiesced=snapshot.quiesced,
            note=snapshot.note,
        )

    def snapshot_found(self, job: str, moref: str) -> None:
        """vCenter has it, although it did not say so; it is about to be removed."""
        self._update_snapshot(job, moref=moref)

    def snapshot_removed(self, job: str) -> None:
        """It is gone, or was never made."""
        self._update_snapshot(job, removed=clock.now())

    def image(self, job: str, image: ImageRecord) -> None:
        """An image was published."""
        self._add(
            schema.images,
            job=job,
            reference=image.reference,
            digest=image.digest,
            config_digest=image.config_digest,
            size=image.size,
            published=image.published,
            snapshot_time=image.snapshot_time,
            fingerprint=image.fingerprint,
            settings=image.settings,
        )

    def event(self, kind: str, message: str, hint: str = "", job: str | None = None) -> None:
        """Something a person may want to read later."""
        self._add(schema.events, job=job, at=clock.now(), kind=kind, message=message, hint=hint)

    def failed(self, job: str, failure: Failure) -> None:
        """A stage failed, whether or not it is tried again."""
        self.event(failure.kind, failure.message, failure.hint, job)

    def _vm_row(self, vm: EnlistedVm) -> dict[str, str]:
        return {
            "job": vm.job,
            "vcenter": self._vcenter,
            "instance_uuid": vm.instance_uuid,
            "moref": vm.moref,
            "name": vm.name,
            "folder": vm.folder,
            "datacenter": self._datacenter,
            "repository": vm.repository,
        }

    def _row(self, **values: object) -> dict[str, object]:
        return {"run": self.id, "entry": str(uuid.uuid4()), **values}

    def _add(self, table: Table, **values: object) -> None:
        row = self._row(**values)
        self._scribe.tell(lambda connection: insert_once(connection, table, row))

    def _update(self, job: str, **values: object) -> None:
        j = schema.jobs.c
        change = update(schema.jobs).where(j.run == self.id, j.job == job)
        self._scribe.tell(lambda connection: connection.execute(change.values(changed=clock.now(), **values)))

    def _update_snapshot(self, job: str, **values: object) -> None:
        s = schema.snapshots.c
        change = update(schema.snapshots).where(s.run == self.id, s.job == job, s.removed.is_(None))
        self._scribe.tell(lambda connection: connection.execute(change.values(**values)))
