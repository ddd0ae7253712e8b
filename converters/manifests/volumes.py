"""Which directories of a machine its containers share or keep, whatever runs them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from converters.manifests.names import labels
from converters.plan import ImagePlan, ServicePlan

_NOT_SHARED = frozenset(("/run/lock", "/run/user", "/run/sshd", "/run/sudo"))
_ENGINES_OWN = ("/proc", "/sys", "/dev", "/.orchestrate")
"""What no volume may cover: the kernel's file systems, and what starts a container."""
_LONGEST_PATH = 512
_LONGEST_NAME = 50
"""Leaves room for what a kind of file puts before a volume's name."""
_UNFIT = frozenset(":,\"'\\")
"""What divides the parts of a volume on some command line."""


class VolumeKind(StrEnum):
    """What a volume is for."""

    DATA = "data"
    """Content of the machine that changes and is kept."""
    RUN = "run"
    """Sockets of services, below /run; empty at each boot."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A directory that is no part of one container."""

    name: str
    """A label, unique on the machine."""
    path: str
    kind: VolumeKind
    size: int = 0
    """Bytes of the guest's volume that was mounted there; 0 where none was."""
    content: int = 0
    """Bytes of the files that it begins with; 0 where they were not counted."""


def machine_volumes(plan: ImagePlan) -> tuple[Volume, ...]:
    """The volumes of a machine, data first, in order of their paths; of nested directories the outermost.

    One directory is one volume, however many services use it: postfix and dovecot share a mail spool.
    """
    sizes = {volume.path: volume.size for volume in plan.data_volumes}
    content = dict(plan.data_bytes)
    kept = data_paths(plan)
    sockets = _socket_directories(plan) if len(plan.services) > 1 else ()
    shared = [
        path for path in sockets if not any(is_within(path, one) or is_within(one, path) for one in kept)
    ]
    names = labels([path.strip("/") for path in (*kept, *shared)], _LONGEST_NAME, taken=("secrets",))
    return (
        *(
            Volume(names[path.strip("/")], path, VolumeKind.DATA, sizes.get(path, 0), content.get(path, 0))
            for path in kept
        ),
        *(Volume(names[path.strip("/")], path, VolumeKind.RUN) for path in shared),
    )


def data_paths(plan: ImagePlan) -> tuple[str, ...]:
    """Directories with data that become volumes, in order; none within another."""
    mounted = (volume.path for volume in plan.data_volumes)
    return _outermost({*mounted, *(kept.path for service in plan.services for kept in service.data)})


def service_volumes(plan: ImagePlan, service: ServicePlan, volumes: Iterable[Volume]) -> tuple[Volume, ...]:
    """What a service's container has: its data, file systems that the machine mounted, all sockets."""
    mounted = {volume.path for volume in plan.data_volumes}
    own = [kept.path for kept in service.data]
    return tuple(
        volume
        for volume in volumes
        if volume.kind is VolumeKind.RUN
        or volume.path in mounted
        or any(is_within(path, volume.path) for path in own)
    )


def left_in_image(plan: ImagePlan) -> tuple[str, ...]:
    """Directories with data whose names no command line takes for a volume, in order."""
    paths = {volume.path for volume in plan.data_volumes}
    paths |= {kept.path for service in plan.services for kept in service.data}
    return tuple(sorted(path for path in paths if not _fits(path)))


def is_within(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or below it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _socket_directories(plan: ImagePlan) -> tuple[str, ...]:
    """Directories of services below /run, one level deep: their sockets are there."""
    told = [service.specification for service in plan.services if service.specification is not None]
    paths = [directory.path for directory in plan.directories]
    paths += [path.path for specification in told for path in specification.paths]
    clean = (posixpath.normpath(path) for path in paths)
    tops = {"/".join(path.split("/")[:3]) for path in clean if path.startswith("/run/")}
    return tuple(sorted(top for top in tops - _NOT_SHARED if _fits(top)))


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    found: list[str] = []
    for path in sorted(filter(_fits, paths), key=lambda path: path.split("/")):
        if not found or not is_within(path, found[-1]):
            found.append(path)
    return tuple(found)


def _fits(path: str) -> bool:
    """Whether every kind of file can name it: an absolute path, not the root, without what divides fields."""
    return (
        path.startswith("/")
        and posixpath.normpath(path) == path != "/"
        and not path.startswith("//")
        and path.isprintable()
        and not _UNFIT.intersection(path)
        and len(path) <= _LONGEST_PATH
        and not any(is_within(path, own) for own in _ENGINES_OWN)
    )
