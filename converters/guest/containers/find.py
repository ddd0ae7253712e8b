"""The containers that a guest runs, and a sentence on what becomes of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from converters.guest.accounts import Accounts
from converters.guest.containers.docker import docker_containers
from converters.guest.containers.kubernetes import containerd_containers, kubernetes_containers
from converters.guest.containers.podman import podman_containers
from converters.guest.containers.values import Engine, ExistingContainer
from converters.guest.files import GuestFiles

_MOST_NAMED = 8


def existing_containers(files: GuestFiles, accounts: Accounts) -> tuple[ExistingContainer, ...]:
    """Containers of every engine, told in the notes too; containerd's alone where nobody else uses it."""
    found = [*docker_containers(files), *podman_containers(files, accounts), *kubernetes_containers(files)]
    if not any(one.engine in (Engine.DOCKER, Engine.KUBERNETES) for one in found):
        found += containerd_containers(files)
    for engine in Engine:
        among = [one for one in found if one.engine is engine]
        if among:
            files.note(" ".join(_sentences(engine, among)))
    return tuple(found)


def _sentences(engine: Engine, among: Sequence[ExistingContainer]) -> Iterator[str]:
    named = ", ".join(f"{one.name} ({one.image})" if one.image else one.name for one in among[:_MOST_NAMED])
    more = f" and {len(among) - _MOST_NAMED} more" if len(among) > _MOST_NAMED else ""
    count = f"{len(among)} container{'s' if len(among) > 1 else ''}"
    yield f"The guest has {count} of {engine}, which are not converted: {named}{more}."
    match engine:
        case Engine.DOCKER | Engine.PODMAN | Engine.QUADLET:
            yield "Start them from their own images on the new hosts"
            if composed := list(dict.fromkeys(file for one in among for file in one.files)):
                yield f"with {', '.join(composed[:_MOST_NAMED])} of the guest"
            yield "and take their data along"
            kept = list(dict.fromkeys(item.partition(":")[0] for one in among for item in one.data))
            yield f"({', '.join(kept[:_MOST_NAMED])})." if kept else "if they keep any."
        case Engine.KUBERNETES:
            yield "They are their cluster's: join a new node, drain this one, and convert nothing."
        case Engine.CONTAINERD:
            yield "`ctr --namespace … containers list` on the running guest names them."
