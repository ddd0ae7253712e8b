"""Whether a VM can be converted without harm, judged by what the inventory says. Pure rules, with remedies.

What only shows later (no Linux on the disks, a full datastore) the snapshot or the conversion refuses.
Sources: *VMware vSphere Virtual Machine Administration*, "Snapshot limitations" (RDM in physical mode,
independent disks, bus sharing); ``VirtualMachineGuestOsIdentifier`` of the vSphere Web Services API.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from orchestrator.fleet.files import MachineFiles
from orchestrator.vsphere.values import DiskDevice, VirtualMachine


class Obstacle(StrEnum):
    """Why a VM is skipped."""

    TEMPLATE = "template"
    NOT_CONNECTED = "not-connected"
    MANAGED = "managed-by-solution"
    INFRASTRUCTURE = "infrastructure"
    WINDOWS = "windows"
    OTHER_SYSTEM = "other-system"
    FAULT_TOLERANCE = "fault-tolerance"
    CONSOLIDATION_NEEDED = "consolidation-needed"
    NO_DISK = "no-disk"
    PHYSICAL_RDM = "physical-rdm"
    INDEPENDENT_DISK = "independent-disk"
    SHARED_DISK = "shared-disk"
    UNREADABLE = "unreadable"
    ENCRYPTED = "encrypted"
    IN_USE = "in-use"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a VM is converted; if not, why, and what would change that."""

    vm: VirtualMachine
    obstacle: Obstacle | None = None
    reason: str = ""
    remedy: str = ""
    remarks: tuple[str, ...] = ()
    """What a person should know of one that is converted, each a sentence."""
    files: MachineFiles | None = None
    """Where its disks are files; None: vCenter exports them."""

    @property
    def converts(self) -> bool:
        """True when nothing stands in the way."""
        return self.obstacle is None


Finding = tuple[Obstacle, str, str]
"""Obstacle, reason, remedy."""


def assess(vm: VirtualMachine) -> Verdict:
    """The verdict on a VM whose disks are described."""
    return _judge(vm, (*_LISTING_RULES, *_DISK_RULES))


def assess_listing(vm: VirtualMachine) -> Verdict:
    """The verdict as far as it goes without the disks: only the VMs that pass need to be described."""
    return _judge(vm, _LISTING_RULES)


def assess_files(vm: VirtualMachine) -> Verdict:
    """The verdict on a machine whose disks are files: it takes no snapshot, so less stands in the way."""
    return _judge(vm, _FILE_RULES)


def _judge(vm: VirtualMachine, rules: tuple[Rule, ...]) -> Verdict:
    for rule in rules:
        found = rule(vm)
        if found is not None:
            return Verdict(vm, *found)
    return Verdict(vm)


def _template(vm: VirtualMachine) -> Finding | None:
    if not vm.template:
        return None
    return Obstacle.TEMPLATE, "it is a template, not a VM", "deploy a VM from it to convert that"


def _not_connected(vm: VirtualMachine) -> Finding | None:
    if vm.connection_state == "connected":
        return None
    reason = f"vCenter says it is {vm.connection_state or 'in an unknown connection state'}"
    return Obstacle.NOT_CONNECTED, reason, "bring its host or datastore back, then run again"


def _managed(vm: VirtualMachine) -> Finding | None:
    if not vm.managed_by:
        return None
    reason = f"the solution {vm.managed_by} owns it"
    return Obstacle.MANAGED, reason, "convert what the solution deploys it for, not the VM"


_AGENTS = re.compile(r"vCLS([- (]|$)", re.IGNORECASE)
_APPLIANCES = re.compile(
    r"vCenter Server( Appliance)?\b|Platform Services Controller\b|NSX[- ]?T? (Manager|Edge|Controller)\b",
    re.IGNORECASE,
)


def _infrastructure(vm: VirtualMachine) -> Finding | None:
    remedy = "it runs vSphere itself and must not be touched"
    if _AGENTS.match(vm.name):
        return Obstacle.INFRASTRUCTURE, "it is an agent VM of vSphere Cluster Services", remedy
    # The OVA of the appliance leaves its product's name as the whole first line of the annotation.
    first_line = vm.annotation.strip().partition("\n")[0]
    found = _APPLIANCES.search(first_line)
    if found and len(first_line) < 80:
        return Obstacle.INFRASTRUCTURE, f"it is a management appliance: {first_line}", remedy
    return None


