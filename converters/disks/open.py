"""From where a disk is to the disk itself: the one place that knows every kind of source."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from converters.disks.base import AbsentDisk, Disk, DiskSource, ImageFile, NbdSource, RawFile
from converters.disks.raw import Extent, ExtentDisk, RawDisk, open_file, read_fully
from converters.disks.references import open_reference
from converters.disks.vmdk import (
    DESCRIPTOR_LIMIT,
    DESCRIPTOR_MAGIC,
    FLAT_TYPES,
    SECTOR,
    Descriptor,
    parse_descriptor,
)
from converters.errors import DiskError, UnsupportedError


def open_disk(source: DiskSource) -> Disk:
    """The disk at ``source``, for the caller to close.

    The calling thread must live as long as the disk: a helper process that reads an image ends with it.

    Raises:
        DiskError: missing, empty, damaged, or not what its format says.
        ProcessError: a program that reads the format is not installed.
        UnsupportedError: nor is the library that talks to it.
    """
    match source:
        case RawFile(path) | AbsentDisk(path):
            return _open_raw(path)
        case ImageFile(path, "raw"):
            return _open_raw(path)
        case ImageFile(path, "vmdk"):
            return _open_flat_vmdk(path) or _open_qemu(source)
        case ImageFile():
            return _open_qemu(source)
        case NbdSource(uri):
            return _open_nbd(uri)


def _open_qemu(image: ImageFile) -> Disk:
    with _libnbd_needed():
        from converters.disks.qemu import QemuDisk
    return QemuDisk(image)


def _open_nbd(uri: str) -> Disk:
    with _libnbd_needed():
        from converters.disks.nbd import NbdDisk
    return NbdDisk.connect(uri)


@contextmanager
def _libnbd_needed() -> Iterator[None]:
    """Imports of libnbd's module: the operating system's, and only there where such disks are read."""
    try:
        yield
    except ImportError as error:
        hint = "install the Debian package python3-libnbd and let this Python see its module nbd"
        raise UnsupportedError(f"libnbd is not installed: {error}", hint) from error


def _open_raw(path: str) -> Disk:
    pieces = _pieces(path)
    if len(pieces) == 1:
        return RawDisk(path)
    with ExitStack() as stack:
        disks = [stack.enter_context(RawDisk(piece)) for piece in pieces]
        if any(disk.size != disks[0].size for disk in disks[:-1]) or disks[-1].size > disks[0].size:
            raise DiskError(
                f"{path} and the {len(pieces) - 1} files numbered after it differ in size",
                "rename the file if it is a whole disk, or copy the pieces again",
            )
        stack.pop_all()
    return ExtentDisk([Extent(disk, 0, disk.size) for disk in disks])


def _pieces(path: str) -> list[str]:
    """The files of a raw image split by number (``disk.000``, ``disk.001``…), or the path alone."""
    stem, dot, number = path.rpartition(".")
    if not dot or number not in ("000", "001"):
        return [path]
    pieces = [path]
    while Path(following := f"{stem}.{int(number) + len(pieces):03d}").exists():
        pieces.append(following)
    return pieces


def _open_flat_vmdk(path: str) -> Disk | None:
    """The disk a descriptor describes if all its extents are flat and need no format; else None."""
    text = _read_descriptor(path)
    if text is not None and not text.capacity:
        raise DiskError(f"the descriptor {path} names no extents", "copy or export the disk again")
    if text is None or text.has_parent or not all(extent.type in FLAT_TYPES for extent in text.extents):
        return None
    extents: list[Extent] = []
    with ExitStack() as stack:
        for line in text.extents:
            disk = None
            if line.type != "ZERO":
                descriptor, extent_path = open_reference(path, "extent", text.file_names(line.name))
                os.close(descriptor)
                disk = stack.enter_context(RawDisk(extent_path))
            extent = Extent(disk, line.offset * SECTOR, line.sectors * SECTOR)
            if disk is not None and disk.size < extent.offset + extent.size:
                raise DiskError(
                    f"the extent {line.name!r} of {path} is shorter than its {line.sectors} sectors"
                )
            extents.append(extent)
        stack.pop_all()
    return ExtentDisk(extents)


def _read_descriptor(path: str) -> Descriptor | None:
    descriptor = open_file(Path(path).absolute().as_posix())
    try:
        data = read_fully(descriptor, DESCRIPTOR_LIMIT, 0)
    finally:
        os.close(descriptor)
    return parse_descriptor(data) if data.startswith(DESCRIPTOR_MAGIC) else None
