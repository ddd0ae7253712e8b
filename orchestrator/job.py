"""One VM from snapshot to release: what each stage is given, and what it leaves for the next.

``Control`` is what runs beside the vCenter session; ``orchestrator.stages`` what runs on workers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, assert_never

from converters.grouping import Grouping
from converters.guest.kernel.values import TargetKernel
from converters.hardening import STANDARD, Hardening
from converters.image.config import vm_labels
from converters.outputs.base import Output
from converters.outputs.client import RegistryAccess
from converters.pipeline import publish
from converters.plan import MachineFacts
from converters.reading import Reading
from converters.request import Converted, Proposal, Request, Target
from converters.running.document import read_running_facts
from orchestrator.cluster import Cluster
from orchestrator.download import Downloaded, DownloadOrder, Trust
from orchestrator.errors import OrchestratorError, UnreadableError, WorkerLostError
from orchestrator.files import FilesOrder
from orchestrator.fleet.plan import PlannedVm
from orchestrator.fleet.states import Stage
from orchestrator.in_place import InPlace, InPlaceExporter
from orchestrator.ledger import RunLedger
from orchestrator.plans import NO_PLANS, Plans
from orchestrator.resident import TaskKey, lasting
from orchestrator.stages import ConvertOrder, Stages
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.values import Lease, QuiescePolicy, Removal, SnapshotRef, VirtualMachine

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JobSettings:
    """What is the same for every VM of a run."""

    tags: tuple[str, ...] = ("latest",)
    quiesce: QuiescePolicy = QuiescePolicy.PREFER
    reading: Reading = field(default_factory=Reading)
    hardening: Hardening = STANDARD
    grouping: Grouping = Grouping.SERVICE
    target_kernel: TargetKernel | None = None
    """Of the hosts that will run the containers; None: that of the worker that converts."""
    access: RegistryAccess = field(default_factory=RegistryAccess)
    """How workers reach the registry, without credentials."""
    trust: Trust = field(default_factory=Trust)
    idle_seconds: float = 300.0
    """Without a byte, until a download counts as dead."""
    facts: Path | None = None
    """Folder with what was seen of machines while they ran."""
    plans: Plans = NO_PLANS
    plan_only: bool = False
    """Whether machines are only looked at, for their plans."""
    snapshot_seconds: float = 36 * 3600.0
    """The longest a snapshot is wanted; its description says until when that is."""


@dataclass(frozen=True, slots=True)
class PublishOrder:
    """An image to publish, or a plan to hand out, if it is the attempt that counts."""

    job: str
    attempt: int
    converted: Converted | Proposal
    in_place: InPlace | None = None
    """What the disks were read from, if that was no copy."""


@dataclass(frozen=True, slots=True)
class ReleaseOrder:
    """What vCenter holds for a job, as far as is known."""

    vm: str
    """Moref."""
    job: str
    datacenter: str
    snapshot: SnapshotRef | None
    """None: the call that should have made it failed, and may have made it all the same."""
    lease: Lease | None
    downloaded: bool
    """Whether the lease has served its purpose."""
    in_place: InPlace | None = None
    """What the disks are read from, if that is no copy."""


@dataclass(frozen=True, slots=True)
class Published:
    """An image that others can see now."""

    reference: str
    digest: str


class Publisher:
    """The stage that needs the ledger and the right to publish; its method is called by name."""

    def __init__(self, run: RunLedger, open_output: Callable[[str], AbstractContextManager[Output]]) -> None:
        """``open_output`` opens a repository with this process's credentials."""
        self._run = run
        self._open_output = open_output

    def publish(self, order: PublishOrder) -> Published | Proposal:
        """Make the image visible; refused when the ledger has another attempt or run in its place.

        A plan is given back as it is.
        """
        if not self._run.may_publish(order.job, order.attempt):
            raise WorkerLostError(
                f"attempt {order.attempt} of job {order.job} is not the ledger's any more: not published",
                "another run took over; see `orchestrate status`",
            )
        if isinstance(order.converted, Proposal):
            return order.converted
        with self._open_output(order.converted.target.repository) as output:
            descriptor = publish(order.converted, output)
            return Published(output.reference(descriptor.digest), descriptor.digest)


