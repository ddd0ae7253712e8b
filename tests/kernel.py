"""The kernel's own view of a file system: the judge of every reader.

A disk image is mounted read-only through a loop device and walked with ``lstat`` and ``lgetxattr``;
the result has the shape that readers give, so a test compares two lists.
"""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from converters.filesystems.base import Entry, Filesystem, Kind

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a disk image needs root")

KINDS = {
    stat.S_IFREG: Kind.FILE,
    stat.S_IFDIR: Kind.DIRECTORY,
    stat.S_IFLNK: Kind.SYMLINK,
    stat.S_IFCHR: Kind.CHARACTER,
    stat.S_IFBLK: Kind.BLOCK,
    stat.S_IFIFO: Kind.FIFO,
    stat.S_IFSOCK: Kind.SOCKET,
}


@contextmanager
def mounted(
    image: Path, fstype: str, *, offset: int = 0, size: int | None = None, options: str = "ro"
) -> Iterator[Path]:
    """Loop-mount ``size`` bytes at byte ``offset`` of ``image`` and give the mount point; needs root."""
    words = ["loop", f"offset={offset}", *options.split(",")]
    if size is not None:
        words.append(f"sizelimit={size}")
    with tempfile.TemporaryDirectory(prefix="orchestrate-mount-") as folder:
        subprocess.run(["mount", "-t", fstype, "-o", ",".join(words), image, folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)


@contextmanager
def loop_device(image: Path) -> Iterator[str]:
    """The path of a loop device over the whole of ``image``; needs root."""
    found = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True)
    device = found.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def kernel_entries(root: Path) -> list[Entry]:
    """Every entry beneath ``root`` as the kernel tells it, in the order of ``Filesystem.walk``."""
    return [entry for entry, _ in _walk(root)]


def kernel_hashes(root: Path) -> dict[bytes, str]:
    """SHA-256 of every regular file beneath ``root`` by path."""
    hashes = {}
    for entry, real in _walk(root):
        if entry.kind is Kind.FILE:
            with open(real, "rb") as file:
                hashes[entry.path] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def reader_hashes(filesystem: Filesystem, entries: Iterable[Entry]) -> dict[bytes, str]:
    """SHA-256 of every regular file among ``entries``, read by ``filesystem``, by path."""
    hashes = {}
    for entry in entries:
        if entry.kind is Kind.FILE:
            digest = hashlib.sha256()
            for chunk in filesystem.read(entry):
                digest.update(chunk)
            hashes[entry.path] = digest.hexdigest()
    return hashes


def _walk(root: Path) -> Iterator[tuple[Entry, bytes]]:
    """Entries with a name under which each can be opened while the generator stands on it."""
    yield _entry(b"", os.fsencode(root)), os.fsencode(root)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield from _walk_directory(descriptor, b"")
    finally:
        os.close(descriptor)


def _walk_directory(descriptor: int, prefix: bytes) -> Iterator[tuple[Entry, bytes]]:
    # Names go through the directory's descriptor: a guest's path may be longer than PATH_MAX.
    for name in sorted(os.fsencode(name) for name in os.listdir(descriptor)):
        real = b"/proc/self/fd/%d/%s" % (descriptor, name)
        entry = _entry(prefix + name, real)
        yield entry, real
        if entry.kind is Kind.DIRECTORY:
            child = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                yield from _walk_directory(child, entry.path + b"/")
            finally:
                os.close(child)


def _entry(path: bytes, real: bytes) -> Entry:
    status = os.lstat(real)
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    names = sorted(os.fsencode(name) for name in os.listxattr(real, follow_symlinks=False))
    is_device = kind in (Kind.CHARACTER, Kind.BLOCK)
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind in (Kind.FILE, Kind.SYMLINK) else 0,
        mtime_ns=status.st_mtime_ns,
        inode=status.st_ino,
        nlink=status.st_nlink,
        target=os.readlink(real) if kind is Kind.SYMLINK else b"",  # noqa: PTH115 (a Path holds no bytes)
        major=os.major(status.st_rdev) if is_device else 0,
        minor=os.minor(status.st_rdev) if is_device else 0,
        xattrs=tuple((name, os.getxattr(real, name, follow_symlinks=False)) for name in names),
    )
