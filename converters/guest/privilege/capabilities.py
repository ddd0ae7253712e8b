"""Sets of capabilities (capabilities(7)): what engines give, what root uses, what takes the host."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from converters.init.specification import CAPABILITIES

ATTRIBUTE = b"security.capability"
"""The extended attribute that holds a file's capabilities."""

_REVISIONS = {1: 1, 2: 2, 3: 2}
"""Words of 32 bits for each of the two sets, by revision (linux/capability.h, ``VFS_CAP_REVISION_*``)."""
_EFFECTIVE = 1


def named(text: str) -> frozenset[str]:
    """A set written as names without ``CAP_`` and blanks between."""
    return frozenset(f"CAP_{name}" for name in text.split())


ENGINE_DEFAULT = named(
    "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP"
    " SETUID SYS_CHROOT"
)
"""What Docker and containerd give every container (moby, ``oci/caps/defaults.go``); podman's own set lacks
AUDIT_WRITE, MKNOD and NET_RAW and gives them when asked."""

HOST_ROOT = named(
    "SYS_ADMIN SYS_MODULE SYS_RAWIO SYS_BOOT SYS_PTRACE DAC_READ_SEARCH MAC_ADMIN MAC_OVERRIDE BPF PERFMON"
    " CHECKPOINT_RESTORE"
)
"""Capabilities with which a process in a container can take the host: these count as privileged."""

FILE_WORK = named("CHOWN DAC_OVERRIDE FOWNER FSETID")
"""What root needs to make and change files of others."""

LOWERING = named("SETGID SETUID")
"""What root needs to become another user."""

GENERAL_ROOT = FILE_WORK | LOWERING | named("KILL NET_BIND_SERVICE SYS_CHROOT")
"""What a program that runs as root may use of the engine's set, where nobody knows it better. Without what
few use, and whose evidence is looked for: raw sockets, devices, file capabilities, audit records."""


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Capabilities by their numbers; names that are none are left out."""
    found = {*names}
    return tuple(name for name in CAPABILITIES if name in found)


def file_capabilities(value: bytes) -> tuple[tuple[str, ...], bool]:
    """The capabilities that a file gives whoever starts it, and whether it cannot be started without them.

    A file whose capabilities are effective is refused (``EPERM``) where the bounding set lacks one of them
    (capabilities(7), "Safety checking for capability-dumb binaries"). Revision 3 is for one user namespace:
    where its root is another than the host's, the file gives nothing. So does an attribute of another form.
    """
    if len(value) < 4:
        return (), False
    (magic,) = struct.unpack_from("<I", value)
    revision = magic >> 24
    words = _REVISIONS.get(revision, 0)
    if not words or len(value) != 4 + 8 * words + (4 if revision == 3 else 0):
        return (), False
    if revision == 3 and value[-4:] != bytes(4):
        return (), False
    permitted = 0
    for word in range(words):
        (bits,) = struct.unpack_from("<I", value, 4 + 8 * word)
        permitted |= bits << (32 * word)
    names = tuple(name for number, name in enumerate(CAPABILITIES) if permitted >> number & 1)
    return names, bool(magic & _EFFECTIVE)
