"""Which VMs are converted, and what is said about the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.fleet.assess import Obstacle, assess, assess_listing
from tests.orchestrator.fleet.vms import DISK, make_vm


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"power_state": "poweredOff"},
        {"power_state": "suspended"},
        {"guest_family": ""},
        {"guest_family": "", "guest_id": "otherGuest64"},
        {"guest_family": "linuxGuest", "guest_id": "windows9Server64Guest"},
        {
            "name": "my-vcenter-docs",
            "annotation": "Holds the documentation of our vCenter Server Appliance. " * 3,
        },
    ],
    ids=str,
)
def test_a_linux_vm_converts(changes: dict[str, Any]) -> None:
    verdict = assess(make_vm(**changes))
    assert verdict.converts and not verdict.reason


@pytest.mark.parametrize(
    ("changes", "obstacle", "says"),
    [
        ({"template": True}, Obstacle.TEMPLATE, "template"),
        ({"connection_state": "inaccessible"}, Obstacle.NOT_CONNECTED, "inaccessible"),
        ({"connection_state": "disconnected"}, Obstacle.NOT_CONNECTED, "disconnected"),
        ({"managed_by": "com.vmware.vim.eam"}, Obstacle.MANAGED, "com.vmware.vim.eam"),
        ({"name": "vCLS-4c4c4544-0051"}, Obstacle.INFRASTRUCTURE, "Cluster Services"),
        ({"name": "vCLS (3)"}, Obstacle.INFRASTRUCTURE, "Cluster Services"),
        ({"annotation": "VMware vCenter Server Appliance"}, Obstacle.INFRASTRUCTURE, "vCenter Server"),
        ({"annotation": "NSX Manager\nrelease 4"}, Obstacle.INFRASTRUCTURE, "NSX Manager"),
        ({"guest_family": "windowsGuest"}, Obstacle.WINDOWS, "Windows"),
        ({"guest_family": "", "guest_id": "windows2019srv_64Guest"}, Obstacle.WINDOWS, "Windows"),
        (
            {"guest_family": "otherGuestFamily", "guest_id": "freebsd13_64Guest"},
            Obstacle.OTHER_SYSTEM,
            "FreeBSD",
        ),
        ({"guest_family": "", "guest_id": "vmkernel7Guest"}, Obstacle.OTHER_SYSTEM, "ESXi"),
        ({"fault_tolerance": True}, Obstacle.FAULT_TOLERANCE, "Fault Tolerance"),
        ({"consolidation_needed": True}, Obstacle.CONSOLIDATION_NEEDED, "consolidation"),
        ({"disks": ()}, Obstacle.NO_DISK, "no virtual disk"),
        (
            {"disks": (DISK, replace(DISK, label="Hard disk 2", physical_rdm=True))},
            Obstacle.PHYSICAL_RDM,
            "Hard disk 2",
        ),
        (
            {"disks": (replace(DISK, mode="independent_persistent"),)},
            Obstacle.INDEPENDENT_DISK,
            "Hard disk 1",
        ),
        ({"disks": (replace(DISK, sharing=True),)}, Obstacle.SHARED_DISK, "Hard disk 1"),
    ],
    ids=str,
)
def test_an_obstacle_is_named_with_what_to_do(changes: dict[str, Any], obstacle: Obstacle, says: str) -> None:
    verdict = assess(make_vm(**changes))
    assert verdict.obstacle is obstacle
    assert says in verdict.reason
    assert verdict.remedy


def test_the_listing_alone_says_nothing_about_disks() -> None:
    assert assess_listing(make_vm(disks=())).converts
    assert not assess_listing(make_vm(template=True)).converts
