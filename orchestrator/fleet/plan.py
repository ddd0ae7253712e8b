"""What a run will do, before it does anything: which VMs convert, are done, or are skipped, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from orchestrator.fleet.admission import Candidate
from orchestrator.fleet.assess import Verdict
from orchestrator.fleet.files import MachineFiles
from orchestrator.fleet.identity import fingerprint
from orchestrator.fleet.remarks import left_out, remarks
from orchestrator.fleet.states import JobState, Route
from orchestrator.fleet.view import ImageView, JobView
from orchestrator.vsphere.values import DiskDevice, Inventory, Placement, VirtualMachine


@dataclass(frozen=True, slots=True)
class DoneImage:
    """An image that an earlier run published."""

    image: ImageView
    fingerprint: str
    settings: str


@dataclass(frozen=True, slots=True)
class PlannedVm:
    """One VM, and what is to be done about it."""

    job: str
    vm: VirtualMachine
    repository: str
    fingerprint: str
    state: JobState
    """``QUEUED``: it is converted; ``DONE``: it was, and is unchanged; ``SKIPPED``: ``reason`` says why.

    Of a queued one ``reason`` holds remarks.
    """
    reason: str = ""
    remedy: str = ""
    image: ImageView | None = None
    left_out: tuple[DiskDevice, ...] = ()
    """Its disks that are not downloaded."""
    files: MachineFiles | None = None
    """Where its disks are files; None: vCenter exports them."""
    settings: str = ""
    """Fingerprint of the settings that shape its image."""

    @property
    def converts(self) -> bool:
        """Whether this run converts it."""
        return self.state is JobState.QUEUED

    def placed(self, placement: Placement) -> PlannedVm:
        """The same, of a VM that is there now; under the name it has in the run."""
        vm = replace(self.vm, host=placement.host, datastores=placement.datastores)
        return replace(self, vm=vm)

    def renaming(self, placement: Placement) -> str:
        """What a person should know of a VM that has another name by now; empty when it has not."""
        if placement.name == self.vm.name:
            return ""
        return f"it is called {placement.name!r} by now; its image stays at {self.repository}"

    def view(self, now: float) -> JobView:
        """As the run shows it at its beginning."""
        vm = self.vm
        return JobView(
            job=self.job,
            vm=vm.name,
            moref=vm.moref,
            folder=vm.folder,
            host=vm.host.name if vm.host else "",
            datastores=vm.datastores,
            state=self.state,
            queued=now if self.converts else None,
            capacity_bytes=sum(disk.capacity for disk in vm.disks),
            used_bytes=vm.used_bytes,
            reason=self.reason,
            remedy=self.remedy,
            image=self.image,
        )


def plan_vm(
    verdict: Verdict,
    job: str,
    repository: str,
    settings: str,
    last: Callable[[str], DoneImage | None],
    refresh: bool,
    largest: int | None = None,
) -> PlannedVm:
    """What is to be done about an assessed VM.

    Args:
        settings: fingerprint of the settings that shape an image.
        last: the image published last for a job.
        refresh: convert also what is done and unchanged.
        largest: bytes of the largest data disk that is downloaded; None: all are.
    """
    vm, mark = verdict.vm, fingerprint(verdict.vm)
    if not verdict.converts:
        return PlannedVm(
            job, vm, repository, mark, JobState.SKIPPED, reason=verdict.reason, remedy=verdict.remedy
        )
    done = None if refresh else last(job)
    if done is None or (done.fingerprint, done.settings) != (mark, settings):
        absent = left_out(vm.disks, largest)
        said = "; ".join((*remarks(vm, absent), *verdict.remarks))
        return PlannedVm(
            job,
            vm,
            repository,
            mark,
            JobState.QUEUED,
            reason=said,
            left_out=absent,
            files=verdict.files,
            settings=settings,
        )
    told = "vCenter tells" if verdict.files is None else "sizes and times of its files tell"
    return PlannedVm(
        job,
        vm,
        repository,
        mark,
        JobState.DONE,
        reason=f"converted by an earlier run, and unchanged as far as {told}",
        remedy="--refresh converts it again",
        image=done.image,
    )


def candidate(planned: PlannedVm, groups: Mapping[str, frozenset[str]]) -> Candidate:
    """What admission needs to know of a VM; ``groups`` by moref."""
    vm = planned.vm
    return Candidate(
        job=planned.job,
        host=vm.host.name if vm.host else "",
        disks=len(vm.disks) - len(planned.left_out) if planned.files is None else 0,
        datastores=vm.datastores,
        size=vm.used_bytes,
        groups=groups.get(vm.moref, frozenset()),
        route=Route.EXPORT if planned.files is None else Route.FILES,
    )


def placement(vm: VirtualMachine) -> Placement:
    """Where the inventory found the VM."""
    return Placement(vm.moref, vm.name, vm.host, vm.datastores)


def affinity_groups(inventory: Inventory) -> dict[str, frozenset[str]]:
    """The anti-affinity groups of each VM, by moref."""
    groups: dict[str, set[str]] = {}
    for number, members in enumerate(inventory.anti_affinity):
        for moref in members:
            groups.setdefault(moref, set()).add(str(number))
    return {moref: frozenset(found) for moref, found in groups.items()}
