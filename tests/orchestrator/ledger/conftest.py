"""Ledgers on both databases; one PostgreSQL server for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection

from deploy.demo.postgres import Postgres
from orchestrator.ledger import EnlistedVm, Ledger, RunLedger, Timing
from orchestrator.ledger.database import Moment

VM = EnlistedVm("j1", "uuid-1", "vm-1", "web", "prod", "registry:5000/demo/web")
QUICK = Timing(beat=60.0, watch=0.2, patience=5.0)
"""No heartbeat but those that a test asks for."""


@dataclass(frozen=True)
class Place:
    """Where a ledger is, and its password."""

    location: str
    password: str = ""

    def open(self, **settings: Any) -> Ledger:
        return Ledger(self.location, self.password, **{"timing": QUICK, **settings})


class SetClock:
    """A clock that hardly moves, but when a test sets it."""

    def __init__(self, seconds: float = 1000.0, name: str = "test") -> None:
        self.name = name
        self.seconds = seconds

    def __call__(self, connection: Connection) -> Moment:
        self.seconds += 0.001
        return Moment(self.name, self.seconds)


@pytest.fixture
def database(server: Postgres) -> Place:
    """An empty database of the server."""
    return Place(server.database(f"ledger-{uuid4().hex[:8]}"), server.password)


@pytest.fixture
def file(tmp_path: Path) -> Place:
    """A SQLite file that is not there yet."""
    return Place(str(tmp_path / "state" / "ledger.sqlite"))


@pytest.fixture(params=["file", "database"])
def place(request: pytest.FixtureRequest) -> Place:
    """Each of the two."""
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def ledger(place: Place, clock: SetClock) -> Iterator[Ledger]:
    with place.open(shared=clock) as opened:
        yield opened


@pytest.fixture
def run(ledger: Ledger) -> RunLedger:
    begun = ledger.begin_run("vc-1", "/DC0")
    begun.enlist([VM])
    return begun
