"""What workers answer becomes one line for all of them; and what they answer is so."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from distributed import Worker

from converters.errors import ScratchFullError
from converters.outputs.client import RegistryAccess
from orchestrator.cluster import ClusterSettings, RollCall, call_roll, connect
from orchestrator.errors import ConnectError
from orchestrator.fleet.states import Failure
from orchestrator.preflight import merge, room, tell, versions
from orchestrator.probe import Probed, ProbeOrder, Space, measure, probe, reach
from orchestrator.vsphere.values import CheckResult
from tests.kernel import needs_root
from tests.orchestrator.dask_processes import remote_cluster

GIB = 1 << 30
HERE = {"python": "3.11", "distributed": "2026.8.0", "orchestrate": "0.1.0"}
FINE = CheckResult("registry", True, "lets us push")
BAD = CheckResult("registry", False, "401", "log in")


def identity(order: str) -> tuple[str, int]:
    """A question to a worker."""
    return order, os.getpid()


def sleep(seconds: float) -> None:
    """A question that takes its time."""
    time.sleep(seconds)


def fail(_: None) -> None:
    """A question that cannot be answered."""
    raise ScratchFullError("no room")


def profilers(_: None) -> list[str]:
    """What this process has of Dask's profiler."""
    return [name for worker in Worker._instances for name in worker.periodic_callbacks if "profile" in name]


def test_every_worker_is_asked(tmp_path: Path) -> None:
    roll = call_roll(ClusterSettings(workers=2, scratch=str(tmp_path)), identity, "who")
    assert len(roll.answers) == 2
    assert {word for word, _ in roll.answers.values()} == {"who"}
    assert len({pid for _, pid in roll.answers.values()} - {os.getpid()}) == 2
    assert roll.workers.keys() == roll.answers.keys()
    assert {roll.here["orchestrate"], *(one["orchestrate"] for one in roll.workers.values())} == {"0.1.0"}
    assert versions(roll).ok


def test_a_worker_that_fails_or_does_not_answer_is_data(tmp_path: Path) -> None:
    with remote_cluster(tmp_path) as (address, _):
        settings = ClusterSettings(scheduler=address, connect_seconds=5)
        while not (failing := call_roll(settings, fail, None).answers):
            time.sleep(0.1)
        slow = call_roll(settings, sleep, 2.0, seconds=0.1).answers
    assert [answer.kind for answer in failing.values()] == ["scratch-full"]
    assert [answer.message for answer in slow.values()] == ["no answer within 0.1 seconds"]


def test_nothing_of_ours_is_profiled(tmp_path: Path) -> None:
    settings = ClusterSettings(workers=1, scratch=str(tmp_path))
    assert list(call_roll(settings, profilers, None).answers.values()) == [[]]
    with connect(settings, object(), lambda event: None):
        assert profilers(None) == []


def test_a_probe_tells_all_there_is_to_tell(tmp_path: Path) -> None:
    order = ProbeOrder(
        hosts=("127.0.0.1",),
        repository="127.0.0.1:9/vms",
        access=RegistryAccess(patience=0),
        scratch=str(tmp_path / "scratch"),
        engines=("ext2fs", "guestfs"),
    )
    probed = probe(order)
    lines = {line.name: line for line in probed.results}
    assert list(lines) == ["ESXi hosts", "registry", "engine ext2fs", "engine guestfs", "disk formats"]
    assert not lines["registry"].ok and lines["registry"].remedy
    assert lines["engine ext2fs"].ok
    assert probed.space is not None and probed.space.rate > 0
    assert list((tmp_path / "scratch").iterdir()) == []


def test_hosts_out_of_reach_are_told_with_the_reason() -> None:
    with pytest.raises(ConnectError, match=r"1 of 1 are out of reach: nowhere\.invalid: its name cannot be"):
        reach(("nowhere.invalid",))


def test_scratch_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    order = ProbeOrder((), "127.0.0.1:9/vms", RegistryAccess(patience=0), str(tmp_path / "file"), ())
    probed = probe(order)
    assert probed.space is None
    scratch = next(line for line in probed.results if line.name == "scratch")
    assert "no scratch folder can be made" in scratch.detail and "--scratch" in scratch.remedy


@pytest.mark.root
@needs_root
def test_scratch_that_is_full_is_told(small_disk: Path) -> None:
    with pytest.raises(ScratchFullError, match="takes no 64 MiB"):
        measure(small_disk, small_disk)


def test_other_versions_are_named() -> None:
    roll = RollCall(
        HERE,
        {**HERE, "distributed": "2026.1.0", "orchestrate": ""},
        {"tcp://a:1": {**HERE, "orchestrate": "0.0.9"}, "tcp://b:1": {**HERE, "orchestrate": ""}},
        {},
    )
    told = versions(roll)
    assert not told.ok
    assert told.detail == (
        "the scheduler has distributed 2026.1.0, here is 2026.8.0; "
        "tcp://a:1 has orchestrate 0.0.9, here is 0.1.0; tcp://b:1 has no orchestrate"
    )
    assert "same image" in told.remedy


def test_no_worker_is_told_with_how_to_start_one() -> None:
    (told,) = tell(RollCall(HERE, HERE, {}, {}), ())
    assert not told.ok and "--resources convert=1" in told.remedy


def test_lines_that_say_the_same_become_one() -> None:
    assert merge({"a": [FINE], "b": [FINE]}) == (FINE,)


def test_who_has_a_trouble_is_named_with_the_remedy() -> None:
    assert merge({"a": [FINE], "b": [BAD]}) == (CheckResult("registry", False, "b: 401", "log in"),)
    assert merge({"a": [BAD], "b": [BAD]}) == (CheckResult("registry", False, "every worker: 401", "log in"),)
    (many,) = merge({**{str(number): [BAD] for number in range(9)}, "x": [FINE]})
    assert many.detail == "0, 1, 2 and 6 more: 401"


def test_a_worker_without_an_answer_is_told_beside_the_others() -> None:
    space = Space("host:1", "/scratch", 9 * GIB, 1e8)
    answers = {"a": Probed((FINE,), space), "b": Failure("no-answer", "no answer within 1 s", "see its log")}
    lines = tell(RollCall(HERE, HERE, {"a": HERE, "b": HERE}, answers), (GIB,))
    assert [(line.name, line.ok) for line in lines] == [
        ("versions", True),
        ("registry", True),
        ("scratch", True),
        ("answer", False),
    ]


@pytest.mark.parametrize(
    ("sizes", "free", "fits"), [((1, 5, 3), 8, True), ((1, 5, 3), 7, False), ((9,), 8, False), ((), 0, True)]
)
def test_workers_that_share_scratch_need_room_for_the_largest_vms_together(
    sizes: tuple[int, ...], free: int, fits: bool
) -> None:
    shared = {who: Space("host:1", "/scratch", free * GIB, 1e8) for who in ("a", "b")}
    results = room(shared, [size * GIB for size in sizes])
    assert {result.ok for result in results.values()} == {fits}
    assert all(bool(result.remedy) is not fits for result in results.values())


def test_workers_with_scratch_of_their_own_need_room_for_one_vm() -> None:
    apart = {"a": Space("host:1", "/scratch", 5 * GIB, 1e8), "b": Space("host:2", "/scratch", 5 * GIB, 1e8)}
    assert all(result.ok for result in room(apart, (5 * GIB, 5 * GIB)).values())
