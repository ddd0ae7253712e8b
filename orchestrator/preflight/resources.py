"""Whether disk space and memory suffice, where workers may share them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.probe.machine import Memory
from orchestrator.probe.scratch import Space
from orchestrator.probe.worker import SCRATCH
from orchestrator.report import text
from orchestrator.vsphere.values import CheckResult

SLOW = 30 << 20
"""Bytes a second below which scratch is slower than what an ESXi host sends one reader."""
LEAST_MEMORY = 1 << 30
"""Bytes that reading a disk, replaying a journal and pushing may take together."""


def room(spaces: Mapping[str, Space], sizes: Sequence[int]) -> dict[str, CheckResult]:
    """By worker, whether the largest VMs find room when each worker of one scratch space has one.

    Nothing of it blocks: ``sizes`` are the most that is possible; of a disk, what is not zero is kept.
    """
    results = {}
    for workers in sharing({who: space.place for who, space in spaces.items()}):
        shared = [spaces[who] for who in workers]
        free = min(space.free for space in shared)
        needed = sum(sorted(sizes, reverse=True)[: len(workers)])
        found = [f"{shared[0].path}: {text.size(free)} free{_speed(shared)}"]
        remedies = []
        if free < needed:
            found.append(f"the largest VMs, one for each worker, may take {text.size(needed)}")
            remedies.append("free space, point --scratch at a larger disk, or use fewer workers")
        if not all(space.sparse for space in shared):
            found.append("holes take space: each disk takes its whole capacity")
            remedies.append("point --scratch at a file system with sparse files, such as ext4 or XFS")
        if any(0 < speed < SLOW for space in shared for speed in (space.written, space.read)):
            found.append(f"slower than {text.rate(SLOW)}: snapshots stay open for longer")
            remedies.append("point --scratch at a faster disk")
        result = CheckResult(SCRATCH, not remedies, "; ".join(found), "; ".join(remedies), blocks=False)
        results.update(dict.fromkeys(workers, result))
    return results


def _speed(shared: Iterable[Space]) -> str:
    speeds = [(space.written, space.read) for space in shared if space.written and space.read]
    if not speeds:
        return ""
    written, read = (min(column) for column in zip(*speeds, strict=True))
    return f", written at {text.rate(written)}, read at {text.rate(read)}"


def memory(machines: Mapping[str, Memory], limits: Mapping[str, int]) -> dict[str, CheckResult]:
    """By worker, whether its machine has what its Dask worker may use; ``limits`` in bytes, 0: none."""
    results = {}
    for workers in sharing({who: machine.place for who, machine in machines.items()}):
        total = min(machines[who].total for who in workers)
        allowed = sum(limits.get(who, 0) for who in workers)
        share = total // len(workers)
        detail = f"{text.size(total)} for {text.plural(len(workers), 'worker')}"
        if allowed:
            detail += f", which may use {text.size(allowed)}"
        fits = allowed <= total and share >= LEAST_MEMORY
        remedy = "" if fits else "use fewer workers, a smaller --worker-memory, or machines with more memory"
        result = CheckResult("memory", fits, detail, remedy, blocks=False)
        results.update(dict.fromkeys(workers, result))
    return results


def sharing(places: Mapping[str, str]) -> list[list[str]]:
    """The workers of each place."""
    groups: dict[str, list[str]] = defaultdict(list)
    for who, place in places.items():
        groups[place].append(who)
    return list(groups.values())
