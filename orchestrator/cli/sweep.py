"""``orchestrate sweep``: removes snapshots that earlier runs of this ledger left in vCenter."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator import logs
from orchestrator.cli.options import CONTEXT, SectionedCommand, settings_from, settings_options
from orchestrator.errors import ExitCode
from orchestrator.report import text
from orchestrator.settings import LogFormat, Settings, Verb
from orchestrator.sweep import Swept, forget
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
    in all datacenters. Exit status 1 when a snapshot could not be removed.
    """
    settings = settings_from(ctx, parameters)
    logs.configure(settings.log_format is LogFormat.JSON, Console(stderr=True))
    swept = _sweep(settings)
    table = _table(swept)
    if table.row_count:
        Console().print(table)
    click.echo(
        f"{text.plural(len(swept.removed), 'snapshot')} removed, {len(swept.failed)} could not be, "
        f"{len(swept.left_alone)} left alone"
    )
    if swept.unseen:
        click.echo(
            f"{text.plural(len(swept.unseen), 'snapshot')} asked for and not there; if vCenter is still "
            "making one (see its recent tasks), sweep again when it has"
        )
    return ExitCode.SOME_FAILED if swept.failed else ExitCode.OK


def _sweep(settings: Settings) -> Swept:
    with (
        VCenter(vcenter_settings(settings)) as vcenter,
        open_ledger(settings) as ledger,
    ):
        swept = sweep_vcenter(vcenter, ledger, settings.datacenter or None)
        forget(ledger, swept.unseen)
        return swept


def _table(swept: Swept) -> Table:
    table = Table(header_style="bold", pad_edge=False)
    for heading in ("VM", "snapshot", "outcome"):
        table.add_column(heading, overflow="fold")

    def row(snapshot: SnapshotRef, outcome: str) -> None:
        table.add_row(Text(snapshot.vm_name or snapshot.vm), Text(snapshot.name), Text(outcome))

    for snapshot in swept.removed:
        row(snapshot, "removed")
    for snapshot, why in swept.failed:
        row(snapshot, f"still there: {why}")
    for snapshot in swept.left_alone:
        row(snapshot, "left alone: another ledger's, or its run is at work")
    return table
