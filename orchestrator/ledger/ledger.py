"""The ledger as a whole: which one it is, which runs are at work over it, what they left."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from sqlalchemy import Connection, Row, select, update

from orchestrator.fleet.states import JobState
from orchestrator.ledger import schema
from orchestrator.ledger.engine import LedgerError, open_engine
from orchestrator.ledger.records import ImageRecord, JobRecord, OpenSnapshot, RunRecord
from orchestrator.ledger.run import RunLedger

HEARTBEAT_SECONDS = 15.0
"""How often a run says that it is alive."""
SILENT_SECONDS = 180.0
"""After this long without a sign a run counts as dead, wherever it was."""
_BEGUN_HERE: set[str] = set()
"""Runs that this very process has begun."""


class LedgerInUseError(LedgerError):
    """Another run is at work over this ledger and datacenter."""

    kind = "ledger-in-use"


class Ledger:
    """An open ledger; a context manager. Methods may be called from any thread.

    ``location`` is a file path or an SQLAlchemy URL, ``clock`` gives seconds since 1970-01-01 UTC.
    Raises ``LedgerError`` when it cannot be opened.
    """

    def __init__(self, location: str | Path, clock: Callable[[], float] = time.time) -> None:
        self.engine = open_engine(location)
        self.clock = clock
        with self.engine.begin() as connection:
            self.id = _identity(connection, clock())

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End connections; a second call does nothing."""
        self.engine.dispose()

    def begin_run(self, vcenter: str, datacenter: str) -> RunLedger:
        """Enter a run into the ledger; runs that have died are closed.

        ``vcenter`` is the instance UUID, ``datacenter`` the path. Raises ``LedgerInUseError`` when another
        run is at work there.
        """
        run, now = str(uuid.uuid4()), self.clock()
        with self.engine.begin() as connection:
            # Two runs that begin at once wait for each other here, also in a database with row locks.
            connection.execute(select(schema.ledger).with_for_update())
            for other in self._unended(connection):
                if not _is_alive(other, now):
                    _end(connection, other.run, now, "died")
                elif (other.vcenter, other.datacenter) == (vcenter, datacenter):
                    raise LedgerInUseError(
                        f"the run {other.run} on {other.host} (process {other.pid}) is at work on "
                        f"{datacenter}, seen {now - other.heartbeat:.0f} seconds ago",
                        "wait for it, interrupt it, or use another ledger with --ledger",
                    )
            connection.execute(
                schema.runs.insert().values(
                    id=run,
                    vcenter=vcenter,
                    datacenter=datacenter,
                    started=now,
                    heartbeat=now,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                )
            )
        _BEGUN_HERE.add(run)
        return RunLedger(self.engine, run, vcenter, datacenter, self.clock)

    def live_runs(self) -> frozenset[str]:
        """Identifiers of the runs that are at work now."""
        with self.engine.begin() as connection:
            return frozenset(run.run for run in self._unended(connection) if _is_alive(run, self.clock()))

    def last_run(self) -> RunRecord | None:
        """The run that was begun last."""
        with self.engine.begin() as connection:
            row = connection.execute(select(schema.runs).order_by(schema.runs.c.started.desc())).first()
        return None if row is None else _run_record(row)

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
        with self.engine.begin() as connection:
            return tuple(_job_record(row) for row in connection.execute(query))

    def last_image(self, job: str) -> ImageRecord | None:
        """The image that was published last for a VM."""
        i = schema.images.c
        with self.engine.begin() as connection:
            row = connection.execute(
                select(schema.images).where(i.job == job).order_by(i.published.desc(), i.id.desc())
            ).first()
        return None if row is None else _image_record(row)

    def repositories(self) -> dict[str, str]:
        """Repository by job, of every VM ever taken up: a VM keeps its name in the registry."""
        with self.engine.begin() as connection:
            rows = connection.execute(select(schema.vms.c.job, schema.vms.c.repository))
            return {row.job: row.repository for row in rows}

    def open_snapshots(self) -> tuple[OpenSnapshot, ...]:
        """Snapshots that were intended and are not known to be gone, oldest first."""
        s, v = schema.snapshots.c, schema.vms.c
        query = (
            select(s.run, s.job, s.vm, s.name, s.intended, v.vcenter, v.datacenter)
            .join(schema.vms, v.job == s.job)
            .where(s.removed.is_(None))
            .order_by(s.id)
        )
        with self.engine.begin() as connection:
            return tuple(OpenSnapshot(*row) for row in connection.execute(query))

    def snapshot_gone(self, run: str, job: str) -> None:
        """The snapshot of a job of some run is known to be gone: swept, or never made."""
        s = schema.snapshots.c
        with self.engine.begin() as connection:
            connection.execute(
                update(schema.snapshots)
                .where(s.run == run, s.job == job, s.removed.is_(None))
                .values(removed=self.clock())
            )

    def _unended(self, connection: Connection) -> list[RunRecord]:
        rows = connection.execute(select(schema.runs).where(schema.runs.c.ended.is_(None)))
        return [_run_record(row) for row in rows]


def _identity(connection: Connection, now: float) -> str:
    found = connection.execute(select(schema.ledger.c.id)).scalar()
    if found is not None:
        return str(found)
    identity = str(uuid.uuid4())
    connection.execute(schema.ledger.insert().values(id=identity, created=now))
    return identity


def _is_alive(run: RunRecord, now: float) -> bool:
    if now - run.heartbeat > SILENT_SECONDS:
        return False
    if run.host != socket.gethostname():
        return True
    if run.pid == os.getpid():  # else an earlier process had the number: 1, when a container starts again
        return run.run in _BEGUN_HERE
    with suppress(PermissionError):  # it exists, and is another user's
        try:
            os.kill(run.pid, 0)
        except ProcessLookupError:
            return False
    return True


def _end(connection: Connection, run: str, now: float, outcome: str) -> None:
    runs = schema.runs
    connection.execute(update(runs).where(runs.c.id == run).values(ended=now, outcome=outcome))


def _run_record(row: Row[tuple[object, ...]]) -> RunRecord:
    return RunRecord(
        run=row.id,
        vcenter=row.vcenter,
        datacenter=row.datacenter,
        started=row.started,
        heartbeat=row.heartbeat,
        host=row.host,
        pid=row.pid,
        ended=row.ended,
        outcome=row.outcome or "",
    )


def _job_record(row: Row[tuple[object, ...]]) -> JobRecord:
    return JobRecord(
        job=row.job,
        vm=row.name,
        folder=row.folder,
        state=JobState(row.state),
        attempt=row.attempt,
        queued=row.queued,
        ended=row.ended,
        error_kind=row.error_kind or "",
        error_message=row.error_message or "",
        error_hint=row.error_hint or "",
        reason=row.reason or "",
        remedy=row.remedy or "",
        reference=row.reference or "",
    )


def _image_record(row: Row[tuple[object, ...]]) -> ImageRecord:
    return ImageRecord(
        reference=row.reference,
        digest=row.digest,
        config_digest=row.config_digest,
        size=row.size,
        published=row.published,
        snapshot_time=row.snapshot_time,
        fingerprint=row.fingerprint,
        settings=row.settings,
    )
