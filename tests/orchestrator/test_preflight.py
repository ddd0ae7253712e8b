"""What workers answer becomes one line for all of them, and decides who gets a VM."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import Worker

from converters.errors import ScratchFullError
from orchestrator.cluster import ClusterSettings, RollCall, call_roll, connect
from orchestrator.fleet.states import Failure
from orchestrator.preflight.hosts import reachable
from orchestrator.preflight.lines import merge
from orchestrator.preflight.needs import Needs
from orchestrator.preflight.resources import SLOW, memory, room
from orchestrator.preflight.workers import Judged, judge, versions
from orchestrator.probe.hosts import Reach
from orchestrator.probe.machine import Memory
from orchestrator.probe.scratch import Space
from orchestrator.probe.worker import Probed
from orchestrator.vsphere.values import CheckResult, Grade
from tests.orchestrator.dask_processes import remote_cluster

GIB = 1 << 30
HERE = {"python": "3.11", "dask": "2026.8.0", "distributed": "2026.8.0", "orchestrate": "0.1.0"}
SCHEDULER = {**HERE, "orchestrate": ""}
FINE = CheckResult("registry", True, "takes a blob")
BAD = CheckResult("registry", False, "401", "log in")
NOW = 1_800_000_000.0
ALL = Reach({})


def probed(*results: CheckResult, reach: Reach = ALL, clock: float = NOW, free: int = 9 * GIB) -> Probed:
    """A worker's answer, with memory and scratch of its own."""
    space = Space(f"host-{id(results)}:1", "/scratch", free, 1e8, 1e8)
    return Probed(results, space, reach, Memory("host", 8 * GIB), clock)


def roll(**answers: Probed | Failure) -> RollCall:
    """What workers with our versions answered."""
    return RollCall(
        HERE,
        SCHEDULER,
        dict.fromkeys(answers, HERE),
        answers,
        memory=dict.fromkeys(answers, GIB),
        asked=dict.fromkeys(answers, NOW),
    )


def grades(judged: Judged) -> dict[str, Grade]:
    return {line.name: line.grade for line in judged.results}


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
    began = time.time()
    called = call_roll(ClusterSettings(workers=2, memory="1GiB", scratch=str(tmp_path)), identity, "who")
    assert len(called.answers) == 2
    assert {word for word, _ in called.answers.values()} == {"who"}
    assert len({pid for _, pid in called.answers.values()} - {os.getpid()}) == 2
    assert called.workers.keys() == called.answers.keys() == called.asked.keys()
    assert {called.here["orchestrate"], *(one["orchestrate"] for one in called.workers.values())} == {"0.1.0"}
    assert set(called.memory.values()) == {GIB}
    assert all(began < asked < time.time() for asked in called.asked.values())
    assert versions(called).ok


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


def test_other_versions_are_named() -> None:
    called = RollCall(
        HERE,
        {**SCHEDULER, "distributed": "2026.1.0"},
        {"tcp://a:1": {**HERE, "orchestrate": "0.0.9"}, "tcp://b:1": {**HERE, "orchestrate": ""}},
        {},
    )
    told = versions(called)
    assert not told.ok
    assert told.detail == (
        "the scheduler has distributed 2026.1.0, here is 2026.8.0; "
        "tcp://a:1 has orchestrate 0.0.9, here is 0.1.0; tcp://b:1 has no orchestrate"
    )
    assert "same image" in told.remedy
    assert judge(called, Needs()).fit == frozenset()


def test_a_worker_of_another_version_gets_no_vm_and_the_others_do() -> None:
    called = roll(a=probed(FINE))
    mixed = replace(called, workers={**called.workers, "b": {**HERE, "dask": "2025.1.0"}})
    judged = judge(mixed, Needs())
    assert judged.fit == {"a"}
    assert judged.unfit == {"b": "has dask 2025.1.0, here is 2026.8.0"}
    assert grades(judged)["versions"] is Grade.WARNING
    assert grades(judged)["workers"] is Grade.WARNING


