"""``orchestrate --datacenter X`` or ``--source FOLDER``: the main job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from converters.manifests.kinds import Manifest
from converters.outputs.registry import RegistryOutput
from converters.request import Converted, Proposal
from orchestrator import deployment_files, logs
from orchestrator.cluster import ClusterSettings
from orchestrator.download import Trust
from orchestrator.errors import ExitCode, UsageError
from orchestrator.fleet.admission import Budgets
from orchestrator.fleet.plan import PlannedVm
from orchestrator.fleet.select import Selection
from orchestrator.fleet.states import JobState, Rules
from orchestrator.fleet.view import RunView
from orchestrator.interrupts import SWEEP_HINT, exit_now
from orchestrator.job import JobSettings, Published
from orchestrator.plans import NEWER, read_plans, write_plan
from orchestrator.preflight.checks import Check
from orchestrator.probe import registry
from orchestrator.report import document, live, metrics, planned, text
from orchestrator.run import Run, RunConfig
from orchestrator.settings import LogFormat, Settings
from orchestrator.sources.base import Source
from orchestrator.sources.directory import DirectorySource
from orchestrator.sources.vsphere import VSphereSource
from orchestrator.terms import HEARTBEAT_SECONDS, Patience, Verify
from orchestrator.transports import exporter, needless_checks
from orchestrator.verify.verdict import Verification
from orchestrator.vsphere.client import VCenter
from orchestrator.wiring import (
    HOUR,
    data_disk_limit,
    hardening,
    lease_limits,
    open_ledger,
    publishing_access,
    reading,
    registry_access,
    registry_environment,
    registry_prefix,
    running_facts,
    snapshot_limits,
    target_kernel,
    vcenter_settings,
    verifier,
)

_FILES_HINT = "nothing of the source folder was changed; the next run does what is left"
FILE_WIDTH = 240
"""Columns of a table that goes to a file or a pipe."""


def run(settings: Settings) -> int:
    """Convert a datacenter's VMs, or with ``dry_run`` show what would be done; the exit status.

    Raises:
        OrchestratorError: it cannot begin; nothing was changed.
        OutputError: the registry refuses a push, or does not answer.
    """
    console = Console(stderr=True)
    logs.configure(settings.log_format is LogFormat.JSON, console)
    config = run_config(settings)
    with ExitStack() as stack:
        source = stack.enter_context(open_source(settings))
        ledger = stack.enter_context(open_ledger(settings))
        access = registry_access(settings)
        publishing = publishing_access(settings)
        writer = ManifestWriter(settings.output, settings.manifests)
        plan_writer = PlanWriter(settings.plans or settings.output / "plans")

        def leave(hint: str) -> None:
            """Cleaning up took too long: what became of each VM so far is told all the same."""
            with suppress(OSError):
                document.write(job.view(), settings.output)
            exit_now(hint)

        job = Run(
            config,
            source,
            ledger,
            lambda name: RegistryOutput(name, publishing),
            on_image=writer,
            on_plan=plan_writer,
            verify=fleet_verify(settings),
            verify_at_once=settings.verify_at_once,
            leave=leave,
        )
        if settings.dry_run:
            return show_plan(job.plan())
        if Check.REGISTRY not in config.skip_check:
            registry.write(registry.repository(config.registry), access)  # before the first snapshot
        stack.enter_context(_metrics(settings, job.view, console))
        with live.watch(job.view, console):
            view = job.execute()
    page = document.write(view, settings.output)
    tell(view, page, console)
    if settings.plan_only:
        for path in plan_writer.kept:
            click.echo(f"{path} differs and is kept; the new plan lies beside it")
        click.echo(f"plans: {plan_writer.folder}")
    return exit_code(view)


@contextmanager
def open_source(settings: Settings) -> Iterator[Source]:
    """Where the machines come from: a folder, or else vCenter.

    Raises:
        UsageError: neither is given.
    """
    match settings.source:
        case Path() as folder:
            yield DirectorySource(folder, settings.package_digests)
        case None if settings.datacenter:
            limits = snapshot_limits(settings), lease_limits(settings)
            with (
                VCenter(vcenter_settings(settings), *limits, settings.transport) as vcenter,
                exporter(settings, vcenter) as in_place,
            ):
                yield VSphereSource(vcenter, settings.datacenter, in_place)
        case _:
            raise UsageError(
                "no datacenter is given", "say which: --datacenter NAME or --source FOLDER; see --help"
            )


class ManifestWriter:
    """Writes the deployment files of each machine whose image is published, a folder for each kind."""

    def __init__(self, folder: Path, kinds: tuple[Manifest, ...]) -> None:
        self._folder = folder
        self._kinds = kinds

    def __call__(self, planned: PlannedVm, converted: Converted, published: Published) -> None:
        """See ``orchestrator.terms.OnImage``."""
        deployment_files.write(
            self._folder, self._kinds, converted, published.reference, apart=True, secrets=converted.secrets
        )
        deployment_files.write_difference(self._folder, converted, apart=True)


class PlanWriter:
    """Writes the plan of each machine that was looked at, into one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept: list[Path] = []
        """Plans that were there already and differ: the new one lies beside each."""

    def __call__(self, planned: PlannedVm, proposal: Proposal) -> None:
        """See ``orchestrator.terms.OnPlan``."""
        path = write_plan(self.folder, planned.repository.rpartition("/")[2], proposal.text)
        if path.suffix == NEWER:
            self.kept.append(path.with_suffix(""))


