"""What there is in a datacenter, and what is to be done about each VM. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from orchestrator.errors import NotFoundError
from orchestrator.fleet.assess import Verdict, assess, assess_listing
from orchestrator.fleet.identity import job_ids, repositories, settings_fingerprint
from orchestrator.fleet.plan import DoneImage, PlannedVm, plan_vm
from orchestrator.fleet.select import Selection, select, unmatched
from orchestrator.fleet.view import ImageView
from orchestrator.ledger import Ledger
from orchestrator.plans import NO_PLANS, Plans
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.values import Inventory, VirtualMachine


@dataclass(frozen=True, slots=True)
class Survey:
    """The VMs that were asked for, each with what is to be done."""

    planned: tuple[PlannedVm, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    registry: str
    """``host[:port]/path``, below which each VM has its repository."""
    selection: Selection
    settings: str
    """Fingerprint of the settings that shape an image."""
    refresh: bool = False
    largest_data_disk: int | None = None
    """Bytes; None: all data disks are downloaded."""
    plans: Plans = NO_PLANS

    def settings_of(self, vm: VirtualMachine) -> str:
        """Fingerprint of all that shapes the VM's image, its plan included."""
        decided = self.plans.fingerprint(vm.name, vm.instance_uuid)
        return settings_fingerprint(self.settings, decided) if decided else self.settings


Judge = Callable[[Iterable[VirtualMachine]], tuple[Verdict, ...]]
"""The verdict on each VM, in the same order; of those that have gone, none."""


def survey(judge: Judge, inventory: Inventory, identity: str, ledger: Ledger, wanted: Wanted) -> Survey:
    """What is to be done; ``identity`` is the source's, such as vCenter's instance UUID.

    Raises ``NotFoundError`` when no VM was selected.
    """
    selected = select(inventory.vms, wanted.selection)
    if not selected:
        raise NotFoundError(_nothing(inventory, wanted.selection), "see --include and --exclude")
    jobs = job_ids(identity, inventory.vms)
    known = ledger.repositories()
    named = repositories(wanted.registry, inventory.vms, jobs, known)
    if not wanted.registry:  # nothing is pushed, and each keeps the place that it has
        named |= {job: known[job] for job in named if job in known}

    def last(job: str) -> DoneImage | None:
        # Of a VM never taken up there is no image: asking for each of thousands takes seconds.
        record = ledger.last_image(job) if job in known else None
        if record is None:
            return None
        image = ImageView(record.reference, record.digest, record.size, record.published)
        return DoneImage(image, record.fingerprint, record.settings)

    planned = tuple(
        plan_vm(
            verdict,
            jobs[verdict.vm.moref],
            named[jobs[verdict.vm.moref]],
            wanted.settings_of(verdict.vm),
            last,
            wanted.refresh,
            wanted.largest_data_disk,
        )
        for verdict in judge(selected)
    )
    misspelt = unmatched(inventory.vms, wanted.selection)
    unused = wanted.plans.unused((vm.name, vm.instance_uuid) for vm in inventory.vms)
    return Survey(
        planned,
        (
            *(f"--include {pattern} matches no VM" for pattern in misspelt),
            *(f"{path} is the plan of {machine}, which is not there" for path, machine in unused.items()),
        ),
    )


def verdicts(vcenter: VCenterApi, vms: Iterable[VirtualMachine]) -> tuple[Verdict, ...]:
    """The verdict on each VM, in the same order; disks are read of those alone that pass without them.

    A VM that goes away meanwhile is left out.
    """
    listed = [assess_listing(vm) for vm in vms]
    described = vcenter.describe(verdict.vm for verdict in listed if verdict.converts)
    complete = {vm.moref: assess(vm) for vm in described}
    return tuple(
        complete[verdict.vm.moref] if verdict.converts else verdict
        for verdict in listed
        if not verdict.converts or verdict.vm.moref in complete
    )


def _nothing(inventory: Inventory, selection: Selection) -> str:
    if not inventory.vms:
        return f"there is no VM in {inventory.datacenter}"
    include = ", ".join(selection.include) or "*"
    return f"none of the {len(inventory.vms)} VMs of {inventory.datacenter} matches {include}"
