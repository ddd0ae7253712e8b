"""Machines as files: what a VMX, an OVF, an OVA or a bare disk image gives, or why it cannot be converted."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from converters.descriptors.machine import Address, Bus, Machine, MachineDisk
from converters.descriptors.package import FileCheck, Verification, read_ova, read_ovf
from converters.descriptors.paths import disk_path
from converters.descriptors.vmx import LARGEST_VMX
from converters.descriptors.vmx_machine import vmx_machine
from converters.disks.base import DiskSource, FilePart, ImageFile, PackedDisk
from converters.disks.detect import detect
from converters.disks.survey import survey_disk
from converters.errors import ConvertError, DefectError, DescriptorError, LimitError
from converters.reader.failures import printable

log = logging.getLogger(__name__)


class Descriptor(StrEnum):
    """What a machine is described by; the values are file name endings."""

    VMX = ".vmx"
    TEMPLATE = ".vmtx"
    """A VMX file of a template."""
    OVF = ".ovf"
    OVA = ".ova"
    NONE = ""
    """Nothing: a disk image is all there is of it."""

    @classmethod
    def of(cls, path: Path) -> Descriptor:
        """By a file's name."""
        suffix = path.suffix.lower()
        return cls(suffix) if suffix in tuple(cls) else cls.NONE


@dataclass(frozen=True, slots=True)
class FoundDisk:
    """A disk of a machine."""

    described: MachineDisk
    source: DiskSource | None
    """Where it is read; None: it has no content yet."""
    capacity: int
    """Bytes; 0 when only reading it tells."""


@dataclass(frozen=True, slots=True)
class FoundMachine:
    """A machine that files describe."""

    path: str
    """Of its descriptor, or of the one disk."""
    descriptor: Descriptor
    identifier: str
    """Among the machines of its descriptor; empty where that describes one."""
    machine: Machine
    disks: tuple[FoundDisk, ...] = ()
    files: tuple[str, ...] = ()
    """All files that it is read from."""
    checks: tuple[FileCheck, ...] = ()
    """What is to be verified before its disks are trusted."""
    trouble: ConvertError | None = None
    """Why it cannot be converted, as far as its files tell."""


def machines_at(
    path: Path, root: Path, verification: Verification = Verification.CHECK
) -> tuple[FoundMachine, ...]:
    """The machines that a descriptor, or a disk image without one, describes; trouble is told, not raised.

    Args:
        root: folder, resolved, outside which no file is opened.
    """
    kind = Descriptor.of(path)
    try:
        found = _read(path, root, kind, verification)
    except Exception as error:  # whatever is wrong with one machine's files, the others are not to suffer
        found = (troubled(path, _trouble(error, path)),)
    return tuple(map(legible, found))


def troubled(path: Path, trouble: ConvertError) -> FoundMachine:
    """The machine of a descriptor or disk image that could not be read."""
    kind = Descriptor.of(path)
    return FoundMachine(str(path), kind, "", Machine(path.stem), files=(str(path),), trouble=trouble)


def _read(path: Path, root: Path, kind: Descriptor, verification: Verification) -> tuple[FoundMachine, ...]:
    match kind:
        case Descriptor.VMX | Descriptor.TEMPLATE:
            return (_of_vmx(path, root, kind),)
        case Descriptor.OVF | Descriptor.OVA:
            return _of_package(path, root, kind, verification)
        case Descriptor.NONE:
            return (_of_disk(path, root),)


def _trouble(error: Exception, path: Path) -> ConvertError:
    match error:
        case ConvertError():
            return error
        case MemoryError():
            return LimitError(f"{path} takes more memory than a descriptor may", "is it what its name says?")
        case OSError():
            return DescriptorError(f"cannot read {path}: {error.strerror}", "check the file and its owner")
        case _:
            log.error("reading %s", path, exc_info=error)
            return DefectError(f"internal error: {type(error).__name__}: {error}")


