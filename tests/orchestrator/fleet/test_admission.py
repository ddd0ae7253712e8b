"""Who is begun next."""

from __future__ import annotations

from orchestrator.fleet.admission import Budgets, Candidate, Usage, admit, fits


def vm(
    job: str, size: int = 1, host: str = "h1", disks: int = 1, store: str = "d1", *groups: str
) -> Candidate:
    return Candidate(job, host, disks, (store,), size, frozenset(groups))


def names(admitted: tuple[Candidate, ...]) -> list[str]:
    return [candidate.job for candidate in admitted]


def test_the_biggest_comes_first() -> None:
    ready = [vm("small", 1), vm("big", 100), vm("middle", 50)]
    assert names(admit(ready, Usage(), Budgets(), 2)) == ["big", "middle"]


def test_equal_sizes_have_a_fixed_order() -> None:
    assert names(admit([vm("b"), vm("a")], Usage(), Budgets(), 2)) == ["a", "b"]


def test_a_blocked_head_does_not_hold_up_the_others() -> None:
    ready = [vm("head", 100, "busy", 2), vm("next", 1, "idle")]
    usage = Usage()
    usage.add_export(vm("other", 1, "busy", 7))
    assert names(admit(ready, usage, Budgets(host_disks=8), 5)) == ["next"]


def test_host_disks_count_disks_not_vms() -> None:
    ready = [vm(f"v{n}", 10 - n, disks=3, store=f"d{n}") for n in range(5)]
    assert names(admit(ready, Usage(), Budgets(host_disks=8), 9)) == ["v0", "v1"]


def test_a_vm_larger_than_the_budget_has_it_alone() -> None:
    giant = vm("giant", disks=12)
    assert fits(giant, Usage(), Budgets(host_disks=8))
    usage = Usage()
    usage.add_export(vm("small"))
    assert not fits(giant, usage, Budgets(host_disks=8))


def test_open_snapshots_are_limited_on_each_datastore() -> None:
    ready = [vm(f"v{n}", 10 - n, f"h{n}") for n in range(6)] + [vm("elsewhere", 0, "h9", 1, "d2")]
    assert names(admit(ready, Usage(), Budgets(datastore_snapshots=4), 9)) == [
        "v0",
        "v1",
        "v2",
        "v3",
        "elsewhere",
    ]


def test_a_vm_on_two_datastores_needs_room_on_both() -> None:
    usage = Usage()
    usage.add_snapshot(vm("other", store="d2"))
    both = Candidate("both", "h", 1, ("d1", "d2"), 1)
    assert not fits(both, usage, Budgets(datastore_snapshots=1))


def test_vcenter_connections_are_limited_over_all_hosts() -> None:
    ready = [vm(f"v{n}", 10 - n, f"h{n}", 2, f"d{n}") for n in range(5)]
    assert len(admit(ready, Usage(), Budgets(vcenter_disks=6), 9)) == 3


def test_one_vm_of_an_anti_affinity_group_at_a_time() -> None:
    ready = [vm("a", 2, "h1", 1, "d1", "db"), vm("b", 1, "h2", 1, "d2", "db"), vm("c", 1, "h3", 1, "d3")]
    assert names(admit(ready, Usage(), Budgets(), 9)) == ["a", "c"]


def test_the_number_of_jobs_can_be_limited_below_the_slots() -> None:
    ready = [vm(f"v{n}", host=f"h{n}", store=f"d{n}") for n in range(5)]
    assert len(admit(ready, Usage(), Budgets(jobs=2), 5)) == 2
