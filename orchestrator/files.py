"""A worker's part where a machine's disks are files: are they here, whole, and in nobody else's hands?

Nothing is copied: the disks are read where they lie.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from converters.descriptors.package import FileCheck, require_digest
from converters.disks.base import DiskSource
from converters.disks.parts import open_parts
from converters.errors import ConvertError
from orchestrator.download import Downloaded, empty_disk
from orchestrator.errors import FilesChangedError, FilesMissingError
from orchestrator.fleet.files import FileMark, MachineFiles
from orchestrator.sources.locks import lock_of
from orchestrator.vsphere.values import DiskDevice
from orchestrator.work import Work

_BLOCK = 4 << 20


@dataclass(frozen=True, slots=True)
class FilesOrder:
    """Which files a worker is to take for a machine's disks."""

    files: MachineFiles
    devices: tuple[DiskDevice, ...]
    absent: tuple[DiskDevice, ...] = ()
    """Of the devices those that are left out: a small empty file stands in the place of each."""


def files_stage(order: FilesOrder, work: Work) -> Downloaded:
    """Find a machine's files on this worker, and verify those that a manifest guards.

    Raises:
        FilesMissingError: one is not here, or not the one that the orchestrator saw.
        FilesChangedError: a hypervisor has one open.
        DescriptorError: one is not what its manifest says.
        StoppedError: the attempt is not wanted any more.
    """
    marks = tuple(map(require_here, order.files.marks))
    require_unlocked(mark.path for mark in marks)
    _verify(order.files.checks, work)
    absent = {device.key for device in order.absent}
    devices = {device.key: device for device in order.devices}
    disks: list[DiskSource] = []
    for index, (key, source) in enumerate(order.files.disks):
        if source is None or key in absent:
            disks.append(empty_disk(devices[key], index, work))
        else:
            disks.append(source)
    work.keep = True
    return Downloaded(tuple(disks), received=0, written=0, files=marks)


def mark(path: str) -> FileMark:
    """The state of a file now. Raises ``OSError``."""
    about = Path(path).stat()
    return FileMark(path, about.st_size, about.st_mtime_ns)


def require_here(told: FileMark) -> FileMark:
    """The mark by this worker's own view: another machine may see other times of the same file.

    Raises ``FilesMissingError`` when it is not here, or another file.
    """
    try:
        found = mark(told.path)
    except OSError as error:
        raise FilesMissingError(
            f"the worker does not see {told.path}: {error.strerror}",
            "mount the source folder at the same path on every worker",
        ) from error
    if found.size != told.size:
        raise FilesMissingError(
            f"{told.path} has {found.size:,} bytes on the worker, where the inventory saw {told.size:,}",
            "mount the same folder on every worker; when the file was being copied, run again",
        )
    return found


def require_unlocked(paths: Iterable[str]) -> None:
    """Raises ``FilesChangedError`` when a hypervisor has one of the files open."""
    if lock := lock_of(paths):
        raise FilesChangedError(
            f"the machine is in use: there is the lock {lock}",
            "power the machine off, or remove the lock if none runs from these files",
        )


def require_unchanged(marks: Iterable[FileMark]) -> None:
    """Raises ``FilesChangedError`` when a file is not as it was when it was begun to be read."""
    for before in marks:
        try:
            after = mark(before.path)
        except OSError as error:
            raise _changed(before.path, f"it is gone: {error.strerror}") from error
        if after != before:
            raise _changed(before.path, "somebody wrote to it")


def _changed(path: str, how: str) -> FilesChangedError:
    return FilesChangedError(
        f"{path} changed while it was read: {how}", "power the machine off, or copy its files, then run again"
    )


def _verify(checks: Iterable[FileCheck], work: Work) -> None:
    """Read what digests guard, and compare."""
    for check in checks:
        hasher = check.digest.hasher()
        try:
            file = open_parts((check.part,))
        except ConvertError as error:
            raise FilesMissingError(error.message, error.hint) from error
        try:
            for offset in range(0, file.size, _BLOCK):
                hasher.update(file.pread(_BLOCK, offset))
                work.check()
        finally:
            file.close()
        require_digest(check, hasher.hexdigest())
