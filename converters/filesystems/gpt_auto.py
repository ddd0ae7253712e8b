"""Partitions that a guest mounts by their type alone: systemd-gpt-auto-generator(8).

The Discoverable Partitions Specification of the UAPI group gives the types.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Collection, Mapping, Sequence

from converters.filesystems.fstab import Line
from converters.guest.files import GuestFiles
from converters.volumes.base import Volume

_GENERATORS = (
    "/etc/systemd/system-generators",
    "/usr/local/lib/systemd/system-generators",
    "/usr/lib/systemd/system-generators",
    "/lib/systemd/system-generators",
)
_NAME = "systemd-gpt-auto-generator"
_VAR = "4d21b016-b534-45c2-a9fb-5c16e091fd2d"
_TARGETS: Mapping[str, str] = {
    "933ac7e1-2eb4-4f13-b844-0e14e2aef915": "/home",
    "3b8f8425-20e0-4f3b-907f-1a25a76f98e8": "/srv",
    _VAR: "/var",
    "7ec6f557-3bc5-4aca-b293-16ef5df639d1": "/var/tmp",
}
_NO_AUTO = 1 << 63


def discovered(
    files: GuestFiles, root: Volume, volumes: Sequence[Volume], taken: Collection[str]
) -> list[Line]:
    """What the generator adds: the first partition of each type, on the disk of the root alone.

    Args:
        taken: mount points that an fstab or a unit names already.
    """
    if not _generates(files):
        return []
    found: dict[str, Line] = {}
    for volume in volumes:
        target = _TARGETS.get(volume.partition_type, "")
        if volume.disk != root.disk or not target or volume.partition_flags & _NO_AUTO:
            continue
        if target in taken or target in found or not files.is_empty(target):
            continue
        if target != "/var" or volume.partition_uuid == _var_of(files):
            line = Line(f"PARTUUID={volume.partition_uuid}", target, "auto", (), "the type of its partition")
            found[target] = line
    return list(found.values())


def _generates(files: GuestFiles) -> bool:
    """Whether the guest has the generator, and no link to /dev/null stands in its place."""
    for folder in _GENERATORS:
        path = f"{folder}/{_NAME}"
        if files.link_target(path) == "/dev/null":
            return False
        if files.is_file(path):
            return True
    return False


def _var_of(files: GuestFiles) -> str:
    """The UUID that a partition for /var has to have: one machine does not mount another's."""
    try:
        machine = uuid.UUID((files.text("/etc/machine-id") or "").strip())
    except ValueError:
        return ""
    # sd_id128_get_machine_app_specific(3): a keyed hash, made a UUID of version 4.
    digest = hmac.digest(machine.bytes, uuid.UUID(_VAR).bytes, hashlib.sha256)
    return str(uuid.UUID(bytes=digest[:16], version=4))
