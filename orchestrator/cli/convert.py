"""``orchestrate convert DISK…``: disk images on this machine to an image in a registry, without a vCenter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from converters.errors import PlanError
from converters.image.config import vm_labels
from converters.image.names import repository_names
from converters.outputs.registry import RegistryOutput
from converters.pipeline import convert as convert_guest
from converters.pipeline import propose, publish
from converters.planfile.decide import Decisions
from converters.reader.parent import Reader
from converters.request import Converted, Request, Target
from converters.request import Progress as Step
from orchestrator import deployment_files, durable
from orchestrator.cli.given import Given, given
from orchestrator.cli.options import CONTEXT, SectionedCommand, settings_from, settings_options
from orchestrator.errors import ExitCode
from orchestrator.files import require_unchanged
from orchestrator.plans import NEWER, Plans, read_plans, write_plan
from orchestrator.report import text
from orchestrator.settings import Settings, Verb
from orchestrator.verify.words import lines as verdict_lines
from orchestrator.wiring import (
    hardening,
    reading,
    registry_access,
    registry_prefix,
    running_facts,
    scratch_folder,
    target_kernel,
    verifier,
)


@click.command(cls=SectionedCommand, context_settings=CONTEXT)
@click.argument("disks", nargs=-1, required=True, metavar="DISK…", type=click.Path(path_type=Path))
@click.option("--name", default="", help="The machine's name; default: the first disk's file name.")
@settings_options(Verb.CONVERT)
@click.pass_context
def convert(ctx: click.Context, /, disks: tuple[Path, ...], name: str, **parameters: Any) -> int:
    """Convert one machine from its disk images (raw, VMDK, qcow2, VDI, VHD, VHDX), in the order it has them,
    or from the VMX, OVF or OVA that describes it.

    \b
      orchestrate convert web.vmdk --registry localhost:5000/vms
      orchestrate convert web.ova --registry localhost:5000/vms
      orchestrate convert system.qcow2 data.raw --name db01 --registry localhost:5000/vms
      orchestrate convert web.vmdk --plan-only        # then edit orchestrate-out/web.plan.yaml
      orchestrate convert web.vmdk --plan orchestrate-out/web.plan.yaml --registry localhost:5000/vms
    """
    settings = settings_from(ctx, parameters)
    plans = read_plans(settings)
    if not settings.plan_only:
        registry_prefix(settings)  # before anything is read
    with scratch_folder(settings) as scratch:
        machine = given(disks, name, settings, scratch)
        request = _request(machine, settings, _decisions(machine, settings, plans))
        if settings.plan_only:
            return plan_machine(machine, request, settings, scratch)
        return convert_machine(machine, request, settings, scratch)


def _decisions(machine: Given, settings: Settings, plans: Plans) -> Decisions:
    """What was decided of the machine. Raises ``PlanError`` when ``--plan`` is that of another one."""
    name, uuid = machine.facts.name, machine.facts.instance_uuid
    if settings.plan is not None and settings.plan in plans.unused([(name, uuid)]):
        plan = plans.files[settings.plan]
        raise PlanError(
            f"{settings.plan} is the plan of machine {plan.machine} {plan.uuid}".rstrip()
            + f", and this is {name} {uuid}".rstrip(),
            "give the machine its name with --name, or change `machine` and `uuid` in the plan",
        )
    return plans.decisions(name, uuid)


def _request(machine: Given, settings: Settings, decisions: Decisions) -> Request:
    name = machine.facts.name
    repository = repository_names([(name, name)])[name]
    labels = vm_labels(name=name, moref="", instance_uuid=machine.facts.instance_uuid, datacenter="")
    return Request(
        disks=machine.disks,
        machine=machine.facts,
        target=Target(
            repository if settings.plan_only else f"{registry_prefix(settings)}/{repository}", (settings.tag,)
        ),
        labels=tuple(labels.items()),
        reading=reading(settings),
        hardening=hardening(settings),
        grouping=settings.grouping,
        target_kernel=target_kernel(settings),
        running=running_facts(settings, name),
        decisions=decisions,
    )


def plan_machine(machine: Given, request: Request, settings: Settings, scratch: Path) -> int:
    """Look into the disks and write the plan; the exit status."""
    with Reader(request.disks, request.reading, scratch) as reader:
        proposal = propose(request, reader)
    require_unchanged(machine.files)
    console = Console(stderr=True)
    for note in (*machine.notes, *proposal.inspection.notes):
        console.print(f"  note: {note}", markup=False)
    path = write_plan(settings.plans or settings.output, request.target.repository, proposal.text)
    if path.suffix == NEWER:
        console.print(f"  note: {path.with_suffix('')} differs and is kept; this one lies beside it")
    click.echo(path)
    return ExitCode.OK


def convert_machine(machine: Given, request: Request, settings: Settings, scratch: Path) -> int:
    """Convert, publish, write the deployment files, and tell what came of it; the exit status."""
    console = Console(stderr=True)
    repository = request.target.repository
    with (
        Reader(request.disks, request.reading, scratch) as reader,
        RegistryOutput(repository, registry_access(settings)) as output,
    ):
        converted = _with_progress(console, request, reader, output)
        require_unchanged(machine.files)
        published = publish(converted, output)
        reference = output.reference(published.digest)
    durable.make_folder(settings.output)
    _tell(console, converted, machine.notes)
    for kind, path in deployment_files.write(
        settings.output, settings.manifests, converted, reference, secrets=converted.secrets
    ):
        console.print(f"{kind}: {path}")
    page = deployment_files.write_difference(settings.output, converted)
    console.print(f"what differs from the machine: {page}")
    click.echo(reference)
    if (verify := verifier(settings)) is None:
        return ExitCode.OK
    answers = request.running.answers if request.running else None
    found = verify(repository.rpartition("/")[2], converted, reference, settings.output, answers)
    for line in verdict_lines(found):
        console.print(Text(line))
    return ExitCode.OK if found.good else ExitCode.SOME_FAILED


def _with_progress(console: Console, request: Request, reader: Reader, output: RegistryOutput) -> Converted:
    said = TextColumn("{task.fields[said]}")
    columns = (TextColumn("{task.description}"), BarColumn(), said, TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(request.machine.name, total=None, said="inspecting")

        def show(step: Step) -> None:
            said = f"{text.size(step.read_bytes)} read, {text.size(step.pushed_bytes)} pushed"
            progress.update(bar, said=said)

        return convert_guest(request, reader, output, show)


def _tell(console: Console, converted: Converted, notes: tuple[str, ...]) -> None:
    guest = converted.inspection.guest
    seconds = sum(seconds for _, seconds in converted.seconds)
    machine = f" ({guest.architecture})" if guest.architecture else ""
    console.print(f"{guest.release.name}{machine}, read by", end=" ")
    console.print(", ".join(sorted({mount.engine for mount in converted.inspection.mounts})))
    for step in converted.inspection.step_downs:
        console.print(f"  {step.volume}: {step.instead} in place of {step.engine}: {step.reason}")
    left_out = sum(removal.bytes for removal in converted.removals)
    console.print(
        f"{converted.entries:,} entries, {text.size(converted.read_bytes)} as tar, "
        f"{text.size(converted.size)} as image, {text.size(left_out)} left out, {text.duration(seconds)}"
    )
    for note in (*notes, *converted.inspection.notes, *guest.notes, *converted.plan.notes):
        console.print(f"  note: {note}")