class Control(Publisher):
    """The stages that need vCenter, the ledger or the right to publish; its methods are called by name."""

    def __init__(
        self,
        vcenter: VCenterApi,
        ledger: str,
        run: RunLedger,
        settings: JobSettings,
        open_output: Callable[[str], AbstractContextManager[Output]],
        in_place: InPlaceExporter | None = None,
    ) -> None:
        """``ledger`` is its id; ``open_output`` opens a repository with this process's credentials.

        ``in_place`` lets disks be read where they are; without it, and where it cannot, leases are exported.
        """
        super().__init__(run, open_output)
        self._in_place = in_place
        self._vcenter = vcenter
        self._ledger = ledger
        self._settings = settings
        self._uncertain: set[str] = set()
        """Jobs whose snapshot may still be made, although nothing was heard of it."""

    def snapshot(self, vm: str, job: str) -> SnapshotRef:
        """The job's snapshot on the VM with that moref; the ledger has it before vCenter hears of it."""
        marker = self._marker(job)
        self._run.snapshot_intended(job, vm, marker.name)
        try:
            return self._vcenter.create_snapshot(vm, marker, self._settings.quiesce)
        except OrchestratorError as error:
            if error.uncertain:
                self._uncertain.add(job)
            raise

    def export(self, snapshot: SnapshotRef) -> Lease | InPlace:
        """The right to read the snapshot's disks."""
        if self._in_place is None:
            return self._vcenter.open_lease(snapshot)
        try:
            return self._in_place.begin(snapshot)
        except UnreadableError as error:
            why = f"{self._in_place.transport}: {error.message}"
        log.warning("%s is exported by a lease: %s", snapshot.vm_name or snapshot.vm, why)
        return replace(self._vcenter.open_lease(snapshot), instead=why)

    def publish(self, order: PublishOrder) -> Published | Proposal:
        """As any publisher; refused when what was read in place was not what the snapshot held."""
        if order.in_place is not None and self._in_place is not None:
            self._in_place.verify(order.in_place)
        return super().publish(order)

    @lasting
    def release(self, order: ReleaseOrder) -> Removal:
        """End the export and remove the snapshot, whatever state they are in."""
        if order.in_place is not None and self._in_place is not None:
            self._in_place.end(order.in_place)
        ended = "" if order.lease is None else self._end_lease(order.lease, order.downloaded)
        removal = self._remove(order)
        return replace(removal, note="; ".join(filter(None, (ended, removal.note))))

    def _remove(self, order: ReleaseOrder) -> Removal:
        if order.snapshot is not None:
            return self._vcenter.remove_snapshot(order.snapshot)
        marker = Marker(self._ledger, self._run.id, order.job, expires=0)
        removal = self._vcenter.withdraw_snapshot(
            order.vm,
            marker,
            order.job not in self._uncertain,
            found=lambda moref: self._run.snapshot_found(order.job, moref),
        )
        self._uncertain.discard(order.job)
        return removal

    def _marker(self, job: str) -> Marker:
        expires = self._vcenter.current_time() + self._settings.snapshot_seconds
        return Marker(ledger=self._ledger, run=self._run.id, job=job, expires=int(expires))

    def _end_lease(self, lease: Lease, downloaded: bool) -> str:
        """What a person should know of a download that broke off because its lease had ended."""
        try:
            if downloaded:
                self._vcenter.complete_lease(lease)
            elif ended := self._vcenter.abort_lease(lease, "the download ended early"):
                return f"its export lease had ended: {ended}"
        except OrchestratorError as error:  # it ends by its time-out; the snapshot must not wait for that
            log.warning("the lease %s could not be ended: %s", lease.moref, error)
        return ""