def test_another_scheduler_keeps_a_run_from_beginning() -> None:
    called = replace(roll(a=probed(FINE)), scheduler={**SCHEDULER, "distributed": "2025.1.0"})
    judged = judge(called, Needs())
    assert judged.fit == frozenset()
    assert judged.unfit == {"a": "its scheduler has distributed 2025.1.0, here is 2026.8.0"}
    assert grades(judged)["versions"] is Grade.BLOCKING


def test_no_worker_is_told_with_how_to_start_one() -> None:
    judged = judge(RollCall(HERE, SCHEDULER, {}, {}), Needs())
    (told,) = judged.results
    assert told.grade is Grade.BLOCKING and "--resources convert=1" in told.remedy


def test_lines_that_say_the_same_become_one() -> None:
    assert merge({"a": [FINE], "b": [FINE]}) == (FINE,)


def test_who_has_a_trouble_is_named_with_the_remedy() -> None:
    assert merge({"a": [FINE], "b": [BAD]}) == (CheckResult("registry", False, "b: 401", "log in"),)
    assert merge({"a": [BAD], "b": [BAD]}) == (CheckResult("registry", False, "every worker: 401", "log in"),)
    (many,) = merge({**{str(number): [BAD] for number in range(9)}, "x": [FINE]})
    assert many.detail == "0, 1, 2 and 6 more: 401"


def test_a_trouble_of_one_worker_is_a_warning_and_of_all_it_blocks() -> None:
    some = judge(roll(a=probed(FINE), b=probed(BAD)), Needs())
    assert some.fit == {"a"} and some.unfit == {"b": "registry: 401"}
    assert grades(some)["registry"] is Grade.WARNING
    none = judge(roll(a=probed(BAD), b=probed(BAD)), Needs())
    assert none.fit == frozenset()
    assert grades(none)["registry"] is Grade.BLOCKING


def test_a_warning_keeps_no_worker_from_work() -> None:
    engine = CheckResult("engine uml", False, "linux.uml is not installed", "install it", blocks=False)
    judged = judge(roll(a=probed(FINE, engine)), Needs())
    assert judged.fit == {"a"}
    assert grades(judged)["engine uml"] is Grade.WARNING


def test_a_worker_without_an_answer_is_told_beside_the_others() -> None:
    judged = judge(
        roll(a=probed(FINE), b=Failure("no-answer", "no answer within 1 s", "see its log")), Needs()
    )
    assert judged.fit == {"a"} and judged.unfit == {"b": "answer: no answer within 1 s"}
    assert grades(judged)["answer"] is Grade.WARNING
    silent = roll(b=Failure("no-answer", "the worker does not answer"))
    told = judge(replace(silent, workers={"b": dict.fromkeys(HERE, "")}), Needs())
    assert told.unfit == {"b": "answer: the worker does not answer"}
    assert grades(told)["versions"] is Grade.FINE, "what a worker did not tell is not another version"


@pytest.mark.parametrize(
    ("ahead", "grade"), [(59.0, Grade.FINE), (61.0, Grade.WARNING), (-61.0, Grade.WARNING)]
)
def test_a_worker_with_another_time_is_told(ahead: float, grade: Grade) -> None:
    assert grades(judge(roll(a=probed(FINE, clock=NOW + ahead)), Needs()))["clock"] is grade


def hosts_line(judged: Judged) -> CheckResult:
    return next(line for line in judged.results if line.name == "ESXi hosts")


DOWN = "no answer within 3 s"
NEEDS = Needs({"esx-1": 2, "esx-2": 1, "esx-3": 0})


def test_a_host_that_no_worker_reaches_costs_its_vms_alone() -> None:
    judged = judge(
        roll(a=probed(reach=Reach({"esx-2": DOWN})), b=probed(reach=Reach({"esx-2": DOWN}))), NEEDS
    )
    assert judged.fit == {"a", "b"}
    assert judged.out == {"esx-2": DOWN}
    line = hosts_line(judged)
    assert line.grade is Grade.WARNING
    assert line.detail == (
        "1 of 3 out of reach of the workers: esx-2: no answer within 3 s; 1 VM there would be set aside"
    )


def test_when_no_host_with_a_vm_is_reached_no_run_begins() -> None:
    judged = judge(roll(a=probed(reach=Reach({"esx-1": DOWN, "esx-2": DOWN}))), NEEDS)
    assert hosts_line(judged).grade is Grade.BLOCKING


