"""Partition tables that Linux guests of vSphere do not have, told by name and not read."""

from __future__ import annotations

from converters.disks.base import Disk

SLICES = {
    0x63: "UNIX System V",
    0xA5: "FreeBSD",
    0xA6: "OpenBSD",
    0xA9: "NetBSD",
    0xBF: "Solaris",
}
"""Types of MBR partitions that hold a table of their own (fdisk(8))."""

_SIGNATURES = (
    ("BSD", 512, b"\x57\x45\x56\x82"),
    ("BSD", 64, b"\x57\x45\x56\x82"),
    ("Apple", 512, b"PM\0\0"),
    ("Sun", 508, b"\xda\xbe"),
    ("SGI", 0, b"\x0b\xe5\xa9\x41"),
    ("LDM (Windows dynamic disk)", 3072, b"PRIVHEAD"),
)
"""Name, byte and magic: as libblkid has them."""


def foreign_table(disk: Disk) -> str:
    """Whose partition table the disk has; empty where there is none of these."""
    head = disk.pread(4096, 0)
    for name, offset, magic in _SIGNATURES:
        if head[offset : offset + len(magic)] == magic:
            return name
    return ""
