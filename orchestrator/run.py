"""A run over one datacenter: what is there, what is to be done, and then the doing."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from converters.outputs.base import Output
from orchestrator.board import Board
from orchestrator.cluster import Cluster, ClusterSettings, connect
from orchestrator.errors import PrivilegeError
from orchestrator.fleet.admission import Budgets
from orchestrator.fleet.identity import key_name, settings_fingerprint
from orchestrator.fleet.machine import Fleet, Interrupted, Terminated
from orchestrator.fleet.plan import PlannedVm, affinity_groups, candidate, placement
from orchestrator.fleet.select import Selection
from orchestrator.fleet.states import Mode, Rules
from orchestrator.fleet.view import RunPhase, RunView
from orchestrator.gate import Gate
from orchestrator.interrupts import exit_now, listening
from orchestrator.job import Control, JobSettings, VmJob
from orchestrator.ledger import Ledger, RunLedger
from orchestrator.loop import Event, Loop, OnImage, Patience
from orchestrator.preflight.checks import Check
from orchestrator.preflight.order import probe_order
from orchestrator.stages import Stages
from orchestrator.survey import Survey, Wanted, survey
from orchestrator.sweep import Sweep, Swept, begin, forget
from orchestrator.vsphere.api import VCenterApi
from orchestrator.vsphere.values import CheckResult, Grade, Inventory, VirtualMachine
from orchestrator.whereabouts import AT_A_TIME, Watch, watching

OpenOutput = Callable[[str], AbstractContextManager[Output]]


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What was asked for."""

    datacenter: str
    registry: str
    """``host[:port]/path``."""
    selection: Selection = field(default_factory=Selection)
    refresh: bool = False
    """Convert also what is done and unchanged."""
    budgets: Budgets = field(default_factory=Budgets)
    rules: Rules = field(default_factory=Rules)
    job: JobSettings = field(default_factory=JobSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    patience: Patience = field(default_factory=Patience)
    largest_data_disk: int | None = None
    """Bytes of the largest data disk that is downloaded; None: all are."""
    datastore_free: float = 0.1
    """Part of a datastore that must be free while snapshots are open on it."""
    skip_check: frozenset[Check] = frozenset()
    """Tests of workers that are left out."""

    @property
    def settings(self) -> str:
        """Fingerprint of what shapes an image."""
        reading = self.job.reading
        limits = () if self.largest_data_disk is None else (self.largest_data_disk,)
        return settings_fingerprint(
            self.registry, self.job.tags, reading.root, reading.keep, reading.clean, *limits
        )


class Run:
    """One run over one datacenter. ``view`` may be called from any thread, at any time."""

    def __init__(
        self,
        config: RunConfig,
        vcenter: VCenterApi,
        ledger: Ledger,
        open_output: OpenOutput,
        *,
        stages: Stages | None = None,
        on_image: OnImage = lambda planned, converted, published: None,
        leave: Callable[[str], None] = exit_now,
    ) -> None:
        """Prepare; nothing is read or changed yet.

        Args:
            open_output: opens a repository with this process's credentials, to publish.
            on_image: called in the run's thread for each image that was published.
            leave: called when cleaning up takes longer than its grace, with what to say; ends the process.
        """
        self._config = config
        self._vcenter = vcenter
        self._ledger = ledger
        self._open_output = open_output
        self._stages = stages or Stages()
        self._on_image = on_image
        self._leave = leave
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._stopping = False
        """Whether somebody has asked to stop; the loop hears of it by an event."""
        self._board = Board(ledger.id, config.datacenter)
        self.view: Callable[[], RunView] = self._board.view

    def plan(self) -> RunView:
        """Show what ``execute`` would do; changes nothing. Raises ``OrchestratorError``."""
        identity = self._vcenter.about().instance_uuid
        inventory = self._vcenter.inventory(self._config.datacenter)
        surveyed = self._survey(inventory, identity)
        for lacking in self._lacking(surveyed, inventory):
            self._board.note(f"{lacking.name}: {lacking.detail} → {lacking.remedy}")
        return self.view()

    def execute(self) -> RunView:
        """Do it, to the end or until it is interrupted; what became of each VM is in the view.

        Raises ``OrchestratorError`` when it cannot begin: wrong datacenter, nothing selected, a privilege
        missing, another run at work, no cluster, workers that cannot do it. Nothing is left behind then.
        """
        with listening(self._interrupted):
            identity = self._vcenter.about().instance_uuid
            inventory = self._vcenter.inventory(self._config.datacenter)
            run = self._ledger.begin_run(identity, inventory.datacenter_path)
            outcome = "failed"
            try:
                self._tell_beside(run, identity)
                with self._sweep(inventory, run) as sweeping:
                    self._tell_swept(sweeping.wait(self._config.patience.sweep, lambda: self._stopping))
                    surveyed = self._survey(inventory, identity)
                    self._require_privileges(surveyed, inventory)
                    self._board.enlist(run, self._config.settings)
                    converting = [one for one in surveyed.planned if one.converts]
                    outcome = self._convert(run, inventory, converting, sweeping)
                    if outcome == "done":
                        self._end_sweep(sweeping, inventory, run)
            finally:
                self._board.end(outcome)
                run.end(outcome)
        return self.view()

    def _tell_beside(self, run: RunLedger, identity: str) -> None:
        """Budgets are each run's own: who looks after a vCenter should know of all that are at work there."""
        for other in run.beside:
            if other.vcenter == identity:
                self._board.note(
                    f"a run on {other.host} (process {other.pid}) is at work on {other.datacenter} of this "
                    "vCenter; each keeps within budgets of its own"
                )

    def _interrupted(self, event: Interrupted | Terminated) -> None:
        """In a signal handler."""
        self._stopping = True
        self._events.put(event)

    def _sweep(self, inventory: Inventory, run: RunLedger) -> Sweep:
        """Begin to remove what earlier runs left."""
        patience = self._config.patience.sweep
        return begin(self._vcenter, self._ledger, inventory.datacenter_path, run.id, patience)

    def _tell_swept(self, swept: Swept, before: int = 0) -> None:
        """Show what a sweep has come to, ``before`` being what an earlier one removed."""
        self._board.swept = before + len(swept.removed)
        for snapshot in swept.going_on:
            self._board.note(
                f"the removal of an earlier run's snapshot of {snapshot.vm_name or snapshot.vm} takes long: "
                "it goes on beside this run"
            )

    def _end_sweep(self, sweeping: Sweep, inventory: Inventory, run: RunLedger) -> None:
        """Wait for removals that last, and try what failed at first a second time.

        What was in the way, such as a dead run's lease, may have ended meanwhile, and what a dead run asked
        for last may have been made only after the first sweep.
        """
        swept = sweeping.wait(stopping=lambda: self._stopping)
        self._tell_swept(swept)
        if (swept.failed or swept.unseen) and not self._stopping:
            before = len(swept.removed)
            with self._sweep(inventory, run) as again:
                swept = again.wait(stopping=lambda: self._stopping)
            self._tell_swept(swept, before)
            forget(self._ledger, swept.unseen)
        self._board.stays = len(swept.failed)
        for snapshot, why in swept.failed:
            self._board.note(
                f"a snapshot of an earlier run stays on {snapshot.vm_name or snapshot.vm}: {why}"
            )

    def _survey(self, inventory: Inventory, identity: str) -> Survey:
        config = self._config
        largest = config.largest_data_disk
        wanted = Wanted(config.registry, config.selection, config.settings, config.refresh, largest)
        surveyed = survey(self._vcenter, inventory, identity, self._ledger, wanted)
        self._board.plan(surveyed.planned)
        for note in surveyed.notes:
            self._board.note(note)
        return surveyed

    def _lacking(self, surveyed: Survey, inventory: Inventory) -> tuple[CheckResult, ...]:
        """Privileges that are missing on VMs to be converted, and on what is around them."""
        vms = [one.vm for one in surveyed.planned if one.converts]
        held = self._vcenter.privileges(vms, inventory.datastores)
        return tuple(result for result in held if not result.ok)

    def _require_privileges(self, surveyed: Survey, inventory: Inventory) -> None:
        """Who may make a snapshot and not remove it must not make any."""
        lacking = [one for one in self._lacking(surveyed, inventory) if one.grade is Grade.BLOCKING]
        if lacking:
            raise PrivilegeError(
                "; ".join(f"{result.name}: {result.detail}" for result in lacking),
                "; ".join(result.remedy for result in lacking) + "; or leave those VMs out with --exclude",
            )

    @contextmanager
    def _cluster(self, control: Control, vms: Mapping[str, VirtualMachine]) -> Iterator[Cluster]:
        """A cluster whose workers are tested before they get a VM; ``vms`` by job."""
        config = self._config
        if Check.WORKERS in config.skip_check:
            with connect(config.cluster, control, self._events.put) as cluster:
                yield cluster
            return
        order = probe_order(
            config.registry,
            sorted({vm.host.name for vm in vms.values() if vm.host is not None}),
            config.job.access,
            config.cluster.scratch,
            config.job.reading.engines,
            skip=config.skip_check,
            thorough=False,
        )
        gate = Gate(order, vms, self._events.put)
        with (
            connect(config.cluster, control, gate.heard) as cluster,
            gate.open(cluster, lambda: self._stopping),
        ):
            yield cluster

    def _convert(
        self, run: RunLedger, inventory: Inventory, planned: Iterable[PlannedVm], sweeping: Sweep
    ) -> str:
        """Convert the VMs, beside a sweep; gives the run's outcome."""
        config = self._config
        groups = affinity_groups(inventory)
        jobs = {
            one.job: VmJob(
                planned=one,
                datacenter=inventory.datacenter_path,
                settings=config.job,
                stages=self._stages,
                name=key_name(one.vm.name),
            )
            for one in planned
        }
        fleet = Fleet((candidate(job.planned, groups) for job in jobs.values()), config.budgets, config.rules)
        if fleet.ended:
            return "done"
        sweeping.tell(self._events.put)  # first of all: workers that join make it admit
        control = Control(self._vcenter, self._ledger.id, run, config.job, self._open_output)
        vms = {job: one.planned.vm for job, one in jobs.items()}
        watch = Watch({job: placement(vm) for job, vm in vms.items()}, config.datastore_free)

        def foremost() -> dict[str, str]:
            return {vms[job].moref: job for job in fleet.foremost(AT_A_TIME)}

        self._board.phase = RunPhase.TESTING
        with (
            self._cluster(control, vms) as cluster,
            watching(watch, self._vcenter, foremost, self._events.put, config.patience.look),
        ):
            self._board.phase = RunPhase.RUNNING
            Loop(
                fleet=fleet,
                jobs=jobs,
                cluster=cluster,
                vcenter=self._vcenter,
                ledger=run,
                board=self._board,
                events=self._events,
                patience=config.patience,
                on_image=self._on_image,
                leave=self._leave,
            ).run()
        return "done" if fleet.mode is Mode.RUN else "interrupted"