@dataclass(slots=True)
class VmJob:
    """What a job has in hand: what its stages gave, and so what the next ones are given."""

    planned: PlannedVm
    datacenter: str
    """Path."""
    settings: JobSettings
    stages: Stages
    name: str
    """As it stands in task keys."""
    snapshot: SnapshotRef | None = None
    lease: Lease | None = None
    in_place: InPlace | None = None
    downloaded: Downloaded | None = None
    converted: Converted | None = None
    proposal: Proposal | None = None

    def start(self, cluster: Cluster, stage: Stage, attempt: int, worker: str) -> None:
        """Submit a stage; ``attempt`` is the release's number for ``RELEASE``."""
        key = self.key(stage, attempt)
        match stage:
            case Stage.SNAPSHOT:
                self.snapshot = self.lease = self.in_place = self.downloaded = self.converted = None
                self.proposal = None
                cluster.submit_resident(key, "snapshot", self.planned.vm.moref, self.planned.job)
            case Stage.EXPORT:
                cluster.submit_resident(key, "export", self.snapshot)
            case Stage.DOWNLOAD if self.planned.files is not None:
                order = FilesOrder(self.planned.files, self.planned.vm.disks, self.planned.left_out)
                cluster.submit(key, worker, self.stages.files, order)
            case Stage.DOWNLOAD:
                cluster.submit(key, worker, self.stages.download, self._download_order())
            case Stage.CONVERT:
                cluster.submit(key, worker, self.stages.convert, self._convert_order())
            case Stage.PUBLISH:
                made = self.proposal or _have(self.converted)
                publishing = PublishOrder(self.planned.job, attempt, made, self.in_place)
                cluster.submit_resident(key, "publish", publishing)
            case Stage.RELEASE:
                cluster.submit_resident(key, "release", self._release_order())
            case _:
                assert_never(stage)

    def key(self, stage: Stage, attempt: int) -> TaskKey:
        """What the stage's task is called."""
        return TaskKey(self.name, self.planned.job, stage.value, attempt)

    def took(self, value: object) -> None:
        """A stage gave this."""
        match value:
            case SnapshotRef():
                self.snapshot = value
            case Lease():
                self.lease = value
            case InPlace():
                self.in_place = value
            case Downloaded():
                self.downloaded = value
            case Converted():
                self.converted = value
            case Proposal():
                self.proposal = value

    def _download_order(self) -> DownloadOrder:
        return DownloadOrder(
            _have(self.lease).disks,
            self.settings.trust,
            self.settings.idle_seconds,
            absent=self.planned.left_out,
        )

    def _convert_order(self) -> ConvertOrder:
        vm = self.planned.vm
        exported = (
            self.planned.files is None
        )  # else these are paths of this machine, which an image need not tell
        labels = vm_labels(
            name=vm.name,
            moref=vm.moref if exported else "",
            instance_uuid=vm.instance_uuid,
            datacenter=vm.datacenter if exported else "",
        )
        request = Request(
            disks=() if self.in_place is not None else _have(self.downloaded).disks,
            machine=machine_facts(vm),
            target=Target(self.planned.repository, self.settings.tags),
            labels=tuple(labels.items()),
            reading=self.settings.reading,
            hardening=self.settings.hardening,
            grouping=self.settings.grouping,
            target_kernel=self.settings.target_kernel,
            running=None if self.settings.facts is None else read_running_facts(self.settings.facts, vm.name),
            decisions=self.settings.plans.decisions(vm.name, vm.instance_uuid),
        )
        plan_only = self.settings.plan_only
        if self.in_place is not None:
            remote = self.in_place.beside(self.planned.left_out)
            return ConvertOrder(request, self.settings.access, remote=remote, plan_only=plan_only)
        files = _have(self.downloaded).files
        return ConvertOrder(request, self.settings.access, files, plan_only=plan_only)

    def _release_order(self) -> ReleaseOrder:
        return ReleaseOrder(
            vm=self.planned.vm.moref,
            job=self.planned.job,
            datacenter=self.datacenter,
            snapshot=self.snapshot,
            lease=self.lease,
            downloaded=self.downloaded is not None,
            in_place=self.in_place,
        )


def machine_facts(vm: VirtualMachine) -> MachineFacts:
    """What vSphere knows of a VM, in the converter's words: vSphere's MHz become cores of the VM's host."""
    mhz = vm.host.cpu_mhz if vm.host else 0
    return MachineFacts(
        name=vm.name,
        vcpus=vm.cpus,
        memory_mib=vm.memory_mib,
        cpu_limit=vm.cpu.limit / mhz if mhz and vm.cpu.limit is not None else None,
        cpu_reservation=vm.cpu.reservation / mhz if mhz else 0.0,
        memory_limit_mib=vm.memory.limit,
        memory_reservation_mib=vm.memory.reservation,
        cpu_shares_per_core=vm.cpu.shares // vm.cpus if vm.cpus else 0,
        restart_priority=vm.restart_priority.value,
        instance_uuid=vm.instance_uuid,
    )


def _have(value: T | None) -> T:
    if value is None:
        raise ValueError("a stage was started before the one that it builds on had ended")
    return value
