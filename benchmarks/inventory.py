"""``make bench NAME=inventory``: list and assess 10,000 simulated VMs, beside ``govc`` reading the same.

``BENCH_VMS`` sets another number. ``ratio_govc`` is govc's time through ours: over 1 is faster.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measured, output
from benchmarks.measured import Measured
from deploy.demo import golang, simulator
from deploy.demo.fleet import Cluster, Datacenter, Datastore, Fleet, Host
from deploy.demo.simulator import Simulator
from orchestrator.vsphere.inventory import DISKS, VM

VMS = int(os.environ.get("BENCH_VMS", "10000"))
HOSTS = 32
DATASTORES = 16


@dataclass(frozen=True, slots=True)
class Listing:
    """What one program took to list the VMs."""

    cost: Measured
    round_trips: int


def main() -> None:
    """Measure and print."""
    with simulator.running(_fleet()) as vcenter:
        ours = _list(vcenter, _product())
        theirs = _list(vcenter, _govc())
    rows = [
        [
            name,
            f"{listing.cost.seconds:.1f} s",
            f"{listing.round_trips:,}",
            f"{listing.cost.peak_rss_mib:,.0f} MiB",
        ]
        for name, listing in (("orchestrate --dry-run", ours), ("govc object.collect", theirs))
    ]
    figures = {
        "vms": VMS,
        "seconds": ours.cost.seconds,
        "ratio_govc": theirs.cost.seconds / ours.cost.seconds,
        "round_trips": ours.round_trips,
        "peak_rss_mib": ours.cost.peak_rss_mib,
    }
    output.show(f"Inventory of {VMS:,} VMs", ["", "time", "round trips", "peak memory"], rows, figures)


def _fleet() -> Fleet:
    hosts = tuple(Host(f"esx-{number:02}.example.com") for number in range(HOSTS))
    stores = tuple(Datastore(f"datastore-{number:02}") for number in range(DATASTORES))
    datacenter = Datacenter("DC0", datastores=stores, clusters=(Cluster("C0", hosts=hosts),), empty_vms=VMS)
    return Fleet((datacenter,))


def _list(vcenter: Simulator, command: list[str]) -> Listing:
    vcenter.forget_calls()
    cost = measured.run(command, {**os.environ, **vcenter.environment()})
    return Listing(cost, sum(call.count for call in vcenter.calls()))


def _product() -> list[str]:
    return [str(Path(sys.executable).with_name("orchestrate")), "--datacenter", "DC0", "--dry-run"]


def _govc() -> list[str]:
    """The same properties of the same VMs; ``-json`` is the form that scripts read."""
    (properties,), (devices,) = VM.values(), DISKS.values()
    paths = [*properties, *devices]
    return [str(golang.program("./govc", "govc")), "object.collect", "-json", "-type", "m", "/", *paths]


if __name__ == "__main__":
    main()
