"""Which VM is begun next: biggest first, within the budgets of hosts, datastores and vCenter. Pure.

Why these defaults: an ESXi host gives its best export throughput at about ten streams and gains nothing
beyond; NFC serves 52 connections through one vCenter; backup products cap open snapshots at four a datastore,
because each one's delta file grows with the VM's writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.fleet.states import Route


@dataclass(frozen=True, slots=True)
class Budgets:
    """The most that may be in use at one time; 1 or more each."""

    host_disks: int = 8
    """Disks in export from one ESXi host."""
    vcenter_disks: int = 52
    """Disks in export from the whole vCenter."""
    datastore_snapshots: int = 4
    """Open snapshots of ours on one datastore, those being removed included."""
    jobs: int | None = None
    """VMs in work at one time; None: as many as there are convert slots."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a VM would take of the budgets."""

    job: str
    host: str
    """Name of its ESXi host; VMs without one share the empty host."""
    disks: int
    datastores: tuple[str, ...]
    size: int
    """Bytes to move: decides the order."""
    groups: frozenset[str] = frozenset()
    """Anti-affinity groups it belongs to: one VM of a group at a time."""
    route: Route = Route.EXPORT
    """How its disks are read."""


@dataclass(slots=True)
class Usage:
    """How much of the budgets is taken."""

    jobs: int = 0
    host_disks: Counter[str] = field(default_factory=Counter)
    vcenter_disks: int = 0
    datastore_snapshots: Counter[str] = field(default_factory=Counter)
    groups: Counter[str] = field(default_factory=Counter)

    def add_export(self, candidate: Candidate) -> None:
        """Its disks are read from the host, or about to be."""
        self.host_disks[candidate.host] += candidate.disks
        self.vcenter_disks += candidate.disks

    def add_snapshot(self, candidate: Candidate) -> None:
        """It has a snapshot, or is about to."""
        for datastore in set(candidate.datastores):
            self.datastore_snapshots[datastore] += 1
        for group in candidate.groups:
            self.groups[group] += 1

    def add_work(self, candidate: Candidate) -> None:
        """It is begun."""
        self.jobs += 1
        self.add_export(candidate)
        self.add_snapshot(candidate)


def fits(candidate: Candidate, usage: Usage, budgets: Budgets) -> bool:
    """Whether the VM can be begun now.

    A VM with more disks than a budget allows waits until the budget is unused, and then has it alone:
    a limit may slow a VM down, but not lose it.
    """
    return (
        (budgets.jobs is None or usage.jobs < budgets.jobs)
        and _room(usage.host_disks[candidate.host], candidate.disks, budgets.host_disks)
        and _room(usage.vcenter_disks, candidate.disks, budgets.vcenter_disks)
        and all(
            usage.datastore_snapshots[datastore] < budgets.datastore_snapshots
            for datastore in candidate.datastores
        )
        and not any(usage.groups[group] for group in candidate.groups)
    )


def admit(ready: Iterable[Candidate], usage: Usage, budgets: Budgets, slots: int) -> tuple[Candidate, ...]:
    """The VMs to begin now, at most ``slots``, biggest first; what they take is added to ``usage``.

    One that does not fit is passed over, so that a busy host or datastore does not hold up the others.
    """
    admitted: list[Candidate] = []
    for candidate in sorted(ready, key=lambda one: (-one.size, one.job)):
        if len(admitted) >= slots:
            break
        if fits(candidate, usage, budgets):
            usage.add_work(candidate)
            admitted.append(candidate)
    return tuple(admitted)


def _room(used: int, wanted: int, limit: int) -> bool:
    return used == 0 or used + wanted <= limit
