"""From where a disk is to the disk itself: the one place that knows every kind of source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from converters.disks.base import (
    AbsentDisk,
    Disk,
    DiskSource,
    FilePart,
    ImageFile,
    NbdSource,
    PackedDisk,
    RawFile,
)
from converters.disks.chain import check_chain
from converters.disks.detect import image_format, is_gzip
from converters.disks.parts import numbered_files, open_parts
from converters.disks.references import Image, OpenFiles, image_at
from converters.disks.unpack import LARGEST_IMAGE, gunzip
from converters.disks.vdi import open_vdi
from converters.disks.vhd import open_vhd
from converters.disks.vhdx import open_differencing
from converters.disks.vhdx_header import read_header
from converters.disks.vmdk_disk import open_vmdk
from converters.errors import DiskError, UnsupportedError


def open_disk(source: DiskSource, largest_unpacked: int = LARGEST_IMAGE) -> Disk:
    """The disk at ``source``, for the caller to close.

    ``largest_unpacked`` bytes may come out of a gzip'd image whose size no envelope tells.

    The calling thread must live as long as the disk: a helper process that reads an image ends with it.

    Raises:
        DiskError: missing, empty, damaged, or not what its format says.
        LimitError: it unpacks to more than it may.
        ScratchFullError: no space to unpack it.
        ProcessError: a program that reads the format is not installed.
        UnsupportedError: nor is the library that talks to it, or it is of a kind that nothing reads.
    """
    match source:
        case RawFile(path) | AbsentDisk(path) | ImageFile(path, "raw"):
            return _open_raw(path)
        case ImageFile(path, driver, within):
            with OpenFiles() as files:
                return _open_image(image_at(path, within, files), driver)
        case PackedDisk():
            return _open_packed(source, largest_unpacked)
        case NbdSource(uri):
            return _open_nbd(uri)


def _open_raw(path: str) -> Disk:
    pieces = numbered_files(path)
    disk = open_parts(map(FilePart, pieces))
    sizes = [extent.size for extent in disk.extents]
    if any(size != sizes[0] for size in sizes[:-1]) or sizes[-1] > sizes[0]:
        disk.close()
        raise DiskError(
            f"{path} and the {len(pieces) - 1} files numbered after it differ in size",
            "rename the file if it is a whole disk, or copy the pieces again",
        )
    return disk


def _open_packed(packed: PackedDisk, largest_unpacked: int) -> Disk:
    """A disk in parts of other files, decompressed if need be."""
    with OpenFiles() as files:
        file = open_parts(packed.parts)
        files.keep_all(file)
        name = packed.parts[0].path
        if is_gzip(file):
            file = gunzip(file, name, packed.capacity, largest_unpacked)
            files.keep(file)
        driver = image_format(file)
        if driver != "raw":
            return _open_image(Image(file, name, None, files), driver)
        if packed.capacity is not None and file.size > packed.capacity:
            raise DiskError(
                f"{name} holds {file.size} bytes, where its envelope says {packed.capacity}",
                "export the disk again",
            )
        files.release(file)
        return file


def _open_image(image: Image, driver: str, above: tuple[Image, ...] = ()) -> Disk:
    """The disk that an image holds; it takes what it needs of the image's open files.

    ``above`` are the images that are differences to this one.
    """
    check_chain(image, above)

    def parent(below: Image) -> Disk:
        return _open_image(below, image_format(below.file), (*above, image))

    match driver:
        case "vmdk":
            return open_vmdk(image, parent)
        case "vpc":
            return open_vhd(image, parent)
        case "vdi":
            return open_vdi(image, parent)
        case "vhdx" if (header := read_header(image)).differencing:
            return open_differencing(image, header, parent)
        case _:
            return _open_qemu(image, driver)


def _open_qemu(image: Image, driver: str) -> Disk:
    with _libnbd_needed():
        from converters.disks.qemu import QemuDisk
    return QemuDisk(image, driver)


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
