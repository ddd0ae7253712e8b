"""Disks that hold no Linux."""

from __future__ import annotations

import random
from pathlib import Path

from converters import process
from deploy.demo.guests.layout import MIB, SECTOR

_START = MIB
_SIZE = 64 * MIB
_TABLE_CLUSTER = 4


def windows(path: Path) -> None:
    """An MBR with one NTFS partition that begins with a boot sector as Windows writes it."""
    with path.open("wb") as file:
        file.truncate(_SIZE)
    sectors = (_SIZE - _START) // SECTOR
    script = f"label: dos\nstart={_START // SECTOR}, size={sectors}, type=7, bootable\n"
    process.run(["sfdisk", "--quiet", str(path)], input=script.encode())
    boot = bytearray(SECTOR)
    boot[0:3] = b"\xeb\x52\x90"
    boot[3:11] = b"NTFS    "
    boot[11:13] = SECTOR.to_bytes(2, "little")
    boot[13] = 8  # sectors a cluster
    boot[21] = 0xF8  # fixed disk
    boot[40:48] = (sectors - 1).to_bytes(8, "little")
    boot[48:56] = _TABLE_CLUSTER.to_bytes(8, "little")  # of the master file table
    boot[56:64] = (sectors // 16).to_bytes(8, "little")  # and of its mirror
    boot[64] = 0xF6  # a file record is 2**10 bytes
    boot[68] = 1
    boot[72:80] = bytes.fromhex("3c5e9f1ea85e9f10")
    boot[510:512] = b"\x55\xaa"
    with path.open("r+b") as file:
        file.seek(_START)
        file.write(boot)
        file.seek(_START + _TABLE_CLUSTER * 8 * SECTOR)
        file.write(_empty_record() * 16)


def _empty_record() -> bytes:
    """A record of the master file table without attributes."""
    record = bytearray(1024)
    record[0:4] = b"FILE"
    record[20:22] = (56).to_bytes(2, "little")  # where the attributes begin
    record[56:60] = b"\xff\xff\xff\xff"  # and end
    return bytes(record)


def garbage(path: Path) -> None:
    """Sixteen MiB of noise, the same every time."""
    path.write_bytes(random.Random(0).randbytes(16 * MIB))
