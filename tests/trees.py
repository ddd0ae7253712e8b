"""A tree that holds what readers get wrong, written through a kernel mount of a fresh file system."""

# Names here are arbitrary bytes, which a Path does not hold.
# ruff: noqa: PTH101, PTH102, PTH108, PTH211

from __future__ import annotations

import os
import random
import socket
import stat
import struct
from pathlib import Path

CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
"""``cap_net_raw+ep``, revision 2 (kernel ``vfs_cap_data``)."""
CAPABILITY_OF_NAMESPACE = struct.pack("<6I", 0x03000001, 1 << 10, 0, 0, 0, 1000)
"""``cap_net_bind_service+ep`` for the user namespace whose root is 1000, revision 3 (``vfs_ns_cap_data``)."""
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in (
        (0x01, 7, 0xFFFFFFFF),
        (0x02, 5, 1000),
        (0x02, 6, 3_000_000_000),
        (0x04, 5, 0xFFFFFFFF),
        (0x08, 4, 2000),
        (0x10, 7, 0xFFFFFFFF),
        (0x20, 1, 0xFFFFFFFF),
    )
)
"""Owner, two named users, group, a named group, mask, others (``posix_acl_xattr.h``)."""

BEFORE_EPOCH = -1_500_000_001
AFTER_2038 = 2**33 * 10**9 + 123_456_789
LAST = 15_032_385_535 * 10**9 + 999_999_999
"""Nanoseconds; need the extra bits of an ext4 inode, which end in the year 2446."""


def fill(
    root: Path,
    *,
    large_inodes: bool = True,
    many: int = 12_000,
    largest_attribute: int = 800,
    largest_device: tuple[int, int] = (4095, 1_048_575),
) -> None:
    """Fill the empty file system mounted at ``root``.

    ``large_inodes``: inodes have room for nanoseconds and years after 2038.
    ``many``: entries of one directory.
    ``largest_attribute``: bytes of the largest extended attribute that the file system takes.
    ``largest_device``: the largest major and minor number that it takes.
    """
    base = os.fsencode(root)
    _names(base)
    _sizes(base)
    _links(base)
    _special_files(base, largest_device)
    _attributes(base, largest_attribute)
    _crowd(base + b"/crowd", many)
    _deep(base)
    _times(base, large_inodes)


def _write(path: bytes, data: bytes = b"") -> None:
    with open(path, "wb") as file:
        file.write(data)


def _names(base: bytes) -> None:
    folder = base + b"/names"
    os.mkdir(folder)
    for byte in range(1, 256):
        if byte not in b"./":
            _write(folder + b"/" + bytes([byte]), bytes([byte]))
    _write(folder + b"/" + bytes([0xFF]) * 255)
    _write(folder + b"/" + bytes(range(1, 256)).replace(b"/", b""))
    for name in (
        b"...",
        b"a",
        b"a.b",
        b"ab",
        b"a\x01",
        b"-rf",
        b" ",
        b"\n",
        b".wh.file",
        "é".encode(),
        b"\xe9",
    ):
        _write(folder + b"/" + name, name)


def _sizes(base: bytes) -> None:
    generator = random.Random(1)
    folder = base + b"/sizes"
    os.mkdir(folder)
    for size in (
        0,
        1,
        59,
        60,
        61,
        100,
        156,
        157,
        1023,
        1024,
        1025,
        4095,
        4096,
        4097,
        65536,
        300_000,
        9_000_001,
    ):
        _write(folder + b"/%d" % size, generator.randbytes(size))
    with open(folder + b"/sparse", "wb") as file:
        # Holes before, between and after, up to the triple indirect blocks of a map of small blocks.
        for offset in (4096, 3_000_000, 90_000_000):
            file.seek(offset)
            file.write(generator.randbytes(5000))
        file.truncate(100_000_000)
    with open(folder + b"/fragmented", "wb") as file:
        for block in range(0, 1600, 2):
            file.seek(block * 4096)
            file.write(generator.randbytes(4096))
    _write(folder + b"/shrunk", generator.randbytes(20_000))
    os.truncate(folder + b"/shrunk", 10_001)
    _reserve(folder + b"/reserved")


