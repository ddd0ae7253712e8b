"""A vCenter as a source: inventory and privileges before a run, snapshots and leases during it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from orchestrator.fleet.assess import Verdict
from orchestrator.fleet.machine import Fleet
from orchestrator.fleet.plan import placement
from orchestrator.in_place import InPlaceExporter
from orchestrator.job import Control
from orchestrator.sources.base import Access, Errand, Stock
from orchestrator.survey import verdicts
from orchestrator.sweep import Sweep, Swept, begin, forget
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.values import CheckResult, Inventory, VirtualMachine
from orchestrator.whereabouts import AT_A_TIME, Watch, watching


class VSphereSource:
    """The machines of one datacenter."""

    def __init__(self, vcenter: VCenterApi, datacenter: str, in_place: InPlaceExporter | None = None) -> None:
        """``datacenter`` is a name, or a path where a name repeats; ``in_place`` as for ``Control``."""
        self._in_place = in_place
        self._vcenter = vcenter
        self._datacenter = datacenter

    def stock(self) -> Stock:
        """The datacenter's inventory, without disks."""
        identity = self._vcenter.about().instance_uuid
        return Stock(identity, self._vcenter.inventory(self._datacenter))

    def verdicts(self, vms: Iterable[VirtualMachine]) -> tuple[Verdict, ...]:
        """See ``Source``."""
        return verdicts(self._vcenter, vms)

    def lacking(self, vms: Iterable[VirtualMachine], inventory: Inventory) -> tuple[CheckResult, ...]:
        """Privileges that are missing on these VMs, and on what is around them."""
        held = self._vcenter.privileges(tuple(vms), inventory.datastores)
        return tuple(result for result in held if not result.ok)

    @contextmanager
    def access(self, errand: Errand, stock: Stock) -> Iterator[Access]:
        """Snapshots and leases; what earlier runs left is removed beside the run."""
        self._tell_beside(errand, stock.identity)
        with _sweep(self._vcenter, errand, stock.inventory) as sweeping:
            _tell_swept(errand, sweeping.wait(errand.patience.sweep, errand.stopping))
            control = Control(
                self._vcenter, errand.ledger.id, errand.run, errand.job, errand.open_output, self._in_place
            )
            yield _VSphereAccess(self._vcenter, control, errand, stock.inventory, sweeping)

    @staticmethod
    def _tell_beside(errand: Errand, identity: str) -> None:
        """Budgets are each run's own: who looks after a vCenter should know of all that are at work there."""
        for other in errand.run.beside:
            if other.vcenter == identity:
                errand.board.note(
                    f"a run on {other.host} (process {other.pid}) is at work on {other.datacenter} of this "
                    "vCenter; each keeps within budgets of its own"
                )


class _VSphereAccess:
    """A vCenter while a run is at work there."""

    def __init__(
        self,
        vcenter: VCenterApi,
        control: Control,
        errand: Errand,
        inventory: Inventory,
        sweeping: Sweep,
    ) -> None:
        self.keeper = vcenter
        self.control = control
        self._vcenter = vcenter
        self._errand = errand
        self._inventory = inventory
        self._sweeping = sweeping

    @contextmanager
    def attending(self, fleet: Fleet, vms: Mapping[str, VirtualMachine]) -> Iterator[None]:
        """Tell where VMs are, what room there is, and what earlier runs' snapshots take of the budgets."""
        errand = self._errand
        self._sweeping.tell(errand.tell)  # first of all: workers that join make the fleet admit
        watch = Watch({job: placement(vm) for job, vm in vms.items()}, errand.datastore_free)

        def foremost() -> dict[str, str]:
            return {vms[job].moref: job for job in fleet.foremost(AT_A_TIME)}

        with watching(watch, self._vcenter, foremost, errand.tell, errand.patience.look):
            yield

    def settle(self) -> None:
        """Wait for removals that last, and try what failed at first a second time.

        What was in the way, such as a dead run's lease, may have ended meanwhile, and what a dead run asked
        for last may have been made only after the first sweep.
        """
        errand = self._errand
        swept = self._sweeping.wait(stopping=errand.stopping)
        _tell_swept(errand, swept)
        if (swept.failed or swept.unseen) and not errand.stopping():
            before = len(swept.removed)
            with _sweep(self._vcenter, errand, self._inventory) as again:
                swept = again.wait(stopping=errand.stopping)
            _tell_swept(errand, swept, before)
            forget(errand.ledger, swept.unseen)
        errand.board.stays = len(swept.failed)
        for snapshot, why in swept.failed:
            errand.board.note(
                f"a snapshot of an earlier run stays on {snapshot.vm_name or snapshot.vm}: {why}"
            )


def _sweep(vcenter: VCenterApi, errand: Errand, inventory: Inventory) -> Sweep:
    """Begin to remove what earlier runs left."""
    return begin(vcenter, errand.ledger, inventory.datacenter_path, errand.run.id, errand.patience.sweep)


def _tell_swept(errand: Errand, swept: Swept, before: int = 0) -> None:
    """Show what a sweep has come to, ``before`` being what an earlier one removed."""
    errand.board.swept = before + len(swept.removed)
    for snapshot in swept.going_on:
        errand.board.note(
            f"the removal of an earlier run's snapshot of {snapshot.vm_name or snapshot.vm} takes long: "
            "it goes on beside this run"
        )
