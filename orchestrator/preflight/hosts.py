"""Which ESXi hosts, and which workers, a run can use, from what each worker reached. Pure.

A host that no worker reaches costs the VMs on it. A worker that does not reach what others do costs itself:
any VM may be given to any worker, and the fleet's machine asks for no more than a free slot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from orchestrator.preflight.lines import some
from orchestrator.probe.hosts import NFC_PORT, Reach
from orchestrator.report import text
from orchestrator.vsphere.values import CheckResult

NAME = "ESXi hosts"
REMEDY = (
    "workers download from the hosts by these names: let them resolve (DNS, /etc/hosts), and open"
    f" TCP {NFC_PORT} to the hosts"
)


@dataclass(frozen=True, slots=True)
class Reachable:
    """What the workers reach together."""

    out: Mapping[str, str]
    """Hosts that are out of reach of the workers that are used, and why."""
    apart: Mapping[str, frozenset[str]]
    """Workers that are not used, and the hosts that they alone do not reach."""
    untried: int = 0
    """Hosts for which a worker had no time; they are taken for reachable."""


def reachable(reaches: Mapping[str, Reach], out: Collection[str] | None = None) -> Reachable:
    """Use the workers that reach the most hosts.

    Args:
        reaches: by worker.
        out: hosts that are given up already; None: none has been tried before.
    """
    if not reaches:
        return Reachable({}, {})
    missing = {who: frozenset(reach.problems) for who, reach in reaches.items()}
    if out is None:
        common = Counter(missing.values())
        given_up = min(common, key=lambda hosts: (len(hosts), -common[hosts], sorted(hosts)))
    else:
        given_up = frozenset(out)
    apart = {who: hosts - given_up for who, hosts in missing.items() if not hosts <= given_up}
    used = [reach.problems for who, reach in reaches.items() if who not in apart]
    why = {host: problems[host] for problems in used for host in problems}
    untried = max(len(reach.untried) for reach in reaches.values())
    return Reachable({host: why[host] for host in sorted(why)}, apart, untried)


def tell(hosts: Mapping[str, int], found: Reachable) -> CheckResult:
    """One line; ``hosts`` says how many VMs are to be converted on each."""
    count = len(hosts)
    untried = f"; for {found.untried} there was no time" if found.untried else ""
    if not found.out:
        reached = count - found.untried
        return CheckResult(NAME, True, f"{reached} of {count} take a connection on port {NFC_PORT}{untried}")
    lost = sum(hosts.get(host, 0) for host in found.out)
    shown = some((f"{host}: {why}" for host, why in found.out.items()), "; ")
    detail = f"{len(found.out)} of {count} out of reach of the workers: {shown}{untried}"
    detail += (
        f"; {text.plural(lost, 'VM')} there would be set aside" if lost else "; no VM to convert is there"
    )
    nothing_left = lost > 0 and lost == sum(hosts.values())
    return CheckResult(NAME, False, detail, REMEDY, blocks=nothing_left)


def misses(hosts: Collection[str]) -> CheckResult:
    """A worker's line about the hosts that it alone does not reach."""
    detail = f"does not reach what other workers reach: {some(sorted(hosts))}"
    return CheckResult("reach of ESXi hosts", False, detail, REMEDY)
