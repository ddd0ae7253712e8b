"""Secrets that are moved out of a machine's images: what a service's container gets back, and how. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from converters.entrypoint import Entrypoint
from converters.guest.facts import Service
from converters.guest.secrets.choose import SOURCES, file_name, is_chosen, is_for
from converters.guest.secrets.values import HeldFile, Secret, SecretFile, SecretKind, SecretMount
from converters.hardening import Hardening
from converters.init.specification import Path, Specification

REASON = "secrets are put in their places at each start"
"""Why a service takes the init."""

_SHOWN = 5
"""Jobs, and files, named in one sentence."""


def moved_variables(service: Service, secrets: Iterable[Secret], hardening: Hardening) -> dict[str, str]:
    """Variables of a service that no image and no deployment file shows, with their values."""
    names = {
        secret.name
        for secret in secrets
        if secret.kind is SecretKind.VARIABLE
        and service.name in secret.services
        and is_chosen(secret, hardening)
    }
    return {name: value for name, value in service.environment if name in names}


def variables_file(service: str, variables: Mapping[str, str]) -> SecretFile:
    """The file with a service's variables, as the init reads it."""
    text = json.dumps(dict(variables), ensure_ascii=False, sort_keys=True)
    return SecretFile(_variables_name(service), text.encode("utf-8", "backslashreplace"))


def mounts(
    service: Service, held: Iterable[HeldFile], variables: Mapping[str, str]
) -> tuple[SecretMount, ...]:
    """What a service's container has to be given, by name."""
    found = [
        SecretMount(one.name, one.path, f"{SOURCES}/{one.name}") for one in held if is_for(one, service.name)
    ]
    if variables:
        name = _variables_name(service.name)
        found.append(SecretMount(name, "", f"{SOURCES}/{name}"))
    return tuple(sorted(found, key=lambda mount: mount.name))


def told_for_jobs(
    jobs: Sequence[str], held: Iterable[HeldFile], given: Iterable[SecretMount]
) -> Iterator[str]:
    """Files that no container gets, where something ran by the clock that may need them: a person decides.

    Args:
        jobs: by name.
        given: what the services' containers get; a job's container gets none.
    """
    served = {mount.path for mount in given}
    files = [f"{one.path} (in the file {one.name})" for one in held if one.path not in served]
    if jobs and files:
        yield (
            f"By the clock ran {_listed(jobs)}, and may need what was moved out of the image and no container"
            f" gets: {_listed(files)}. Keep in the image what a job needs (`--extract` names what is moved"
            " out), or mount it into the job's container from the secrets beside the deployment files."
        )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def with_secrets(
    found: Entrypoint,
    told: Specification,
    given: Iterable[SecretMount],
    held: Iterable[HeldFile],
    variables: Mapping[str, str],
) -> Entrypoint:
    """What starts a service that gets secrets from outside: the init, which puts each where it was."""
    files = {one.name: one for one in held}
    paths = [
        Path(
            "file",
            mount.path,
            f"{files[mount.name].mode & 0o7777:04o}",
            user=str(files[mount.name].uid),
            group=str(files[mount.name].gid),
            source=mount.source,
        )
        for mount in given
        if mount.path
    ]
    sources = [mount.source for mount in given if not mount.path]
    told = replace(told, paths=(*told.paths, *paths), secret_environment=sources[0] if sources else "")
    environment = tuple((name, value) for name, value in found.run.env if name not in variables)
    return replace(found, run=replace(found.run, env=environment), specification=told)


def _variables_name(service: str) -> str:
    return file_name(f"{service} variables")
