"""``orchestrate check``: whether a run would get what it needs, before the first snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from converters.errors import ConvertError
from orchestrator import logs
from orchestrator.cli.options import CONTEXT, SectionedCommand, settings_from, settings_options
from orchestrator.cli.run import cluster_settings, wide_console
from orchestrator.errors import ExitCode, OrchestratorError, UsageError
from orchestrator.fleet.select import Selection
from orchestrator.preflight import Needs, check_vcenter, check_workers
from orchestrator.probe import ProbeOrder, push
from orchestrator.settings import LogFormat, Settings, Verb
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.values import CheckResult
from orchestrator.wiring import registry_access, registry_prefix, snapshot_limits, vcenter_settings

CHECKED = "orchestrate-check"
"""Repository below the prefix in which a push is begun and cancelled."""
_REGISTRY_SECONDS = 10.0
_CONNECT_SECONDS = 5.0


@click.command(cls=SectionedCommand, context_settings=CONTEXT)
@settings_options(Verb.CHECK)
@click.pass_context
def check(ctx: click.Context, /, **parameters: Any) -> int:
    """Find out whether a run would get all it needs of vCenter, registry and workers. Changes nothing.

    \b
      orchestrate check --datacenter DC0 --registry registry.example.org/vms

    Exit status: 0 all is fine, 1 something is not, 3 vCenter, registry or Dask scheduler is out of reach.
    """
    settings = settings_from(ctx, parameters)
    if not settings.datacenter:
        raise UsageError("no datacenter is given", "say which: --datacenter NAME")
    console = Console(stderr=True)
    logs.configure(settings.log_format is LogFormat.JSON, console)
    findings = find(settings, console)
    wide_console().print(table(findings.lines))
    wrong = sum(not result.ok for _, result in findings.lines)
    click.echo(
        "all is fine" if not wrong else f"{wrong} of {len(findings.lines)} are not as a run needs them"
    )
    return findings.exit_code


class Findings:
    """What was found out so far, part by part; a part that ends in an error does not end the others."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, CheckResult]] = []
        self._unreached = False

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """An error of the block, unless it is one of usage, becomes a line of the part ``name``."""
        try:
            yield
        except (OrchestratorError, ConvertError) as error:
            if error.exit_code == ExitCode.USAGE:
                raise
            self.lines.append((name, CheckResult(name, False, error.message, error.hint)))
            self._unreached |= error.exit_code == ExitCode.CANNOT_CONNECT

    def add(self, part: str, results: Iterable[CheckResult]) -> None:
        """Lines of a part."""
        self.lines += [(part, result) for result in results]

    @property
    def exit_code(self) -> ExitCode:
        """What they add up to."""
        if self._unreached:
            return ExitCode.CANNOT_CONNECT
        return ExitCode.OK if all(result.ok for _, result in self.lines) else ExitCode.SOME_FAILED


def find(settings: Settings, console: Console) -> Findings:
    """Find everything out; ``console`` shows what is being done."""
    repository = f"{registry_prefix(settings)}/{CHECKED}"
    access = replace(registry_access(settings), patience=_REGISTRY_SECONDS)
    findings = Findings()
    needs = Needs()
    with console.status("vCenter"), findings.part("vCenter"):
        with VCenter(vcenter_settings(settings), snapshot_limits(settings)) as vcenter:
            selection = Selection(settings.include, settings.exclude)
            results, needs = check_vcenter(vcenter, settings.datacenter, selection)
        findings.add("vCenter", results)
    with console.status("registry"), findings.part("registry"):
        findings.add("registry", [CheckResult("push", True, push(repository, access))])
    cluster = replace(cluster_settings(settings), connect_seconds=_CONNECT_SECONDS)
    with console.status("workers"), findings.part("workers"):
        order = ProbeOrder(
            hosts=needs.hosts,
            repository=repository,
            access=replace(access, credentials=None),
            scratch=str(settings.scratch or ""),
            engines=tuple(engine.value for engine in settings.engines),
        )
        findings.add("workers", check_workers(cluster, order, needs.sizes))
    return findings


def table(lines: Iterable[tuple[str, CheckResult]]) -> Table:
    """The lines as a table: what is fine, what is not, and what to do about it."""
    made = Table(header_style="bold", pad_edge=False)
    for heading in ("", "", "what", "found", "what to do"):
        made.add_column(heading, overflow="fold")
    last = ""
    for part, result in lines:
        mark = Text("ok", "green") if result.ok else Text("NO", "bold red")
        made.add_row(
            Text(part if part != last else ""), mark, *map(Text, (result.name, result.detail, result.remedy))
        )
        last = part
    return made