_OTHER_SYSTEMS = (
    ("freebsd", "FreeBSD"),
    ("solaris", "Solaris"),
    ("darwin", "macOS"),
    ("netware", "NetWare"),
    ("os2", "OS/2"),
    ("ecomstation", "eComStation"),
    ("openserver", "OpenServer"),
    ("unixware", "UnixWare"),
    ("dos", "DOS"),
    ("vmkernel", "ESXi"),
)
_OTHER_FAMILIES = ("darwin", "netware", "solaris")


def _guest_system(vm: VirtualMachine) -> Finding | None:
    family = vm.guest_family.lower()
    guest_id = vm.guest_id.lower()
    if family.startswith("linux"):  # what runs, by VMware Tools, outranks what was set when the VM was made
        return None
    if family.startswith("windows") or (not family and guest_id.startswith("win")):
        name = vm.guest_full_name or vm.guest_id
        return Obstacle.WINDOWS, f"its guest is Windows ({name})", "only Linux guests become images"
    for prefix, system in _OTHER_SYSTEMS:
        if guest_id.startswith(prefix) or (family in _OTHER_FAMILIES and family.startswith(prefix)):
            remedy = "only Linux guests become images; correct the VM's guest OS if it does run Linux"
            return Obstacle.OTHER_SYSTEM, f"its guest is {system}", remedy
    return None


def _fault_tolerance(vm: VirtualMachine) -> Finding | None:
    if not vm.fault_tolerance:
        return None
    reason = "Fault Tolerance is on, which allows no snapshot"
    return Obstacle.FAULT_TOLERANCE, reason, "suspend Fault Tolerance for the time of the run"


def _consolidation(vm: VirtualMachine) -> Finding | None:
    if not vm.consolidation_needed:
        return None
    reason = "its disks need consolidation: one more snapshot would lengthen a chain that is already broken"
    return (
        Obstacle.CONSOLIDATION_NEEDED,
        reason,
        "Snapshots > Consolidate in the vSphere Client, then run again",
    )


def _no_disk(vm: VirtualMachine) -> Finding | None:
    if vm.disks:
        return None
    return Obstacle.NO_DISK, "it has no virtual disk", "nothing: there is nothing to convert"


def _physical_rdm(vm: VirtualMachine) -> Finding | None:
    named = _labels(vm, lambda disk: disk.physical_rdm)
    if not named:
        return None
    reason = f"{named}: raw device mapping in physical mode, which no snapshot covers"
    return Obstacle.PHYSICAL_RDM, reason, "map the device in virtual mode, or copy its data"


def _independent(vm: VirtualMachine) -> Finding | None:
    named = _labels(vm, lambda disk: disk.mode.startswith("independent"))
    if not named:
        return None
    reason = f"{named}: independent mode, which no snapshot covers"
    return Obstacle.INDEPENDENT_DISK, reason, "set the disk to dependent mode while the VM is powered off"


def _shared(vm: VirtualMachine) -> Finding | None:
    named = _labels(vm, lambda disk: disk.sharing)
    if not named:
        return None
    reason = f"{named}: shared with other VMs (multi-writer or bus sharing), which allows no snapshot"
    return Obstacle.SHARED_DISK, reason, "convert the cluster's application by its own means"


def _labels(vm: VirtualMachine, which: Callable[[DiskDevice], bool]) -> str:
    return ", ".join(disk.label or f"disk {disk.key}" for disk in vm.disks if which(disk))


Rule = Callable[[VirtualMachine], Finding | None]
_LISTING_RULES: tuple[Rule, ...] = (
    _template,
    _not_connected,
    _managed,
    _infrastructure,
    _guest_system,
    _fault_tolerance,
    _consolidation,
)
_FILE_RULES: tuple[Rule, ...] = (_template, _infrastructure, _guest_system, _no_disk)
_DISK_RULES: tuple[Rule, ...] = (_no_disk, _physical_rdm, _independent, _shared)
