"""What ``orchestrate check`` finds out at vCenter."""

from __future__ import annotations

from orchestrator.fleet.select import Selection, select
from orchestrator.preflight.needs import Needs, needs_of
from orchestrator.survey import verdicts
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.values import CheckResult


def check_vcenter(
    vcenter: VCenterApi, datacenter: str, selection: Selection
) -> tuple[tuple[CheckResult, ...], Needs]:
    """Connection, clock, privileges and room, and what the VMs ask of the workers.

    Raises ``NotFoundError``, which names the datacenters there are, and what ``VCenterApi`` raises.
    """
    inventory = vcenter.inventory(datacenter)
    judged = verdicts(vcenter, select(inventory.vms, selection))
    wanted = [verdict.vm for verdict in judged if verdict.converts]
    lines = (*vcenter.check(datacenter, wanted), counted(len(wanted), len(inventory.vms)))
    # VMs move between hosts while a run goes on, so each host counts.
    return lines, needs_of(wanted, inventory.hosts)


def counted(wanted: int, total: int) -> CheckResult:
    """The line that says how many VMs can be converted."""
    remedy = "" if wanted else "`orchestrate --dry-run` tells why not; see --include and --exclude"
    return CheckResult("VMs", bool(wanted), f"{wanted} of {total} can be converted", remedy)