def _reserve(path: bytes) -> None:
    """A file with blocks that were reserved and never written: in its middle, and beyond its end."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, 500_000)
        os.pwrite(descriptor, b"written", 200_000)
    finally:
        os.close(descriptor)


def _links(base: bytes) -> None:
    folder = base + b"/links"
    os.mkdir(folder)
    for length in (1, 58, 59, 60, 61, 155, 156, 157, 500, 1000):
        os.symlink(b"t" * length, folder + b"/%d" % length)
    os.symlink(b"\xff/../\x01 ->", folder + b"/bytes")
    os.symlink(b"self", folder + b"/self")
    _write(folder + b"/one", b"one file, three names")
    os.mkdir(base + b"/links-elsewhere")
    os.link(folder + b"/one", folder + b"/0-two")
    os.link(folder + b"/one", base + b"/links-elsewhere/three")


def _special_files(base: bytes, largest_device: tuple[int, int]) -> None:
    folder = base + b"/special"
    os.mkdir(folder, 0o1777)
    os.chmod(folder, 0o3777)
    for major, minor in ((1, 3), (255, 255), (0, 0), (8, 256), (256, 1), largest_device):
        name = b"/%d:%d" % (major, minor)
        os.mknod(folder + name + b"c", 0o640 | stat.S_IFCHR, os.makedev(major, minor))
        os.mknod(folder + name + b"b", 0o604 | stat.S_IFBLK, os.makedev(major, minor))
    os.mkfifo(folder + b"/fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(folder + b"/socket")
    _write(folder + b"/setuid")
    os.chown(folder + b"/setuid", 2**31 + 7, 2**32 - 2)
    os.chmod(folder + b"/setuid", 0o6755)
    os.symlink(b"x", folder + b"/owned-link")
    os.lchown(folder + b"/owned-link", 70_000, 80_000)


def _attributes(base: bytes, largest: int) -> None:
    folder = base + b"/attributes"
    os.mkdir(folder)
    for name in (b"one", b"two", b"many", b"large", b"acl", b"empty"):
        _write(folder + b"/" + name, b"content")
    os.setxattr(folder + b"/one", "security.capability", CAPABILITY)
    os.setxattr(folder + b"/one", "security.selinux", b"system_u:object_r:bin_t:s0\0")
    os.setxattr(folder + b"/two", "security.capability", CAPABILITY_OF_NAMESPACE)
    for i in range(12):
        os.setxattr(folder + b"/many", f"user.attribute-{i}", b"\0\xff" * i)
    os.setxattr(folder + b"/many", "trusted.overlay.opaque", b"y")
    os.setxattr(folder + b"/large", "user.large", b"v" * largest)
    os.setxattr(folder + b"/empty", "user.empty", b"")
    os.setxattr(folder + b"/acl", "system.posix_acl_access", ACL)
    os.setxattr(folder, "system.posix_acl_default", ACL)
    _write(folder + b"/inherits")
    for i in range(3):
        _write(folder + b"/shared-%d" % i)
        os.setxattr(folder + b"/shared-%d" % i, "user.shared", b"s" * 300)
    os.symlink(b"l" * 70, folder + b"/link")
    os.setxattr(folder + b"/link", "trusted.link", b"slow", follow_symlinks=False)
    os.symlink(b"short", folder + b"/short-link")
    os.setxattr(folder + b"/short-link", "trusted.link", b"f" * 400, follow_symlinks=False)
    os.symlink(b"in the inode", folder + b"/link-large")
    os.setxattr(folder + b"/link-large", "trusted.link", b"L" * largest, follow_symlinks=False)


def _crowd(folder: bytes, many: int) -> None:
    os.mkdir(folder)
    for i in range(many):
        os.close(os.open(folder + b"/entry-%06d" % (i * 7919 % many), os.O_CREAT | os.O_WRONLY, 0o600))
    for i in range(0, many, 5):
        os.unlink(folder + b"/entry-%06d" % i)


def _deep(base: bytes) -> None:
    """Directories below each other, to a path longer than ``PATH_MAX``."""
    descriptor = os.open(base, os.O_RDONLY)
    for level in range(25):
        name = (b"%02d" % level).ljust(200, b"d")
        os.mkdir(name, dir_fd=descriptor)
        child = os.open(name, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = child
    os.close(os.open(b"bottom", os.O_CREAT | os.O_WRONLY, dir_fd=descriptor))
    os.close(descriptor)
    os.mkdir(base + b"/empty")


def _times(base: bytes, large_inodes: bool) -> None:
    folder = base + b"/times"
    os.mkdir(folder)
    times = [0, 10**9, 2_147_483_647 * 10**9, -1_000_000_000, -(2**31) * 10**9]
    if large_inodes:
        times += [BEFORE_EPOCH, AFTER_2038, LAST, 2**31 * 10**9, 2**32 * 10**9 + 999_999_999, 1]
    for i, time in enumerate(times):
        _write(folder + b"/%d" % i)
        os.utime(folder + b"/%d" % i, ns=(time, time))
    os.symlink(b"0", folder + b"/link")
    os.utime(folder + b"/link", ns=(5 * 10**9, 5 * 10**9), follow_symlinks=False)
    os.utime(folder, ns=(7 * 10**9, 7 * 10**9))
