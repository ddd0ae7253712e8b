"""The processor a guest's programs are made for, from their ELF headers (elf(5))."""

from __future__ import annotations

import struct

from converters.guest.files import GuestFiles

PROGRAMS = (
    "/usr/lib/systemd/systemd",
    "/lib/systemd/systemd",
    "/sbin/init",
    "/bin/sh",
    "/bin/busybox",
    "/bin/bash",
    "/usr/bin/env",
)
"""Programs that a guest has one of, looked at in this order."""

_BITS_64 = 2
_BIG_ENDIAN = 2

_MACHINES = {
    (3, 1, 1): "386",
    (8, 1, 1): "mipsle",
    (8, 1, 2): "mips",
    (8, _BITS_64, 1): "mips64le",
    (8, _BITS_64, _BIG_ENDIAN): "mips64",
    (21, _BITS_64, 1): "ppc64le",
    (21, _BITS_64, _BIG_ENDIAN): "ppc64",
    (22, _BITS_64, _BIG_ENDIAN): "s390x",
    (40, 1, 1): "arm",
    (62, _BITS_64, 1): "amd64",
    (183, _BITS_64, 1): "arm64",
    (243, _BITS_64, 1): "riscv64",
    (258, _BITS_64, 1): "loong64",
}
"""OCI's word (Go's GOARCH) by ``e_machine``, class and byte order."""


def read_architecture(files: GuestFiles) -> str:
    """OCI's word for the first program found; empty, with a note, when there is none."""
    for path in PROGRAMS:
        header = files.head(path)[:20]
        if len(header) == 20 and header[:4] == b"\x7fELF":
            order = ">" if header[5] == _BIG_ENDIAN else "<"
            (machine,) = struct.unpack_from(order + "H", header, 18)
            if architecture := _MACHINES.get((machine, header[4], header[5])):
                return architecture
            files.note(f"{path} is made for a processor without a name in OCI (ELF machine {machine}).")
    files.note("The architecture is not known: none of " + ", ".join(PROGRAMS) + " is a known ELF program.")
    return ""
