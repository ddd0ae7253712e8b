"""What a look at vCenter tells the fleet, and what it does when vCenter does not answer."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from deploy.demo.fleet import Datacenter, Datastore, Disk, Fleet, Machine
from orchestrator.errors import VCenterBusyError
from orchestrator.fleet.plan import placement
from orchestrator.fleet.surroundings import Crowded, Moved
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.values import Whereabouts
from orchestrator.whereabouts import Watch, watching
from tests.conftest import StartSimulator
from tests.orchestrator.fleet_run import DATACENTER, Place, vcenter
from tests.waiting import until

TIB = 1 << 40
VMS = tuple(Machine(f"vm-{number}", disks=(Disk(capacity=1 << 30),)) for number in range(3))
FLEET = Fleet((Datacenter(DATACENTER, datastores=(Datastore("store", TIB, TIB // 2),), vms=VMS),))


def test_a_look_takes_two_calls_and_tells_what_is_new(start_simulator: StartSimulator) -> None:
    simulator = start_simulator(FLEET)
    with vcenter(Place.of(simulator, "", simulator.ca_file.parent)) as connected:
        vms = connected.inventory(DATACENTER).vms
        jobs = {vm.moref: f"job of {vm.name}" for vm in vms}
        known = {jobs[vm.moref]: placement(vm) for vm in vms}
        before = connected.round_trips
        assert list(Watch(known, 0.1).look(connected, jobs)) == [Crowded({})]
        assert connected.round_trips - before == 2
        elsewhere = replace(known["job of vm-1"], name="before")
        watch = Watch({**known, "job of vm-1": elsewhere}, 0.1)
        moved = Moved("job of vm-1", known["job of vm-1"])
        assert list(watch.look(connected, {**jobs, "vm-999999": "gone"})) == [moved, Crowded({})]
        simulator.set_free("store", TIB // 50)
        said = {"store": "datastore store has 2.0% free; the limit is 10%"}
        assert list(watch.look(connected, jobs)) == [Crowded(said)]
        simulator.set_free("store", TIB // 2)
        assert list(watch.look(connected, jobs)) == [Crowded({})]


@dataclass
class Away:
    """A vCenter that does not answer."""

    looks: int = 0
    answered: threading.Event = field(default_factory=threading.Event)

    def whereabouts(self, vms: Mapping[str, str]) -> Whereabouts:
        self.looks += 1
        raise VCenterBusyError("vCenter is away")


def test_a_vcenter_that_is_away_keeps_no_job_waiting_for_room() -> None:
    away = Away()
    watch = Watch({}, 0.1)
    told = [list(watch.look(cast(VCenterApi, away), {"vm-1": "j"})) for _ in range(5)]
    assert told == [[], [], [], [], [Crowded({})]]


def test_it_looks_now_and_then_until_the_run_ends() -> None:
    away = Away()

    def tell(event: Moved | Crowded) -> None:
        away.answered.set()

    with watching(Watch({}, 0.1), cast(VCenterApi, away), lambda: {"vm-1": "j"}, tell, period=0.01):
        until(away.answered.is_set, 5.0)
    assert away.looks >= 5
    assert "whereabouts" not in {thread.name for thread in threading.enumerate()}
