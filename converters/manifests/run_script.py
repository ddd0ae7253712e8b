"""A shell script of ``docker run`` lines for one machine, for hosts with an engine and nothing else."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from converters.manifests.engine_options import (
    container_name,
    job_command,
    job_options,
    owner_options,
    secret_binds,
    service_options,
)
from converters.manifests.machine import Machine
from converters.manifests.yaml_text import comment

_RESTART = {"disabled": "no"}


def run_script(machine: Machine) -> str:
    """The script: ``sh FILE`` starts the machine's containers, ``ENGINE=podman sh FILE`` by podman.

    A named volume that is new takes its content, owner and mode from the image. Where there
    are containers of an earlier start it ends: nothing is removed that nobody has asked for.
    """
    names = [container_name(machine, one) for one in machine.containers]
    everyone = names if machine.alone else [machine.name, *names]
    lines = [
        "#!/bin/sh",
        f"# Machine {comment(machine.title)}, {comment(machine.summary)}.",
        *(f"# {comment(note)}" for note in machine.notes),
        f"# To start anew, first: docker stop {' '.join(everyone)}; docker rm {' '.join(everyone)}",
        "set -eu",
        'engine="${ENGINE:-docker}"',
        *(['here="$(cd "$(dirname "$0")" && pwd)"'] if machine.secrets else []),
        *_containers(machine),
        *_jobs(machine),
    ]
    return "".join(f"{line}\n" for line in lines)


def _containers(machine: Machine) -> Iterator[str]:
    restart = _RESTART.get(machine.resources.restart_priority, "unless-stopped")
    detached = ("--detach", "--restart", restart)
    if not machine.alone:
        yield ""
        yield "# It has the network that the services share, and does nothing itself."
        yield _line((*detached, *owner_options(machine)), (machine.image,))
    for container in machine.containers:
        yield ""
        binds = secret_binds(container, machine.secrets_folder)
        options = (*detached, *service_options(machine, container))
        yield _line(options, (container.image,), binds)


def _jobs(machine: Machine) -> Iterator[str]:
    for job in machine.jobs:
        zone = f" ({job.timezone})" if job.timezone else ""
        when = "at boot" if job.at_boot else f"{job.schedule}{zone}" if job.schedule else "by the clock"
        option, words = job_command(job.command, machine.image)
        shown = shlex.join(("docker", "run", *job_options(machine), *option, *words))
        yield ""
        yield f"# Job {comment(job.name)} ran {comment(when)}:"
        yield f"# {comment(shown)}"


def _line(options: Iterable[str], words: Iterable[str], binds: Iterable[str] = ()) -> str:
    """A command, an option a line; binds are of files in folders beside the script."""
    text = '"$engine" run'
    for option in options:
        quoted = shlex.quote(option)
        text += f" \\\n  {quoted}" if option.startswith("--") else f" {quoted}"
    option = "--volume"
    text += "".join(f' \\\n  {option} "$here"/{shlex.quote(bind)}' for bind in binds)
    return text + " \\\n  " + shlex.join(words)
