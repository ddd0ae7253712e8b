"""The command ``orchestrate`` and its verbs."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from orchestrator import __version__
from orchestrator.cli.convert import convert
from orchestrator.cli.options import CONTEXT, SectionedGroup, settings_from, settings_options
from orchestrator.cli.run import run
from orchestrator.cli.status import status
from orchestrator.cli.sweep import sweep
from orchestrator.errors import UsageError
from orchestrator.settings import Verb


@click.group(
    cls=SectionedGroup,
    invoke_without_command=True,
    context_settings=CONTEXT,
    epilog="Each setting is also an environment variable (ORCHESTRATE_ and its name in capitals, unless "
    "another is given above) and a key of the YAML file given with --config. Exit status: 0 all converted, "
    "1 some failed, 2 nothing matched, 3 cannot connect, 64 usage, 130 interrupted.",
)
@click.version_option(__version__, prog_name="orchestrate")
@settings_options(Verb.RUN)
@click.pass_context
def app(ctx: click.Context, /, **parameters: Any) -> int | None:
    """Turn every Linux VM of a vSphere datacenter into a container image that runs what the VM ran.

    \b
      orchestrate --datacenter DC0 --registry registry.example:5000/vms
      orchestrate --datacenter DC0 --dry-run
      orchestrate convert disk.vmdk --registry registry.example:5000/vms

    vCenter is only read; three things are changed there: a snapshot, an export lease, and their removal.
    """
    if ctx.invoked_subcommand is None:
        return run(settings_from(ctx, parameters))
    for name in parameters:
        if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(
                f"--{name.replace('_', '-')} stands before the verb `{ctx.invoked_subcommand}`",
                f"write: orchestrate {ctx.invoked_subcommand} --{name.replace('_', '-')} …",
            )
    return None


for verb in (convert, status, sweep):
    app.add_command(verb)
