"""``orchestrate sweep``: removes snapshots that earlier runs of this ledger left in vCenter."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator import logs
from orchestrator.cli.options import CONTEXT, SectionedCommand, settings_from, settings_options
from orchestrator.errors import ExitCode
from orchestrator.leftovers import Found, look
from orchestrator.report import text
from orchestrator.scratch import default_root
from orchestrator.scratch import sweep as sweep_scratch
from orchestrator.settings import LogFormat, Verb
from orchestrator.sweep import forget
from orchestrator.sweep import sweep as sweep_vcenter
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.values import SnapshotRef
from orchestrator.wiring import open_ledger, vcenter_settings


@click.command(cls=SectionedCommand, context_settings=CONTEXT)
@settings_options(Verb.SWEEP)
@click.pass_context
def sweep(ctx: click.Context, /, **parameters: Any) -> int:
    """Remove the snapshots that ended runs of this ledger left in vCenter.

    Never another orchestrator's, never a run's that is at work, never anybody else's. Without --datacenter,
    in all datacenters. Disks that killed workers left on this machine go, too. Exit status 1 when a snapshot
    could not be removed.
    """
    settings = settings_from(ctx, parameters)
    logs.configure(settings.log_format is LogFormat.JSON, Console(stderr=True))
    with VCenter(vcenter_settings(settings)) as vcenter, open_ledger(settings) as ledger:
        if settings.dry_run:
            _show(look(vcenter, ledger, settings.datacenter or None, ledger.live_runs))
            return ExitCode.OK
        swept = sweep_vcenter(vcenter, ledger, settings.datacenter or None)
        forget(ledger, swept.unseen)
    _print(
        (
            *((snapshot, "removed") for snapshot in swept.removed),
            *((snapshot, f"still there: {why}") for snapshot, why in swept.failed),
            *((snapshot, f"left alone: {why}") for snapshot, why in swept.left_alone),
        )
    )
    click.echo(
        f"{text.plural(len(swept.removed), 'snapshot')} removed, {len(swept.failed)} could not be, "
        f"{len(swept.left_alone)} left alone"
    )
    if folders := sweep_scratch(settings.scratch or default_root()):
        click.echo(f"{text.plural(folders, 'folder')} of ended processes removed from this machine's scratch")
    if swept.unseen:
        click.echo(
            f"{text.plural(len(swept.unseen), 'snapshot')} asked for and not there; if vCenter is still "
            "making one (see its recent tasks), sweep again when it has"
        )
    return ExitCode.SOME_FAILED if swept.failed else ExitCode.OK


def _show(found: Found) -> None:
    """Print what would be removed, and what would not."""
    _print(
        (
            *((snapshot, f"would be removed; made {_moment(snapshot)}") for snapshot in found.mine),
            *((snapshot, f"left alone: {why}") for snapshot, why in found.left_alone),
        )
    )
    click.echo(
        f"{text.plural(len(found.mine), 'snapshot')} would be removed, {len(found.left_alone)} left alone"
    )
    for intended in found.unseen:
        click.echo(f"{intended.name} was asked for on {intended.vm} and is not there: never made, or not yet")


def _print(rows: Iterable[tuple[SnapshotRef, str]]) -> None:
    """A table of snapshots and what becomes of them; nothing when there are none."""
    table = Table(header_style="bold", pad_edge=False)
    for heading in ("VM", "snapshot", "outcome"):
        table.add_column(heading, overflow="fold")
    for snapshot, outcome in rows:
        table.add_row(Text(snapshot.vm_name or snapshot.vm), Text(snapshot.name), Text(outcome))
    if table.row_count:
        Console().print(table)


def _moment(snapshot: SnapshotRef) -> str:
    return datetime.fromtimestamp(snapshot.created, UTC).strftime("%Y-%m-%d %H:%M UTC")
