"""A simulated vCenter with VMs for each case, and connections to it that must leave nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

# Before pyvmomi's faults: it changes how exceptions that exist by then are copied, and pyvmomi copies faults.
import distributed  # noqa: F401
import pytest
from pydantic import SecretStr

from deploy.demo.fleet import Cluster, Datacenter, Datastore, Disk, Fleet, Host, Machine, UserSnapshot
from deploy.demo.simulator import Simulator, running
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.session import Session, connect
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.values import VirtualMachine

GIB = 1 << 30
BIG = 1000
_disk = (Disk(capacity=GIB),)

VMS = (
    Machine(
        "web/1",
        folders=("prod", "a%b"),
        disks=(Disk(capacity=GIB), Disk(capacity=2 * GIB)),
        snapshots=(UserSnapshot("before upgrade", "mine"),),
        restart_priority="highest",
        annotation="shop",
    ),
    Machine("twin", folders=("x",), disks=_disk, cpu_limit_mhz=3000, memory_limit_mib=512),
    Machine("twin", folders=("y",), disks=_disk),
    Machine("größe ☃ \\ 50%", disks=_disk),
    Machine("off", power="poweredOff", tools_running=False, disks=_disk),
    Machine("toolless", tools_running=False, disks=_disk),
    Machine("pinned", restart_priority="disabled", disks=_disk),
    Machine("template", power="poweredOff", template=True, disks=_disk),
    Machine("managed", managed_by="com.vmware.vcls", disks=_disk),
    Machine("tolerant", fault_tolerance=True, disks=_disk),
    Machine("rdm", disks=(Disk(capacity=GIB, physical_rdm=True),)),
    Machine("independent", disks=(Disk(capacity=GIB, mode="independent_persistent"),)),
    Machine("shared", disks=(Disk(capacity=GIB, multi_writer=True),)),
    Machine("diskless"),
    Machine("unconsolidated", consolidation_needed=True, disks=_disk),
    Machine("deep", disks=_disk, snapshots=tuple(UserSnapshot(f"s{n}") for n in range(8))),
    Machine("cramped", datastore="full", disks=_disk),
    Machine("installed", disks=_disk),
)
FLEET = Fleet(
    (
        Datacenter(
            "DC0",
            datastores=(Datastore(), Datastore("full", 100 * GIB, 5 * GIB)),
            clusters=(
                Cluster("C0", "low", (Host("esx-0.example.com", 2000), Host("esx-1.example.com", 2500))),
            ),
            vms=tuple(replace(vm, datastore=vm.datastore or "datastore-0") for vm in VMS),
        ),
        Datacenter("Lab", folders=("north",)),
        Datacenter("Lab", folders=("south",)),
        Datacenter("R/D"),
        Datacenter("Big", empty_vms=BIG),
    )
)


@pytest.fixture(scope="package")
def vcenter_simulator() -> Iterator[Simulator]:
    with running(FLEET) as simulator:
        simulator.mount_image("installed", "full")
        yield simulator


@pytest.fixture
def simulator(vcenter_simulator: Simulator) -> Iterator[Simulator]:
    """The simulated vCenter; a test that leaves a session or a snapshot of ours fails."""
    settings = {
        "lease_timeout": 300.0,
        "lease_initialize": 0.05,
        "wildcard_host": False,
        "thumbprint": "server",
        "page_size": 0,
        "delta_disks": True,
    }
    vcenter_simulator.change(**settings, denied_privileges=())
    vcenter_simulator.forget_calls()
    yield vcenter_simulator
    vcenter_simulator.reset()
    assert vcenter_simulator.sessions() == []
    assert [
        found.name for found in vcenter_simulator.snapshots() if found.name.startswith("orchestrate-")
    ] == []


@pytest.fixture
def settings(simulator: Simulator) -> VCenterSettings:
    return VCenterSettings.parse(
        simulator.url, simulator.username, SecretStr(simulator.password), ca_file=str(simulator.ca_file)
    )


@pytest.fixture
def session(settings: VCenterSettings) -> Iterator[Session]:
    with connect(settings) as found:
        yield found


@pytest.fixture
def vcenter(settings: VCenterSettings) -> Iterator[VCenter]:
    with VCenter(settings) as found:
        yield found


@pytest.fixture
def vm(vcenter: VCenter) -> Callable[[str], VirtualMachine]:
    """The VM of this name in DC0, with its disks."""
    inventory = vcenter.inventory("DC0")

    def find(name: str) -> VirtualMachine:
        (found,) = vcenter.describe(vm for vm in inventory.vms if vm.name == name)
        return found

    return find


@pytest.fixture
def moref(simulator: Simulator) -> Callable[[str], str]:
    return lambda name: next(vm.moref for vm in simulator.vms() if vm.name == name)


@pytest.fixture
def marker() -> Marker:
    return Marker("ledger-1", "run-1", "job-1", float(int(time.time()) + 3600))