def legible(found: FoundMachine) -> FoundMachine:
    """The same, without control characters that a descriptor may have smuggled into what people read."""
    trouble = found.trouble
    if trouble is not None:
        trouble = type(trouble)(printable(trouble.message), printable(trouble.hint))
    machine = replace(
        found.machine,
        name=printable(found.machine.name),
        guest_os=printable(found.machine.guest_os),
        guest_name=printable(found.machine.guest_name),
        annotation="\n".join(map(printable, found.machine.annotation.splitlines())),
        notes=tuple(map(printable, found.machine.notes)),
    )
    return replace(found, machine=machine, trouble=trouble)


def _of_vmx(path: Path, root: Path, kind: Descriptor) -> FoundMachine:
    with path.open("rb") as file:
        machine = vmx_machine(file.read(LARGEST_VMX + 1), path.stem)
    found = FoundMachine(str(path), kind, "", machine, files=(str(path),))
    folder = path.resolve().parent
    try:
        sources = [
            (disk, whole_file(disk_path(disk.file_names, folder, root, f"the disk {disk.address}"), root))
            for disk in machine.disks
        ]
        return _with_disks(found, sources)
    except ConvertError as error:
        return replace(found, trouble=error)


def _of_package(
    path: Path, root: Path, kind: Descriptor, verification: Verification
) -> tuple[FoundMachine, ...]:
    packaged = read_ova(path, verification) if kind is Descriptor.OVA else read_ovf(path, root, verification)
    found: list[FoundMachine] = []
    for number, one in enumerate(packaged, 1):
        files = (str(path), *(check.part.path for check in one.checks))
        shared = any(one.identifier == other.identifier for other in packaged if other is not one)
        identifier = f"{one.identifier}#{number}" if shared else one.identifier
        machine = FoundMachine(
            str(path),
            kind,
            identifier if len(packaged) > 1 else "",
            one.machine,
            files=files,
            checks=one.checks,
        )
        try:
            found.append(_with_disks(machine, [(disk, _packed(disk, root)) for disk in one.machine.disks]))
        except ConvertError as error:
            found.append(replace(machine, trouble=error))
    return tuple(found)


def _of_disk(path: Path, root: Path) -> FoundMachine:
    disk = MachineDisk(Address(Bus.SCSI, 0, 0), (str(path.name).encode("utf-8", "surrogateescape"),))
    machine = Machine(path.stem, disks=(disk,))
    return _with_disks(
        FoundMachine(str(path), Descriptor.NONE, "", machine), [(disk, whole_file(path, root))]
    )


def _with_disks(
    found: FoundMachine, sources: Iterable[tuple[MachineDisk, DiskSource | None]]
) -> FoundMachine:
    disks: list[FoundDisk] = []
    files = dict.fromkeys(found.files)
    for disk, source in sources:
        capacity = disk.capacity or 0
        if source is not None:
            surveyed = survey_disk(source)
            files.update(dict.fromkeys(surveyed.files))
            capacity = surveyed.capacity or capacity
        disks.append(FoundDisk(disk, source, capacity))
    return replace(found, disks=tuple(disks), files=tuple(files))


def whole_file(path: Path, root: Path) -> DiskSource:
    """The disk image in a file, which may name others below ``root``.

    Raises:
        DiskError: missing, empty, or not readable.
    """
    source = detect(str(path))
    return replace(source, within=str(root)) if isinstance(source, ImageFile) else source


def _packed(disk: MachineDisk, root: Path) -> DiskSource | None:
    """A disk of a package: a file of its own, a member of an archive, or chunks; None: it has no content."""
    match disk.parts:
        case ():
            return None
        case (FilePart(path, 0, None),):
            source = whole_file(Path(path), root)
            return replace(source, capacity=disk.capacity) if isinstance(source, PackedDisk) else source
        case parts:
            return PackedDisk(parts, disk.capacity)
