"""Which engines this machine has, found out by using each a little, before a guest depends on it."""

from __future__ import annotations

import ctypes
import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import assert_never

from converters.disks.base import RawFile
from converters.disks.raw import RawDisk
from converters.errors import UnsupportedError
from converters.filesystems import uml
from converters.filesystems.engines import Engine
from converters.filesystems.ext import library
from converters.filesystems.guestfs import Appliance

_EMPTY_BYTES = 1 << 20


def require(engine: Engine, scratch: Path) -> None:
    """Find out whether an engine works here; takes up to a few seconds.

    Args:
        scratch: a folder for temporary files.

    Raises:
        ConvertError: it is missing, or may not run.
    """
    match engine:
        case Engine.EXT2FS | Engine.XFS:
            library.load()  # of which XFS takes the checksum
        case Engine.BTRFS:
            pass  # all that it needs are Python packages, without which this module is not imported
        case Engine.UML | Engine.UML_READER:
            _boot(scratch)
        case Engine.GUESTFS:
            _load_guestfs()
        case _:
            assert_never(engine)


def start_appliance(scratch: Path) -> None:
    """Start libguestfs' appliance on an empty disk; ten seconds and more without KVM.

    Args:
        scratch: a folder for temporary files.

    Raises:
        ConvertError: it does not start.
    """
    with (
        _empty_disk(scratch) as path,
        RawDisk(str(path)) as disk,
        closing(Appliance([(RawFile(str(path)), disk)], scratch)) as appliance,
    ):
        appliance.devices()


def _boot(scratch: Path) -> None:
    """Start the kernel on an empty disk: it is forbidden in some containers, where it needs ptrace(2)."""
    with _empty_disk(scratch) as disk:
        try:
            uml.recover(disk, 0, "ext4", disk.with_name("cow"))
        except uml.NotMountedError:
            return  # it ran up to the disk, where there is nothing to mount


@contextmanager
def _empty_disk(scratch: Path) -> Iterator[Path]:
    """A disk with nothing on it, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="check-", dir=scratch) as folder:
        empty = Path(folder) / "empty"
        with open(empty, "wb") as image:
            image.truncate(_EMPTY_BYTES)
        yield empty


def _load_guestfs() -> None:
    """Its module and its library; for more, see ``start_appliance``."""
    hint = "install the Debian packages libguestfs-tools, python3-guestfs and a kernel image"
    if importlib.util.find_spec("guestfs") is None:
        raise UnsupportedError("Python's module guestfs is not installed", hint)
    try:
        ctypes.CDLL("libguestfs.so.0")
    except OSError as error:
        raise UnsupportedError(f"libguestfs cannot be loaded: {error}", hint) from error
