"""The command ``orchestrate`` and its verbs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click
from click.core import ParameterSource

from orchestrator import __version__
from orchestrator.cli.options import CONTEXT, SectionedGroup, settings_from, settings_options
from orchestrator.errors import UsageError
from orchestrator.settings import Settings, Verb, declaration

VERBS = {
    "check": "Find out whether a run would get all it needs.",
    "convert": "Convert one machine from its disk images.",
    "status": "Show the last run as the ledger has it.",
    "sweep": "Remove the snapshots that ended runs of this ledger left in vCenter.",
}
"""What ``--help`` says of each; the verb is the function of that name in the module of that name."""


class Verbs(SectionedGroup):
    """Loads a verb when it is used: help need not wait seconds for Dask, pyvmomi and SQLAlchemy."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs' names."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb; None when there is none of that name."""
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(import_module(f"orchestrator.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs without loading them."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=Verbs,
    invoke_without_command=True,
    context_settings=CONTEXT,
    subcommand_metavar="[VERB …]",
    epilog="Each setting is also an environment variable (ORCHESTRATE_ and its name in capitals, unless "
    "another is given above) and a key of the YAML file given with --config; a switch has a twin that "
    "switches it off, such as --no-dry-run. Passwords come from GOVC_PASSWORD, from "
    "ORCHESTRATE_REGISTRY_PASSWORD, or from files. "
    "Exit status: 0 all converted, 1 some failed, 2 nothing matched, 3 cannot connect, 64 usage, "
    "130 interrupted.",
)
@click.version_option(__version__, prog_name="orchestrate")
@settings_options(Verb.RUN)
@click.pass_context
def app(ctx: click.Context, /, **parameters: Any) -> int | None:
    """Turn every Linux VM of a vSphere datacenter into a container image that runs what the VM ran.

    \b
      export GOVC_URL=vcenter.example.org GOVC_USERNAME=… GOVC_PASSWORD=…
      orchestrate check --datacenter DC0 --registry registry.example.org/vms   # what is missing?
      orchestrate --datacenter DC0 --dry-run                                   # which VMs, why not others?
      orchestrate --datacenter DC0 --registry registry.example.org/vms         # convert them
      orchestrate --source /exports --registry registry.example.org/vms        # files, without a vCenter

    vCenter is only read; three things are changed there: a snapshot, an export lease, and their removal.
    A second run does what is left of the first; Ctrl-C finishes what was begun, and begins no more.
    """
    if ctx.invoked_subcommand is None:
        settings = settings_from(ctx, parameters)
        from orchestrator.cli.run import run

        return run(settings)
    for name in (*parameters, "config"):  # whose value click keeps to itself
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            verb, option = Verb(ctx.invoked_subcommand or ""), f"--{name.replace('_', '-')}"
            takes = name == "config" or verb in declaration(Settings.model_fields[name]).verbs
            raise UsageError(
                f"{option} stands before the verb `{verb}`",
                f"write: orchestrate {verb} {option} …"
                if takes
                else f"leave it out: {verb} does not take it",
            )
    return None
