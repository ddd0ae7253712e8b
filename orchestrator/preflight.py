"""What a run would meet, found out before the first snapshot; changes nothing in vCenter.

Each part gives lines for one table, or raises the error that a run would end with.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.cluster import PRODUCT, ClusterSettings, RollCall, call_roll
from orchestrator.fleet.select import Selection, select
from orchestrator.fleet.states import Failure
from orchestrator.probe import SCRATCH, Probed, ProbeOrder, Space, probe
from orchestrator.report import text
from orchestrator.survey import verdicts
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.values import CheckResult

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Needs:
    """What the VMs that would be converted ask of the workers."""

    hosts: tuple[str, ...] = ()
    """ESXi hosts that may come to run them."""
    sizes: tuple[int, ...] = ()
    """Bytes on their datastores: the most that their disks take on scratch."""


def check_vcenter(
    vcenter: VCenterApi, datacenter: str, selection: Selection
) -> tuple[tuple[CheckResult, ...], Needs]:
    """Connection, clock, privileges and room, and what the VMs ask of the workers.

    Raises ``NotFoundError``, which names the datacenters there are, and what ``VCenterApi`` raises.
    """
    inventory = vcenter.inventory(datacenter)
    judged = verdicts(vcenter, select(inventory.vms, selection))
    wanted = [verdict.vm for verdict in judged if verdict.converts]
    counted = CheckResult(
        "VMs",
        bool(wanted),
        f"{len(wanted)} of {len(inventory.vms)} can be converted",
        "" if wanted else "`orchestrate --dry-run` tells why not; see --include and --exclude",
    )
    # VMs move between hosts while a run goes on, so each host counts.
    hosts = tuple(sorted(host.name for host in inventory.hosts if host.connected))
    needs = Needs(hosts, tuple(vm.used_bytes for vm in wanted))
    return (*vcenter.check(datacenter, wanted), counted), needs


def check_workers(
    cluster: ClusterSettings, order: ProbeOrder, sizes: Sequence[int]
) -> tuple[CheckResult, ...]:
    """What the workers reach and have.

    Raises ``ConnectError`` when the scheduler cannot be reached or local workers cannot be started.
    """
    return tell(call_roll(cluster, probe, order), sizes)


def tell(roll: RollCall, sizes: Sequence[int]) -> tuple[CheckResult, ...]:
    """The workers' answers, one line for what all of them tell; ``sizes`` are the VMs' in bytes."""
    if not roll.workers:
        remedy = "start workers: `dask worker SCHEDULER --resources convert=1 --nthreads 1`"
        return (CheckResult("workers", False, "none has the Dask resource `convert`", remedy),)
    failed = {who: answer for who, answer in roll.answers.items() if isinstance(answer, Failure)}
    probed = {who: answer for who, answer in roll.answers.items() if isinstance(answer, Probed)}
    results = {who: list(answer.results) for who, answer in probed.items()}
    for who, result in room({who: one.space for who, one in probed.items() if one.space}, sizes).items():
        results[who].append(result)
    for who, failure in failed.items():
        results[who] = [CheckResult("answer", False, failure.message, failure.hint)]
    return (versions(roll), *merge(results))


def versions(roll: RollCall) -> CheckResult:
    """Whether everybody runs the same versions of Python, Dask and the product."""
    wrong = _differences("the scheduler", {**roll.scheduler, PRODUCT: roll.here[PRODUCT]}, roll.here)
    for who, versions in roll.workers.items():
        wrong += _differences(who, versions, roll.here)
    if not wrong:
        shown = ", ".join(f"{name} {version}" for name, version in roll.here.items())
        return CheckResult("versions", True, f"{shown} on {text.plural(len(roll.workers), 'worker')}")
    shown = "; ".join(wrong[:_SHOWN]) + (f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else "")
    remedy = "start scheduler and workers from the same image or virtual environment as this command"
    return CheckResult("versions", False, shown, remedy)


def _differences(who: str, theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    return [
        f"{who} has {name} {theirs[name]}, here is {ours[name]}" if theirs[name] else f"{who} has no {name}"
        for name in ours
        if theirs[name] != ours[name]
    ]


def room(spaces: Mapping[str, Space], sizes: Sequence[int]) -> dict[str, CheckResult]:
    """By worker, whether the largest VMs find room when each worker of one scratch space has one."""
    sharing: dict[str, list[str]] = defaultdict(list)
    for who, space in spaces.items():
        sharing[space.place].append(who)
    results = {}
    for workers in sharing.values():
        needed = sum(sorted(sizes, reverse=True)[: len(workers)])
        free = min(spaces[who].free for who in workers)
        rate = min(spaces[who].rate for who in workers)
        detail = f"{spaces[workers[0]].path}: {text.size(free)} free, written at {text.rate(rate)}"
        if free < needed:
            detail += f"; the largest VMs, one for each worker, may take {text.size(needed)}"
        remedy = (
            "" if free >= needed else "free space, point --scratch at a larger disk, or use fewer workers"
        )
        results.update(dict.fromkeys(workers, CheckResult(SCRATCH, free >= needed, detail, remedy)))
    return results


def merge(results: Mapping[str, Iterable[CheckResult]]) -> tuple[CheckResult, ...]:
    """One line for each name, from the workers' lines of that name."""
    by_name: dict[str, dict[str, CheckResult]] = defaultdict(dict)
    for who, lines in results.items():
        for line in lines:
            by_name[line.name][who] = line
    return tuple(_merged(name, lines) for name, lines in by_name.items())


def _merged(name: str, lines: Mapping[str, CheckResult]) -> CheckResult:
    wrong = {who: line for who, line in lines.items() if not line.ok}
    saying: dict[str, list[str]] = defaultdict(list)
    for who, line in (wrong or lines).items():
        saying[line.detail].append(who)
    if not wrong:
        return CheckResult(name, True, "; ".join(list(saying)[:_SHOWN]))
    shown = [f"{_names(workers, len(lines))}: {detail}" for detail, workers in list(saying.items())[:_SHOWN]]
    remedies = dict.fromkeys(line.remedy for line in wrong.values() if line.remedy)
    return CheckResult(name, False, "; ".join(shown), "; ".join(remedies))


def _names(workers: Sequence[str], of: int) -> str:
    if len(workers) == of:
        return "every worker"
    more = f" and {len(workers) - _SHOWN} more" if len(workers) > _SHOWN else ""
    return ", ".join(workers[:_SHOWN]) + more