def test_a_host_without_vms_is_worth_a_warning() -> None:
    judged = judge(roll(a=probed(reach=Reach({"esx-3": DOWN}))), NEEDS)
    assert hosts_line(judged).grade is Grade.WARNING
    assert "no VM to convert is there" in hosts_line(judged).detail


def test_a_worker_that_misses_what_others_reach_gets_no_vm() -> None:
    judged = judge(roll(a=probed(), b=probed(reach=Reach({"esx-1": DOWN, "esx-2": DOWN}))), NEEDS)
    assert judged.fit == {"a"} and judged.out == {}
    assert hosts_line(judged).ok
    assert judged.unfit["b"] == ("reach of ESXi hosts: does not reach what other workers reach: esx-1, esx-2")


def test_who_gets_no_vm_anyway_does_not_decide_which_hosts_are_used() -> None:
    judged = judge(roll(a=probed(BAD), b=probed(FINE, reach=Reach({"esx-2": DOWN}))), NEEDS)
    assert judged.fit == {"b"} and judged.out == {"esx-2": DOWN}


def test_of_two_sites_the_one_with_more_workers_is_used() -> None:
    east, west = Reach({"w": DOWN}), Reach({"e": DOWN})
    found = reachable({"1": west, "2": east, "3": east})
    assert found.out == {"w": DOWN}
    assert found.apart == {"1": frozenset("e")}


def test_a_later_worker_must_reach_what_was_not_given_up() -> None:
    late = {"late": Reach({"esx-1": DOWN, "esx-2": DOWN})}
    assert reachable(late, out={"esx-2"}).apart == {"late": frozenset({"esx-1", "esx-2"}) - {"esx-2"}}
    assert reachable(late, out={"esx-1", "esx-2"}).apart == {}


def test_hosts_for_which_there_was_no_time_count_as_reachable() -> None:
    judged = judge(roll(a=probed(reach=Reach({}, frozenset({"esx-1"})))), NEEDS)
    assert hosts_line(judged).ok
    assert hosts_line(judged).detail == "2 of 3 take a connection on port 443; for 1 there was no time"


def shared(free: int, **changes: object) -> dict[str, Space]:
    space = replace(Space("host:1", "/scratch", free, 1e8, 1e8), **changes)  # type: ignore[arg-type]
    return dict.fromkeys("ab", space)


@pytest.mark.parametrize(
    ("sizes", "free", "grade"),
    [
        ((1, 5, 3), 8, Grade.FINE),
        ((1, 5, 3), 7, Grade.WARNING),
        ((9,), 8, Grade.WARNING),
        ((), 0, Grade.FINE),
    ],
)
def test_workers_that_share_scratch_need_room_for_the_largest_vms_together(
    sizes: tuple[int, ...], free: int, grade: Grade
) -> None:
    results = room(shared(free * GIB), [size * GIB for size in sizes])
    assert {result.grade for result in results.values()} == {grade}
    assert all(bool(result.remedy) is (grade is not Grade.FINE) for result in results.values())


def test_workers_with_scratch_of_their_own_need_room_for_one_vm() -> None:
    spaces = {who: Space(f"host-{who}:1", "/scratch", 5 * GIB) for who in "ab"}
    assert all(result.ok for result in room(spaces, (5 * GIB, 5 * GIB)).values())


def test_slow_scratch_and_one_without_holes_are_warnings() -> None:
    slow = room(shared(GIB, read=SLOW / 2), ())["a"]
    assert slow.grade is Grade.WARNING and "faster disk" in slow.remedy
    solid = room(shared(GIB, sparse=False), ())["a"]
    assert solid.grade is Grade.WARNING and "sparse files" in solid.remedy


@pytest.mark.parametrize(
    ("total", "limit", "fine"), [(8, 4, True), (7, 4, False), (1, 0, False), (2, 0, True)]
)
def test_workers_of_one_machine_need_its_memory_together(total: int, limit: int, fine: bool) -> None:
    machines = dict.fromkeys("ab", Memory("host", total * GIB))
    results = memory(machines, dict.fromkeys("ab", limit * GIB))
    assert {result.grade for result in results.values()} == {Grade.FINE if fine else Grade.WARNING}
