"""A run over one datacenter, or one folder: what is there, what is to be done, and then the doing."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from converters.grouping import Grouping
from orchestrator.board import Board
from orchestrator.cluster import Cluster, ClusterSettings, connect
from orchestrator.errors import PrivilegeError
from orchestrator.fleet.admission import Budgets
from orchestrator.fleet.identity import key_name, settings_fingerprint
from orchestrator.fleet.machine import Fleet, Interrupted, Terminated
from orchestrator.fleet.plan import PlannedVm, affinity_groups, candidate
from orchestrator.fleet.select import Selection
from orchestrator.fleet.states import Mode, Rules
from orchestrator.fleet.view import RunPhase, RunView
from orchestrator.gate import Gate
from orchestrator.interrupts import SWEEP_HINT, exit_now, listening
from orchestrator.job import JobSettings, VmJob
from orchestrator.ledger import Ledger, RunLedger
from orchestrator.loop import Loop
from orchestrator.preflight.checks import Check
from orchestrator.preflight.order import probe_order, sample
from orchestrator.sources.base import Access, Errand, OpenOutput, Source, Stock
from orchestrator.stages import Stages
from orchestrator.survey import Survey, Wanted, survey
from orchestrator.terms import Event, OnImage, OnPlan, Patience, Verify
from orchestrator.vsphere.values import CheckResult, Grade


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
    left_behind: str = SWEEP_HINT
    """What a person is told when the process ends without cleaning up."""

    @property
    def settings(self) -> str:
        """Fingerprint of what shapes an image."""
        reading = self.job.reading
        limits: tuple[object, ...] = () if self.largest_data_disk is None else (self.largest_data_disk,)
        if self.job.grouping is not Grouping.SERVICE:  # as before there was a choice
            limits += (self.job.grouping.value,)
        return settings_fingerprint(
            self.registry, self.job.tags, reading.root, reading.keep, reading.clean, *limits
        )


class Run:
    """One run over one source of machines. ``view`` may be called from any thread, at any time."""

    def __init__(
        self,
        config: RunConfig,
        source: Source,
        ledger: Ledger,
        open_output: OpenOutput,
        *,
        stages: Stages | None = None,
        on_image: OnImage = lambda planned, converted, published: None,
        on_plan: OnPlan = lambda planned, proposal: None,
        verify: Verify | None = None,
        verify_at_once: int = 1,
        leave: Callable[[str], None] = exit_now,
    ) -> None:
        """Prepare; nothing is read or changed yet.

        Args:
            open_output: opens a repository with this process's credentials, to publish.
            on_image: called in the run's thread for each image that was published.
            on_plan: the same for each machine that was only looked at.
            verify: starts a machine's containers, in threads of which there are ``verify_at_once``.
            leave: called when cleaning up takes longer than its grace, with what to say; ends the process.
        """
        self._config = config
        self._source = source
        self._ledger = ledger
        self._open_output = open_output
        self._stages = stages or Stages()
        self._on_image = on_image
        self._on_plan = on_plan
        self._verify = verify
        self._verify_at_once = verify_at_once
        self._leave = leave
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._stopping = False
        """Whether somebody has asked to stop; the loop hears of it by an event."""
        self._board = Board(ledger.id, config.datacenter, config.job.plan_only)
        self.view: Callable[[], RunView] = self._board.view

    def plan(self) -> RunView:
        """Show what ``execute`` would do; changes nothing. Raises ``OrchestratorError``."""
        stock = self._source.stock()
        surveyed = self._survey(stock)
        for lacking in self._lacking(surveyed, stock):
            self._board.note(f"{lacking.name}: {lacking.detail} → {lacking.remedy}")
        return self.view()

    def execute(self) -> RunView:
        """Do it, to the end or until it is interrupted; what became of each VM is in the view.

        Raises ``OrchestratorError`` when it cannot begin: wrong datacenter, nothing selected, a privilege
        missing, another run at work, no cluster, workers that cannot do it. Nothing is left behind then.
        """
        with listening(self._interrupted, self._config.left_behind):
            stock = self._source.stock()
            run = self._ledger.begin_run(stock.identity, stock.inventory.datacenter_path)
            outcome = "failed"
            try:
                with self._source.access(self._errand(run), stock) as access:
                    surveyed = self._survey(stock)
                    self._require_privileges(surveyed, stock)
                    self._board.enlist(run)
                    converting = [one for one in surveyed.planned if one.converts]
                    outcome = self._convert(run, stock, converting, access)
                    if outcome == "done":
                        access.settle()
            finally:
                self._board.end(outcome)
                run.end(outcome)
        return self.view()

    def _interrupted(self, event: Interrupted | Terminated) -> None:
        """In a signal handler."""
        self._stopping = True
        self._events.put(event)

    def _errand(self, run: RunLedger) -> Errand:
        """This run, as far as its source has to do with it."""
        config = self._config
        return Errand(
            run=run,
            ledger=self._ledger,
            board=self._board,
            job=config.job,
            patience=config.patience,
            datastore_free=config.datastore_free,
            open_output=self._open_output,
            tell=self._events.put,
            stopping=lambda: self._stopping,
        )

    def _survey(self, stock: Stock) -> Survey:
        config = self._config
        largest = config.largest_data_disk
        refresh, plans = config.refresh or config.job.plan_only, config.job.plans
        wanted = Wanted(config.registry, config.selection, config.settings, refresh, largest, plans)
        surveyed = survey(self._source.verdicts, stock.inventory, stock.identity, self._ledger, wanted)
        self._board.plan(surveyed.planned)
        for note in (*stock.notes, *surveyed.notes):
            self._board.note(note)
        return surveyed

    def _lacking(self, surveyed: Survey, stock: Stock) -> tuple[CheckResult, ...]:
        """What the account may not do that converting these machines takes."""
        return self._source.lacking((one.vm for one in surveyed.planned if one.converts), stock.inventory)

    def _require_privileges(self, surveyed: Survey, stock: Stock) -> None:
        """Who may make a snapshot and not remove it must not make any."""
        lacking = [one for one in self._lacking(surveyed, stock) if one.grade is Grade.BLOCKING]
        if lacking:
            raise PrivilegeError(
                "; ".join(f"{result.name}: {result.detail}" for result in lacking),
                "; ".join(result.remedy for result in lacking) + "; or leave those VMs out with --exclude",
            )

    @contextmanager
    def _cluster(self, control: object, planned: Mapping[str, PlannedVm]) -> Iterator[Cluster]:
        """A cluster whose workers are tested before they get a VM; ``planned`` by job."""
        vms = {job: one.vm for job, one in planned.items()}
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
            files=sample(one.files for one in planned.values() if one.files is not None),
        )
        gate = Gate(order, vms, self._events.put)
        with (
            connect(config.cluster, control, gate.heard) as cluster,
            gate.open(cluster, lambda: self._stopping),
        ):
            yield cluster

    def _convert(self, run: RunLedger, stock: Stock, planned: Iterable[PlannedVm], access: Access) -> str:
        """Convert the VMs; gives the run's outcome."""
        config = self._config
        groups = affinity_groups(stock.inventory)
        jobs = {
            one.job: VmJob(
                planned=one,
                datacenter=stock.inventory.datacenter_path,
                settings=config.job,
                stages=self._stages,
                name=key_name(one.vm.name),
            )
            for one in planned
        }
        fleet = Fleet((candidate(job.planned, groups) for job in jobs.values()), config.budgets, config.rules)
        if fleet.ended:
            return "done"
        self._board.phase = RunPhase.TESTING
        with (
            access.attending(fleet, {job: one.planned.vm for job, one in jobs.items()}),
            self._cluster(access.control, {job: one.planned for job, one in jobs.items()}) as cluster,
        ):
            self._board.phase = RunPhase.RUNNING
            Loop(
                fleet=fleet,
                jobs=jobs,
                cluster=cluster,
                keeper=access.keeper,
                ledger=run,
                board=self._board,
                events=self._events,
                patience=config.patience,
                on_image=self._on_image,
                on_plan=self._on_plan,
                verify=self._verify,
                verify_at_once=self._verify_at_once,
                leave=lambda: self._leave(config.left_behind),
            ).run()
        return "done" if fleet.mode is Mode.RUN else "interrupted"
