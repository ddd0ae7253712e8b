"""``orchestrate status``: what the ledger says, also while a run goes on elsewhere."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.cli.options import CONTEXT, SectionedCommand, settings_from, settings_options
from orchestrator.errors import ExitCode
from orchestrator.fleet.states import JobState
from orchestrator.ledger.records import JobRecord
from orchestrator.settings import Verb
from orchestrator.wiring import open_ledger


@click.command(cls=SectionedCommand, context_settings=CONTEXT)
@settings_options(Verb.STATUS)
@click.option("--all", "everything", is_flag=True, help="Every VM, those that are done and skipped too.")
@click.pass_context
def status(ctx: click.Context, /, everything: bool, **parameters: Any) -> int:
    """Show the last run as the ledger has it, also while it goes on: VMs, failures, open snapshots."""
    settings = settings_from(ctx, parameters)
    console = Console()
    with open_ledger(settings) as ledger:
        run = ledger.last_run()
        if run is None:
            click.echo("the ledger holds no run yet")
            return ExitCode.NOTHING_MATCHED
        jobs = ledger.jobs(run.run)
        snapshots = ledger.open_snapshots()
        alive = run.run in ledger.live_runs()
    state = run.outcome or ("at work" if alive else "died: run the same command again to continue")
    console.print(Text(f"run {run.run} of {run.datacenter}, {_moment(run.started)}: {state}"))
    table = _jobs_table(jobs, everything)
    if table.row_count:
        console.print(table)
    counts = Counter(job.state.value for job in jobs)
    click.echo(", ".join(f"{count} {name}" for name, count in sorted(counts.items())) or "no VM yet")
    names = {job.job: job.vm for job in jobs}
    for snapshot in snapshots:
        vm = names.get(snapshot.job, snapshot.vm)
        click.echo(f"snapshot {snapshot.name} on {vm}, asked for {_moment(snapshot.intended)}")
    if snapshots and not alive:
        which, them = ("this snapshot", "it") if len(snapshots) == 1 else ("these snapshots", "them")
        click.echo(f"{which} may still be in vCenter; remove {them} with: orchestrate sweep")
    return ExitCode.OK


def _jobs_table(jobs: tuple[JobRecord, ...], everything: bool) -> Table:
    table = Table(header_style="bold", pad_edge=False)
    for heading in ("VM", "folder", "state", "tries", "image, or the reason"):
        table.add_column(heading, overflow="fold")
    for job in jobs:
        if everything or job.state not in (JobState.DONE, JobState.SKIPPED):
            hint = job.error_hint or job.remedy
            reason = job.reference or job.error_message or job.reason
            told = f"{reason} → {hint}" if reason and hint and not job.reference else reason
            table.add_row(Text(job.vm), Text(job.folder), job.state.value, str(job.attempt), Text(told))
    return table


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
