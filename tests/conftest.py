"""Real parts that tests share, each started once: vCenter simulators, guests, PostgreSQL, a Docker Engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from deploy.demo import dockerd, guests, postgres, simulator
from deploy.demo.fleet import Fleet
from deploy.demo.postgres import Postgres
from deploy.demo.simulator import Simulator

StartSimulator = Callable[[Fleet], Simulator]


@pytest.fixture(scope="session")
def start_simulator() -> Iterator[StartSimulator]:
    """Starts the vCenter that holds a fleet; the same fleet gives the same one, with no disturbance in force.

    What it holds and how it is set may have been changed by an earlier test that uses the same fleet.
    """
    with ExitStack() as stack:
        started: dict[Fleet, Simulator] = {}

        def start(fleet: Fleet) -> Simulator:
            if fleet not in started:
                started[fleet] = stack.enter_context(simulator.running(fleet))
            started[fleet].reset()
            return started[fleet]

        yield start


@pytest.fixture
def new_simulator() -> Iterator[StartSimulator]:
    """Starts a vCenter of the test's own for each fleet."""
    with ExitStack() as stack:
        yield lambda fleet: stack.enter_context(simulator.running(fleet))


@pytest.fixture(scope="session")
def web_guest() -> guests.Guest:
    """Debian with systemd and nginx; GPT."""
    return guests.web()


@pytest.fixture(scope="session")
def engine() -> Iterator[dockerd.Engine]:
    """A Docker Engine of the tests' own; where none can be started, the test is skipped with the reason."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(dockerd.running())
        except dockerd.EngineUnavailableError as error:
            pytest.skip(str(error))
        yield running


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    """A PostgreSQL server; a test makes a database of its own, and leaves the server running."""
    with postgres.running() as started:
        yield started
