"""From settings to what lets disks be read in place."""

from __future__ import annotations

import pytest

from orchestrator.errors import ConnectError
from orchestrator.in_place import Transport
from orchestrator.preflight.checks import Check
from orchestrator.transports import LOOPBACK, needless_checks, own_address


@pytest.mark.parametrize(
    ("scheduler", "address"),
    [("", LOOPBACK), ("tcp://127.0.0.1:8786", "127.0.0.1"), ("tls://localhost:8786", "127.0.0.1")],
)
def test_workers_come_to_the_address_that_faces_the_scheduler(scheduler: str, address: str) -> None:
    assert own_address(scheduler) == address


@pytest.mark.parametrize("scheduler", ["tcp://nowhere.invalid:8786", "tcp://127.0.0.1:port"])
def test_no_way_to_the_scheduler(scheduler: str) -> None:
    with pytest.raises(ConnectError, match="no way to the Dask scheduler"):
        own_address(scheduler)


def test_read_in_place_workers_need_not_reach_hosts() -> None:
    assert [needless_checks(transport) for transport in Transport] == [
        frozenset(),
        {Check.HOSTS},
        {Check.HOSTS},
    ]
