"""``orchestrate check``: whether a run would get what it needs, before the first snapshot."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from converters.errors import ConvertError
from converters.outputs.client import RegistryAccess
from orchestrator import __version__, logs
from orchestrator.cli.options import CONTEXT, SectionedCommand, settings_from, settings_options
from orchestrator.cli.run import cluster_settings, wide_console
from orchestrator.cluster import call_roll
from orchestrator.errors import ExitCode, OrchestratorError, UsageError
from orchestrator.fleet.files import FileMark
from orchestrator.fleet.select import Selection
from orchestrator.preflight.checks import Check
from orchestrator.preflight.folder import check_folder
from orchestrator.preflight.needs import Needs
from orchestrator.preflight.order import probe_order
from orchestrator.preflight.vcenter import check_vcenter
from orchestrator.preflight.workers import judge
from orchestrator.probe import registry
from orchestrator.probe.worker import probe
from orchestrator.report import text
from orchestrator.settings import Format, LogFormat, Settings, Verb
from orchestrator.skew import clock
from orchestrator.sources.directory import DirectorySource
from orchestrator.transports import check_transport, needless_checks
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.values import CheckResult, Grade
from orchestrator.wiring import registry_access, registry_prefix, snapshot_limits, vcenter_settings

FORMAT_VERSION = 1
"""Of the JSON document; raised when a key changes its meaning or goes."""
_REGISTRY_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
_MARKS = {
    Grade.FINE: Text("ok", "green"),
    Grade.WARNING: Text("warning", "yellow"),
    Grade.BLOCKING: Text("NO", "bold red"),
}


@click.command(cls=SectionedCommand, context_settings=CONTEXT)
@settings_options(Verb.CHECK)
@click.pass_context
def check(ctx: click.Context, /, **parameters: Any) -> int:
    """Find out whether a run would get all it needs of vCenter, registry and workers. Changes nothing there
    but to write a few bytes to the registry, which no image refers to, and delete them.

    \b
      orchestrate check --datacenter DC0 --registry registry.example.org/vms

    Exit status: 0 a run can begin, perhaps with warnings; 1 something keeps it from beginning; 3 vCenter,
    registry or Dask scheduler is out of reach.
    """
    settings = settings_from(ctx, parameters)
    if not settings.datacenter and settings.source is None:
        raise UsageError("no datacenter is given", "say which: --datacenter NAME or --source FOLDER")
    console = Console(stderr=True)
    logs.configure(settings.log_format is LogFormat.JSON, console)
    findings = find(settings, console)
    match settings.format:
        case Format.TABLE:
            wide_console().print(table(findings.lines))
            click.echo(summary(findings))
        case Format.JSON:
            click.echo(as_json(findings))
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
    def counts(self) -> Counter[Grade]:
        """Lines by grade."""
        return Counter(result.grade for _, result in self.lines)

    @property
    def exit_code(self) -> ExitCode:
        """What they add up to."""
        if self._unreached:
            return ExitCode.CANNOT_CONNECT
        return ExitCode.SOME_FAILED if self.counts[Grade.BLOCKING] else ExitCode.OK


def find(settings: Settings, console: Console) -> Findings:
    """Find everything out; ``console`` shows what is being done."""
    skip = (*settings.skip_check, *needless_checks(settings.transport))
    access = replace(registry_access(settings), patience=_REGISTRY_SECONDS)
    findings = Findings()
    needs, files = Needs(), tuple[FileMark, ...]()
    selection = Selection(settings.include, settings.exclude)
    match settings.source:
        case None:
            with console.status("vCenter"), findings.part("vCenter"):
                limits = snapshot_limits(settings)
                with VCenter(vcenter_settings(settings), limits, transport=settings.transport) as vcenter:
                    results, needs = check_vcenter(vcenter, settings.datacenter, selection)
                findings.add("vCenter", results)
                findings.add("transport", check_transport(settings))
        case folder:
            with console.status("source"), findings.part("source"):
                source = DirectorySource(folder, settings.package_digests)
                results, files = check_folder(source, selection)
                findings.add("source", results)
    if Check.REGISTRY not in skip:
        with console.status("registry"), findings.part("registry"):
            findings.add("registry", check_registry(registry_prefix(settings), access))
    if Check.WORKERS in skip:
        return findings
    cluster = replace(cluster_settings(settings), connect_seconds=_CONNECT_SECONDS)
    with console.status("workers"), findings.part("workers"):
        order = probe_order(
            registry_prefix(settings),
            needs.hosts,
            access,
            cluster.scratch,
            tuple(engine.value for engine in settings.engines),
            skip=skip,
            thorough=True,
            deep=settings.deep,
            files=files,
        )
        if not order.hosts:
            needs = replace(needs, hosts={})
        findings.add("workers", judge(call_roll(cluster, probe, order), needs).results)
    return findings


def check_registry(prefix: str, access: RegistryAccess) -> Iterator[CheckResult]:
    """What the registry takes from here, where manifests are pushed from. Raises ``OutputError``."""
    trial = registry.write(registry.repository(prefix), access)
    yield CheckResult("push", True, trial.detail)
    if trial.skew is not None:
        yield clock("clock", trial.skew, "the registry's clock", "this machine's")


def table(lines: Iterable[tuple[str, CheckResult]]) -> Table:
    """The lines as a table: what is fine, what is not, and what to do about it."""
    made = Table(header_style="bold", pad_edge=False)
    for heading in ("", "", "what", "found", "what to do"):
        made.add_column(heading, overflow="fold")
    last = ""
    for part, result in lines:
        cells = map(Text, (result.name, result.detail, result.remedy))
        made.add_row(Text(part if part != last else ""), _MARKS[result.grade], *cells)
        last = part
    return made


def summary(findings: Findings) -> str:
    """What the lines come to, in one."""
    counts, total = findings.counts, len(findings.lines)
    if counts[Grade.BLOCKING]:
        return f"a run would not begin: see the lines marked NO ({counts[Grade.BLOCKING]} of {total})"
    if counts[Grade.WARNING]:
        return f"a run can begin, with {text.plural(counts[Grade.WARNING], 'warning')}"
    return "all is fine: a run can begin"


def as_json(findings: Findings) -> str:
    """The same for machines: ``can_begin``, and each line with its ``grade``."""
    document = {
        "version": FORMAT_VERSION,
        "product": f"orchestrate {__version__}",
        "can_begin": findings.exit_code == ExitCode.OK,
        "checks": [
            {
                "part": part,
                "name": result.name,
                "grade": result.grade.value,
                "found": result.detail,
                "remedy": result.remedy,
            }
            for part, result in findings.lines
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
