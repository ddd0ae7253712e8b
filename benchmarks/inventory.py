"""``make bench NAME=inventory``: list and assess 10,000 simulated VMs, beside ``govc`` reading the same.

The product does it whole: start, login, listing, devices, privileges, ledger, table. It runs with its own
pages of up to 500 objects, and against a server that gives no more than 100; govc always reads pages of 100.
The three take turns, one after the other, and the medians are told.

``ratio_govc`` is our time through govc's: lower is faster, 1.5 or less is wanted; ``ratio_govc_100`` is the
same with the server's pages of 100. ``round_trips`` should be at most ``pages`` + 8, ``peak_rss_mib`` 500.
``BENCH_VMS`` and ``BENCH_RUNS`` (3) set other numbers.
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measured, output
from benchmarks.measured import Measured
from deploy.demo import golang, simulator
from deploy.demo.fleet import Cluster, Datacenter, Datastore, Fleet, Host
from deploy.demo.simulator import Simulator
from orchestrator.vsphere.inventory import DISKS, VM
from orchestrator.vsphere.properties import PAGE

VMS = int(os.environ.get("BENCH_VMS", "10000"))
RUNS = int(os.environ.get("BENCH_RUNS", "3"))
HOSTS = 32
DATASTORES = 16
SMALL_PAGE = 100
_PAGES = frozenset({"RetrievePropertiesEx", "ContinueRetrievePropertiesEx", "HasUserPrivilegeOnEntities"})
"""Calls whose number grows with the VMs: some hundred of them each."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What one program took to list the VMs, once."""

    cost: Measured
    round_trips: int
    pages: int
    """Those of the round trips that brought VMs."""


@dataclass(frozen=True, slots=True)
class Program:
    """Something that lists the VMs."""

    name: str
    command: tuple[str, ...]
    page: int
    """Objects that the server gives at most in an answer; 0: as many as it is asked for."""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="orchestrate-bench-") as home:
        product = _product(Path(home))
        programs = (
            Program(f"orchestrate --dry-run, pages of {PAGE}", product, 0),
            Program(f"orchestrate --dry-run, pages of {SMALL_PAGE}", product, SMALL_PAGE),
            Program("govc object.collect", _govc(), 0),
        )
        with simulator.running(_fleet()) as vcenter:
            rounds = [[_list(vcenter, program) for program in programs] for _ in range(RUNS)]
    ours, small, theirs = map(_median, zip(*rounds, strict=True))
    rows = [
        [
            program.name,
            f"{listing.cost.seconds:.1f} s",
            f"{listing.cost.seconds / theirs.cost.seconds:.2f}",
            f"{listing.round_trips:,}",
            f"{listing.cost.peak_rss_mib:,.0f} MiB",
        ]
        for program, listing in zip(programs, (ours, small, theirs), strict=True)
    ]
    figures = {
        "vms": VMS,
        "runs": RUNS,
        "seconds": ours.cost.seconds,
        "ratio_govc": ours.cost.seconds / theirs.cost.seconds,
        "ratio_govc_100": small.cost.seconds / theirs.cost.seconds,
        "round_trips": ours.round_trips,
        "pages": ours.pages,
        "round_trips_100": small.round_trips,
        "pages_100": small.pages,
        "peak_rss_mib": max(ours.cost.peak_rss_mib, small.cost.peak_rss_mib),
    }
    columns = ["", "time", "to govc's", "round trips", "peak memory"]
    output.show(f"Inventory of {VMS:,} VMs, medians of {RUNS} runs", columns, rows, figures)


def _fleet() -> Fleet:
    hosts = tuple(Host(f"esx-{number:02}.example.com") for number in range(HOSTS))
    stores = tuple(Datastore(f"datastore-{number:02}") for number in range(DATASTORES))
    datacenter = Datacenter("DC0", datastores=stores, clusters=(Cluster("C0", hosts=hosts),), empty_vms=VMS)
    return Fleet((datacenter,))


def _list(vcenter: Simulator, program: Program) -> Listing:
    vcenter.change(page_size=program.page)
    vcenter.forget_calls()
    cost = measured.run(program.command, {**os.environ, **vcenter.environment()})
    calls = vcenter.calls()
    pages = sum(call.count for call in calls if call.method in _PAGES)
    return Listing(cost, sum(call.count for call in calls), pages)


def _median(listings: tuple[Listing, ...]) -> Listing:
    """The listing of median time, with the largest memory of all."""
    middle = sorted(listings, key=lambda listing: listing.cost.seconds)[len(listings) // 2]
    peak = max(listing.cost.peak_rss_mib for listing in listings)
    return Listing(Measured(middle.cost.seconds, peak), middle.round_trips, middle.pages)


def _product(home: Path) -> tuple[str, ...]:
    program = str(Path(sys.executable).with_name("orchestrate"))
    return program, "--datacenter", "DC0", "--dry-run", "--ledger", str(home / "ledger.sqlite")


def _govc() -> tuple[str, ...]:
    """The same properties of the same VMs; ``-json`` is the form that scripts read."""
    (properties,), (devices,) = VM.values(), DISKS.values()
    command = str(golang.program("./govc", "govc")), "object.collect", "-json", "-type", "m", "/"
    return *command, *properties, *devices


if __name__ == "__main__":
    main()