def fleet_verify(settings: Settings) -> Verify | None:
    """Who tries each machine's containers; None: nobody wants that."""
    verify = verifier(settings)
    if verify is None:
        return None

    def tried(planned: PlannedVm, converted: Converted, published: Published) -> Verification:
        running = running_facts(settings, planned.vm.name)
        name = planned.repository.rpartition("/")[2]
        home = settings.output / Manifest.COMPOSE
        return verify(name, converted, published.reference, home, running.answers if running else None)

    return tried


def run_config(settings: Settings) -> RunConfig:
    """What was asked for, as the run wants it.

    Raises:
        UsageError: a registry is needed and none is given.
    """
    ca_files = () if settings.ca_file is None else (str(settings.ca_file),)
    return RunConfig(
        datacenter=str(settings.source or settings.datacenter),
        registry=settings.registry if settings.dry_run or settings.plan_only else registry_prefix(settings),
        selection=Selection(settings.include, settings.exclude),
        refresh=settings.refresh,
        budgets=Budgets(
            host_disks=settings.disks_per_host,
            datastore_snapshots=settings.snapshots_per_datastore,
            jobs=settings.max_vms,
        ),
        rules=Rules(
            max_attempts=settings.attempts,
            put_off_limit=settings.put_off_hours * HOUR,
            release_limit=settings.removal_hours * HOUR,
        ),
        job=JobSettings(
            tags=(settings.tag,),
            quiesce=settings.quiesce,
            reading=reading(settings),
            hardening=hardening(settings),
            grouping=settings.grouping,
            target_kernel=target_kernel(settings),
            facts=settings.facts,
            plans=read_plans(settings),
            plan_only=settings.plan_only,
            access=replace(registry_access(settings), credentials=None),
            trust=Trust(ca_files, settings.insecure),
            idle_seconds=settings.stall_seconds,
            snapshot_seconds=3 * settings.lease_hours * HOUR,
        ),
        cluster=cluster_settings(settings),
        largest_data_disk=data_disk_limit(settings),
        datastore_free=snapshot_limits(settings).free_fraction,
        skip_check=frozenset(settings.skip_check)
        | needless_checks(settings.transport)
        | (frozenset({Check.REGISTRY}) if settings.plan_only else frozenset()),
        left_behind=SWEEP_HINT if settings.source is None else _FILES_HINT,
        patience=Patience(
            grace=settings.grace_seconds,
            heartbeat=min(HEARTBEAT_SECONDS, settings.worker_silence / 3),
        ),
    )


def cluster_settings(settings: Settings) -> ClusterSettings:
    """Which workers convert."""
    return ClusterSettings(
        scheduler=settings.scheduler,
        workers=settings.workers,
        memory=settings.worker_memory,
        scratch=str(settings.scratch or ""),
        environment=registry_environment(settings),
        silent_seconds=settings.worker_silence,
    )


def show_plan(view: RunView) -> int:
    """Print what a run would do."""
    console = wide_console()
    if console.is_terminal:
        console.print(planned.table(view))
    else:
        click.echo("\n".join(planned.lines(view)))
    for note in view.notes:
        console.print(Text(note))
    counts = view.counts
    click.echo(
        f"{counts[JobState.QUEUED]:,} would be converted, {counts[JobState.DONE]:,} done and unchanged, "
        f"{counts[JobState.SKIPPED]:,} skipped"
    )
    return ExitCode.OK if counts[JobState.QUEUED] + counts[JobState.DONE] else ExitCode.NOTHING_MATCHED


def tell(view: RunView, page: Path, console: Console) -> None:
    """Print the results: the table on standard output, where the report is beside it."""
    wide_console().print(live.Results(view), crop=False)
    for note in view.notes:
        console.print(Text(note))
    click.echo(document.headline(view))
    if before := sum(job.state is JobState.DONE and not job.stages for job in view.jobs):
        click.echo(
            f"{text.plural(before, 'VM')} by an earlier run, unchanged since; --refresh converts again"
        )
    if view.lost:
        click.echo(f"not all of this is in the ledger: {view.lost}; then run again")
    for job in view.jobs:
        if job.snapshot_left:
            if (error := job.removal_error) is not None:
                click.echo(f"the snapshot on {job.vm} is still there: {error.message} → {error.hint}")
            else:
                click.echo(f"the snapshot on {job.vm} is still there; remove it with: orchestrate sweep")
    click.echo(f"report: {page}")


def wide_console() -> Console:
    """Standard output; where it is no terminal, wide enough for a reference with its digest."""
    console = Console()
    return console if console.is_terminal else Console(width=FILE_WIDTH)


def exit_code(view: RunView) -> ExitCode:
    """The exit status that tells what became of the VMs.

    Interrupted is a run that leaves VMs to the next one: a Ctrl-C while the last one ends keeps none from
    being done, so the status is that of a run without it.
    """
    counts = view.counts
    if view.lost:
        return ExitCode.CANNOT_CONNECT
    if counts[JobState.CANCELLED]:
        return ExitCode.INTERRUPTED
    unverified = any(job.verification is not None and not job.verification.good for job in view.jobs)
    if counts[JobState.FAILED] or view.stays or unverified or any(job.snapshot_left for job in view.jobs):
        return ExitCode.SOME_FAILED
    return ExitCode.OK if counts[JobState.DONE] else ExitCode.NOTHING_MATCHED


@contextmanager
def _metrics(settings: Settings, view: Callable[[], RunView], console: Console) -> Iterator[None]:
    """Serve metrics while the block runs, if a port is set."""
    if settings.metrics_port is None:
        yield
        return
    with metrics.serve(view, settings.metrics_address, settings.metrics_port) as port:
        console.print(f"metrics: http://{settings.metrics_address}:{port}/metrics")
        yield
