"""One run's pages in the ledger. Every method is one transaction that is on disk when it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Connection, Engine, select, update

from orchestrator.fleet.states import Failure, Job, JobState, Stage
from orchestrator.ledger import schema
from orchestrator.ledger.records import EnlistedVm, ImageRecord
from orchestrator.vsphere.values import SnapshotRef


class RunLedger:
    """What one run writes; made by ``Ledger.begin_run``. Methods may be called from any thread."""

    def __init__(
        self, engine: Engine, run: str, vcenter: str, datacenter: str, clock: Callable[[], float]
    ) -> None:
        self.id = run
        self._engine = engine
        self._vcenter = vcenter
        self._datacenter = datacenter
        self._clock = clock

    def heartbeat(self) -> bool:
        """Say that the run is alive; False when another has taken it for dead and closed it."""
        runs = schema.runs
        with self._engine.begin() as connection:
            changed = connection.execute(
                update(runs)
                .where(runs.c.id == self.id, runs.c.ended.is_(None))
                .values(heartbeat=self._clock())
            )
            return changed.rowcount == 1

    def end(self, outcome: str) -> None:
        """The run is over."""
        runs = schema.runs
        with self._engine.begin() as connection:
            connection.execute(
                update(runs)
                .where(runs.c.id == self.id, runs.c.ended.is_(None))
                .values(ended=self._clock(), outcome=outcome)
            )

    def enlist(self, vms: Iterable[EnlistedVm]) -> None:
        """Take VMs into the run, as queued."""
        now = self._clock()
        with self._engine.begin() as connection:
            known = set(connection.execute(select(schema.vms.c.job)).scalars())
            for vm in vms:
                self._put_vm(connection, vm, vm.job in known)
                connection.execute(
                    schema.jobs.insert().values(
                        run=self.id, job=vm.job, state=JobState.QUEUED, attempt=0, queued=now, changed=now
                    )
                )

    def decided(self, job: str, state: JobState, reason: str, remedy: str) -> None:
        """The VM is not converted in this run, and why: it is done, or skipped."""
        self._update(job, state=state, reason=reason, remedy=remedy, ended=self._clock())

    def record(self, job: Job) -> None:
        """The job is as the state machine has it."""
        failure = job.failure
        shown = failure if failure is not None and job.state is not JobState.DONE else None
        self._update(
            job.id,
            state=job.state,
            attempt=job.attempt,
            ended=self._clock() if job.state.final else None,
            error_kind=shown and shown.kind,
            error_message=shown and shown.message,
            error_hint=shown and shown.hint,
        )

    def may_publish(self, job: str, attempt: int) -> bool:
        """Whether this is the attempt that counts, of a run that counts."""
        j, r = schema.jobs.c, schema.runs.c
        query = (
            select(j.attempt)
            .join(schema.runs, r.id == j.run)
            .where(j.run == self.id, j.job == job, j.state == JobState.PUBLISHING, r.ended.is_(None))
        )
        with self._engine.begin() as connection:
            return bool(connection.execute(query).scalar() == attempt)

    def stage(
        self, job: str, stage: Stage, attempt: int, started: float, ended: float, ok: bool, moved: int
    ) -> None:
        """A stage has ended; ``moved`` in bytes."""
        with self._engine.begin() as connection:
            connection.execute(
                schema.stages.insert().values(
                    run=self.id,
                    job=job,
                    stage=stage,
                    attempt=attempt,
                    started=started,
                    ended=ended,
                    ok=ok,
                    bytes=moved,
                )
            )

    def snapshot_intended(self, job: str, vm: str, name: str) -> None:
        """A snapshot will be asked for: on disk before vCenter hears of it."""
        with self._engine.begin() as connection:
            connection.execute(
                schema.snapshots.insert().values(
                    run=self.id, job=job, vm=vm, name=name, intended=self._clock()
                )
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

    def snapshot_removed(self, job: str) -> None:
        """It is gone, or was never made."""
        self._update_snapshot(job, removed=self._clock())

    def image(self, job: str, image: ImageRecord) -> None:
        """An image was published."""
        with self._engine.begin() as connection:
            connection.execute(
                schema.images.insert().values(
                    run=self.id,
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
            )

    def event(self, kind: str, message: str, hint: str = "", job: str | None = None) -> None:
        """Something a person may want to read later."""
        with self._engine.begin() as connection:
            connection.execute(
                schema.events.insert().values(
                    run=self.id, job=job, at=self._clock(), kind=kind, message=message, hint=hint
                )
            )

    def failed(self, job: str, failure: Failure) -> None:
        """A stage failed, whether or not it is tried again."""
        self.event(failure.kind, failure.message, failure.hint, job)

    def _put_vm(self, connection: Connection, vm: EnlistedVm, known: bool) -> None:
        values = {
            "vcenter": self._vcenter,
            "instance_uuid": vm.instance_uuid,
            "moref": vm.moref,
            "name": vm.name,
            "folder": vm.folder,
            "datacenter": self._datacenter,
            "repository": vm.repository,
        }
        if known:
            connection.execute(update(schema.vms).where(schema.vms.c.job == vm.job).values(values))
        else:
            connection.execute(schema.vms.insert().values(job=vm.job, **values))

    def _update(self, job: str, **values: object) -> None:
        j = schema.jobs.c
        with self._engine.begin() as connection:
            connection.execute(
                update(schema.jobs)
                .where(j.run == self.id, j.job == job)
                .values(changed=self._clock(), **values)
            )

    def _update_snapshot(self, job: str, **values: object) -> None:
        s = schema.snapshots.c
        with self._engine.begin() as connection:
            connection.execute(
                update(schema.snapshots)
                .where(s.run == self.id, s.job == job, s.removed.is_(None))
                .values(**values)
            )
