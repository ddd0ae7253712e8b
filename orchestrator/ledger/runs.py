"""The lease of a datacenter: one run at a time has it, keeps it by heartbeats, loses it when dead."""

from __future__ import annotations

import logging
import os
import socket
import time
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select, update

from orchestrator import clock
from orchestrator.ledger import schema
from orchestrator.ledger.database import Database, Moment, insert_once
from orchestrator.ledger.errors import LedgerInUseError
from orchestrator.ledger.presence import Standing, Timing, standing, this_process
from orchestrator.ledger.records import RunRecord
from orchestrator.ledger.rows import run_record

log = logging.getLogger(__name__)

_LOOKS = 35
"""At a suspected run, spread over ``Timing.watch``."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that has been entered."""

    run: str
    beside: tuple[RunRecord, ...]
    """Other runs at work now, over other datacenters: each keeps budgets of its own."""


@dataclass(frozen=True, slots=True)
class _Watched:
    """What came of watching suspected runs."""

    alive: frozenset[str] = frozenset()
    dead: frozenset[tuple[str, float]] = frozenset()
    """Each with its last heartbeat."""


@dataclass(slots=True)
class _Muster:
    """The unended runs, those that are certainly dead closed."""

    alive: list[RunRecord] = field(default_factory=list)
    suspect: list[RunRecord] = field(default_factory=list)


def begin(database: Database, timing: Timing, vcenter: str, datacenter: str) -> Begun:
    """Enter a run for a datacenter; dead runs are closed.

    One that holds the datacenter and whose process cannot be seen from here is waited for: until it makes a
    sign, or is dead. So whoever is started in place of one that was lost with its machine need not fail.

    Raises ``LedgerInUseError`` when another run is at work there.
    """
    run, watched = str(uuid.uuid4()), _Watched()

    def enter(connection: Connection) -> Begun | list[RunRecord]:
        muster = _muster(connection, database, timing, watched)
        others = [one for one in (*muster.alive, *muster.suspect) if one.run != run]
        here = [one for one in others if (one.vcenter, one.datacenter) == (vcenter, datacenter)]
        if unsure := [one for one in here if one in muster.suspect or not _is_seen(one, watched)]:
            return unsure
        now = database.now(connection)
        for holder in here:
            raise _in_use(holder, now)
        _insert(connection, run, vcenter, datacenter, now)
        return Begun(run, tuple(others))

    while True:
        begun = database.transact(enter)
        if isinstance(begun, Begun):
            return begun
        for holder in begun:
            log.warning("is the run %s on %s at work on %s? Waiting", holder.run, holder.host, datacenter)
        watched = _watch(database, timing, begun)


def settle(database: Database, timing: Timing) -> frozenset[str]:
    """Close every run that is dead, so that it can begin nothing any more; gives those that are at work."""
    muster = database.transact(lambda connection: _muster(connection, database, timing, _Watched()))
    if muster.suspect:
        watched = _watch(database, timing, muster.suspect)
        muster = database.transact(lambda connection: _muster(connection, database, timing, watched))
    return frozenset(run.run for run in (*muster.alive, *muster.suspect))


def live(database: Database, timing: Timing) -> frozenset[str]:
    """The runs that are heard of; changes nothing."""

    def look(connection: Connection) -> frozenset[str]:
        here, now = this_process(), database.now(connection)
        return frozenset(
            run.run for run in _unended(connection) if standing(run, here, now, timing) is Standing.ALIVE
        )

    return database.transact(look)


def beat(connection: Connection, run: str, now: Moment) -> bool:
    """Say that a run is alive; False when another has taken it for dead and closed it."""
    runs = schema.runs
    changed = connection.execute(
        update(runs)
        .where(runs.c.id == run, runs.c.ended.is_(None))
        .values(heartbeat=now.seconds, clock=now.clock)
    )
    return changed.rowcount == 1


def end(connection: Connection, run: str, outcome: str) -> None:
    """A run is over; nothing when it was so already."""
    runs = schema.runs
    connection.execute(
        update(runs)
        .where(runs.c.id == run, runs.c.ended.is_(None))
        .values(ended=clock.now(), outcome=outcome)
    )


def _muster(connection: Connection, database: Database, timing: Timing, watched: _Watched) -> _Muster:
    # Two that do this at once wait for each other here, also in a database with row locks.
    connection.execute(select(schema.ledger).with_for_update())
    here, now, muster = this_process(), database.now(connection), _Muster()
    for run in _unended(connection):
        stands = standing(run, here, now, timing)
        if stands is Standing.SUSPECT and run.run in watched.alive:
            stands = Standing.ALIVE
        elif stands is Standing.SUSPECT and (run.run, run.heartbeat) in watched.dead:
            stands = Standing.DEAD
        match stands:
            case Standing.ALIVE:
                muster.alive.append(run)
            case Standing.SUSPECT:
                muster.suspect.append(run)
            case Standing.DEAD if not _bury(connection, run):
                muster.alive.append(run)
    return muster


def _bury(connection: Connection, run: RunRecord) -> bool:
    """Close a dead run; False when it has made a sign since it was read."""
    runs = schema.runs
    changed = connection.execute(
        update(runs)
        .where(runs.c.id == run.run, runs.c.ended.is_(None), runs.c.heartbeat == run.heartbeat)
        .values(ended=clock.now(), outcome="died")
    )
    return changed.rowcount == 1


def _is_seen(run: RunRecord, watched: _Watched) -> bool:
    """Whether a run that counts as alive was seen to be: its process, or a heartbeat."""
    here = this_process().place
    return run.run in watched.alive or (run.process is not None and run.process.place == here)


def _watch(database: Database, timing: Timing, suspects: Iterable[RunRecord]) -> _Watched:
    """Wait for a sign of each; only looks that the database answered at once count."""
    pace = timing.watch / _LOOKS
    silent = {run.run: run.heartbeat for run in suspects}
    alive: set[str] = set()
    looks = 0
    while silent and looks < _LOOKS:
        time.sleep(pace)
        asked = time.monotonic()
        now = {run.run: run.heartbeat for run in database.transact(_unended)}
        looks = looks + 1 if time.monotonic() - asked < 1.0 + pace else 0
        moved = {run for run, heartbeat in silent.items() if now.get(run, heartbeat) != heartbeat}
        alive |= moved
        silent = {run: heartbeat for run, heartbeat in silent.items() if run in now and run not in moved}
    return _Watched(frozenset(alive), frozenset(silent.items()))


def _unended(connection: Connection) -> Collection[RunRecord]:
    runs = schema.runs
    rows = connection.execute(select(runs).where(runs.c.ended.is_(None)).order_by(runs.c.number))
    return [run_record(row) for row in rows]


def _insert(connection: Connection, run: str, vcenter: str, datacenter: str, now: Moment) -> None:
    runs, process = schema.runs, this_process()
    last = connection.execute(select(func.max(runs.c.number))).scalar() or 0
    values = {
        "id": run,
        "number": last + 1,
        "vcenter": vcenter,
        "datacenter": datacenter,
        "started": clock.now(),
        "heartbeat": now.seconds,
        "clock": now.clock,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "place": process.place,
        "process_started": process.started,
    }
    insert_once(connection, runs, values)


def _in_use(holder: RunRecord, now: Moment) -> LedgerInUseError:
    seen = f", heard of {now.seconds - holder.heartbeat:.0f} seconds ago" if holder.clock == now.clock else ""
    return LedgerInUseError(
        f"the run {holder.run} on {holder.host} (process {holder.pid}) is at work on {holder.datacenter}"
        f"{seen}",
        "wait for it, interrupt it, or use another ledger with --ledger",
    )
