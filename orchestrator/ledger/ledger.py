"""The ledger as a whole: which one it is, which runs are at work over it, what they left."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from sqlalchemy import Connection, select, update

from orchestrator import clock
from orchestrator.ledger import runs, schema
from orchestrator.ledger.database import Clock, Database, shared_clock
from orchestrator.ledger.engine import BUSY_SECONDS
from orchestrator.ledger.location import ledger_url
from orchestrator.ledger.presence import Timing
from orchestrator.ledger.records import ImageRecord, JobRecord, OpenSnapshot, RunRecord
from orchestrator.ledger.rows import image_record, job_record, run_record
from orchestrator.ledger.run import RunLedger
from orchestrator.ledger.upgrade import identity, upgrade

_TIMING = Timing()


class Ledger:
    """An open ledger; a context manager. Methods may be called from any thread.

    ``location`` is a file path or a URL of a PostgreSQL database. Raises ``LedgerError`` when it cannot be
    opened; later on, ``LedgerAwayError`` from any method when the database stays away.
    """

    def __init__(
        self,
        location: str | Path,
        password: str = "",
        timing: Timing = _TIMING,
        shared: Clock = shared_clock,
    ) -> None:
        """``shared`` is the clock of heartbeats."""
        url = ledger_url(location, password)
        self._database = Database(url, timing.patience, shared)
        self._timing = timing
        self._begun: list[RunLedger] = []
        try:
            # Two that make a file at once may both be refused the lock: SQLite does not wait for this one. A
            # server that is not there is told at once.
            patience = BUSY_SECONDS if url.drivername == "sqlite" else 0
            self.id = self._database.transact(self._open, patience)
        except BaseException:
            self._database.close()
            raise
        self.engine = self._database.engine

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what runs were begun and not ended, and connections; a second call does nothing."""
        for run in self._begun:
            run.end("left")
        self._database.close()

    def begin_run(self, vcenter: str, datacenter: str) -> RunLedger:
        """Enter a run into the ledger, which holds the datacenter from then on; dead runs are closed.

        ``vcenter`` is the instance UUID, ``datacenter`` the path. Raises ``LedgerInUseError`` when another
        run is at work there. A run of another machine that has fallen silent is watched for
        ``Timing.watch`` seconds first.
        """
        begun = runs.begin(self._database, self._timing, vcenter, datacenter)
        run = RunLedger(self._database, self._timing, begun, vcenter, datacenter)
        self._begun.append(run)
        return run

    def settle_runs(self) -> frozenset[str]:
        """Close every run that is dead, so that it can begin nothing any more; gives those at work."""
        return runs.settle(self._database, self._timing)

    def live_runs(self) -> frozenset[str]:
        """Identifiers of the runs that are heard of; changes nothing."""
        return runs.live(self._database, self._timing)

    def known_runs(self) -> frozenset[str]:
        """Identifiers of every run that was ever begun in this ledger."""
        query = select(schema.runs.c.id)
        rows = self._database.transact(lambda connection: connection.execute(query).all())
        return frozenset(row.id for row in rows)

    def last_run(self) -> RunRecord | None:
        """The run that was begun last."""
        query = select(schema.runs).order_by(schema.runs.c.number.desc())
        row = self._database.transact(lambda connection: connection.execute(query).first())
        return None if row is None else run_record(row)

    def jobs(self, run: str) -> tuple[JobRecord, ...]:
        """The VMs of a run, by folder and name."""
        j, v, i = schema.jobs.c, schema.vms.c, schema.images.c
        query = (
            select(schema.jobs, v.name, v.folder, i.reference)
            .join(schema.vms, v.job == j.job)
            .outerjoin(schema.images, (i.run == j.run) & (i.job == j.job))
            .where(j.run == run)
            .order_by(v.folder, v.name, j.job)
        )
        return tuple(map(job_record, self._database.transact(lambda c: c.execute(query).all())))

    def last_image(self, job: str) -> ImageRecord | None:
        """The image that was published last for a VM."""
        # In the order in which they were written: the clocks that give times may have been set in between.
        query = select(schema.images).where(schema.images.c.job == job).order_by(schema.images.c.id.desc())
        row = self._database.transact(lambda connection: connection.execute(query).first())
        return None if row is None else image_record(row)

    def repositories(self) -> dict[str, str]:
        """Repository by job, of every VM ever taken up: a VM keeps its name in the registry."""
        query = select(schema.vms.c.job, schema.vms.c.repository)
        rows = self._database.transact(lambda connection: connection.execute(query).all())
        return {row.job: row.repository for row in rows}

    def open_snapshots(self) -> tuple[OpenSnapshot, ...]:
        """Snapshots that were intended and are not known to be gone, oldest first."""
        s, v = schema.snapshots.c, schema.vms.c
        query = (
            select(s.run, s.job, s.vm, s.name, s.intended, v.vcenter, v.datacenter, s.moref.is_not(None))
            .join(schema.vms, v.job == s.job)
            .where(s.removed.is_(None))
            .order_by(s.id)
        )
        rows = self._database.transact(lambda connection: connection.execute(query).all())
        return tuple(OpenSnapshot(*row) for row in rows)

    def snapshot_found(self, run: str, job: str, moref: str) -> None:
        """The snapshot of a job of some run was made after all, and is about to be removed.

        One try: what is removed does not wait for a ledger that is away.
        """
        s = schema.snapshots.c
        row = update(schema.snapshots).where(s.run == run, s.job == job, s.removed.is_(None))
        self._database.transact(lambda connection: connection.execute(row.values(moref=moref)), patience=0)

    def snapshot_gone(self, run: str, job: str) -> None:
        """The snapshot of a job of some run is known to be gone: swept, or never made."""
        s = schema.snapshots.c
        gone = update(schema.snapshots).where(s.run == run, s.job == job, s.removed.is_(None))
        change = gone.values(removed=clock.now())
        self._database.transact(lambda connection: connection.execute(change))

    def _open(self, connection: Connection) -> str:
        upgrade(connection, self._database.shown)
        return identity(connection)
