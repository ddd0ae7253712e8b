"""Eleven VMs on three hosts, and what is said of one that meets a fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from converters.process import ProcessError
from deploy.demo import guests
from deploy.demo.disturbances import Download, Rule
from deploy.demo.fleet import (
    Cluster,
    Datacenter,
    Datastore,
    Disk,
    Fleet,
    Host,
    Machine,
    Settings,
    UserSnapshot,
)
from deploy.demo.simulator import Simulator
from orchestrator.errors import ExitCode
from tests.safety.harness import BY_HAND, DATACENTER, LEASE_SECONDS, Command, errors

BIG = 6 << 20
"""Bytes that do not compress: enough to be met in the middle of a download or a push."""
SMALL = tuple(f"vm-{number}" for number in range(1, 11))
NEAR, SHAKY, LOST = (f"esx-{number}.example.com" for number in range(3))
"""Hosts: of most VMs, of ``vm-1`` alone and of ``vm-2`` alone."""
_HOSTS = {"vm-1": SHAKY, "vm-2": LOST}
WORKERS = ("--workers", "3")


def fleet() -> Fleet:
    """The large VM, with somebody else's snapshot, and ten small ones, on three datastores."""
    vm, snapshot = BY_HAND
    by_hand = (UserSnapshot(snapshot, "made by hand: stays"),)
    stores = tuple(Datastore(f"datastore-{number}") for number in range(3))
    machines = (
        Machine(vm, host=NEAR, disks=(Disk(str(guests.small(vm, BIG).vmdk)),), snapshots=by_hand),
        *(
            Machine(
                name,
                host=_HOSTS.get(name, NEAR),
                datastore=stores[number % len(stores)].name,
                disks=(Disk(str(guests.small(name).vmdk)),),
            )
            for number, name in enumerate(SMALL)
        ),
    )
    clusters = (Cluster(hosts=tuple(map(Host, (NEAR, SHAKY, LOST)))),)
    site = Datacenter(DATACENTER, datastores=stores, clusters=clusters, vms=machines)
    return Fleet((site,), Settings(lease_timeout=LEASE_SECONDS))


@dataclass(frozen=True, slots=True)
class Fault:
    """What one VM meets in a run, and what the run says of it."""

    vm: str
    what: str
    """For people."""
    rules: tuple[Rule, ...] = ()
    """Of calls about this VM."""
    downloads: tuple[Download, ...] = ()
    """Of its disk."""
    state: str = "done"
    errors: tuple[tuple[str, str], ...] = ()
    """Stage and kind of each failure, in their order."""
    says: str = ""
    """Words of the last failure, or of what a person is told about a VM that is done."""

    def assert_told(self, jobs: Mapping[str, Mapping[str, Any]]) -> None:
        """The report says of the VM what is true."""
        job = jobs[self.vm]
        assert (job["state"], tuple(errors(job))) == (self.state, self.errors), job
        told = "\n".join([job["reason"], *(error["message"] for error in job["errors"])])
        assert self.says in told, told

    @property
    def id(self) -> str:
        """For pytest."""
        return self.what.replace(" ", "-")


def inject(simulator: Simulator, faults: Sequence[Fault]) -> None:
    """Have each VM meet what is meant for it."""
    for fault in faults:
        for rule in fault.rules:
            simulator.inject(replace(rule, object=fault.vm))
    simulator.disturb_downloads(*(replace(one, vm=fault.vm) for fault in faults for one in fault.downloads))


def ended(command: Command, status: ExitCode = ExitCode.OK) -> None:
    """Wait for the command's end with this status; what it said tells why there is none."""
    try:
        assert command.wait() == status, command.said
    except ProcessError as error:
        raise AssertionError(command.said) from error
