"""OVF packages, in a folder or as one OVA: machines, where their disks lie, and what is to be verified."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from converters.descriptors import archive
from converters.descriptors.machine import Address, Machine, MachineDisk
from converters.descriptors.manifest import LARGEST_MANIFEST, Digest, Manifest, parse_manifest
from converters.descriptors.ovf import EnvelopeDisk, parse_ovf
from converters.descriptors.paths import href_names, inside
from converters.descriptors.xml import LARGEST_XML
from converters.disks.base import FilePart
from converters.disks.raw import open_file, read_fully
from converters.errors import DescriptorError


class Verification(StrEnum):
    """What the manifest of a package is good for."""

    CHECK = "check"
    """A wrong digest fails the machine; what cannot be verified is told."""
    REQUIRE = "require"
    """What cannot be verified fails it, too: no manifest, a file it leaves out, an unknown algorithm."""
    SKIP = "skip"
    """Manifests are not read."""


@dataclass(frozen=True, slots=True)
class FileCheck:
    """A file of a package, and what its digest must be."""

    part: FilePart
    digest: Digest


@dataclass(frozen=True, slots=True)
class PackagedMachine:
    """A machine of a package."""

    identifier: str
    """Of the machine in its package."""
    machine: Machine
    checks: tuple[FileCheck, ...]
    """To be verified before its disks are trusted."""


Lookup = Callable[[str], FilePart | None]
"""Where a file of the package lies, by its name; None: it has none of that name."""


def read_ovf(path: Path, root: Path, verification: Verification) -> tuple[PackagedMachine, ...]:
    """The machines of the OVF descriptor at ``path``, whose files lie beside it and below ``root``.

    Raises:
        DescriptorError: damaged, incomplete, or not as its manifest says.
        DiskError: it cannot be opened.
    """
    folder = path.resolve().parent

    def look(name: str) -> FilePart | None:
        found = inside(folder, root, name.encode("utf-8", "surrogateescape"))
        return FilePart(str(found)) if found is not None and found.is_file() else None

    return _machines(str(path), FilePart(str(path)), path.name, look, verification)


def read_ova(path: Path, verification: Verification) -> tuple[PackagedMachine, ...]:
    """The machines of the OVA at ``path``; nothing is extracted.

    Raises:
        DescriptorError: damaged, incomplete, or not as its manifest says.
        DiskError: it cannot be opened.
    """
    members = {one.name: FilePart(str(path), one.offset, one.size) for one in archive.members(str(path))}
    envelope = next((name for name in members if name.lower().endswith(".ovf")), None)
    if envelope is None:
        raise DescriptorError(f"{path} holds no OVF descriptor", "is it an OVA?")
    return _machines(f"{path}: {envelope}", members[envelope], envelope, members.get, verification)


def _machines(
    what: str, envelope: FilePart, name: str, look: Lookup, verification: Verification
) -> tuple[PackagedMachine, ...]:
    data = _content(envelope, LARGEST_XML, what)
    folder, base = posixpath.split(name)
    manifest = None if verification is Verification.SKIP else _manifest(name, look)
    package = _Package(what, folder, look, verification, manifest)
    checks = package.checks(base, envelope)
    for check in checks:
        verify(check, data)
    return tuple(
        package.machine(system.identifier, system.machine, system.disks) for system in parse_ovf(data, what)
    )


def _manifest(envelope: str, look: Lookup) -> Manifest | None:
    """The manifest beside an envelope; None where there is none."""
    name = posixpath.splitext(envelope)[0] + ".mf"
    part = look(name)
    return None if part is None else parse_manifest(_content(part, LARGEST_MANIFEST, name), name)


def verify(check: FileCheck, data: bytes) -> None:
    """Raises ``DescriptorError`` where a file's content is not as its digest says."""
    hasher = check.digest.hasher()
    hasher.update(data)
    require_digest(check, hasher.hexdigest())


def require_digest(check: FileCheck, found: str) -> None:
    """Raises ``DescriptorError`` where ``found`` is not a file's digest."""
    digest = check.digest
    if found != digest.value:
        raise DescriptorError(
            f"{digest.file} is not what its package's manifest says: its {digest.told} is {found[:16]}…, not "
            f"{digest.value[:16]}…",
            "copy or export the package again; --package-digests=skip reads it all the same",
        )


@dataclass(frozen=True, slots=True)
class _Package:
    """A package whose envelope and manifest are read."""

    what: str
    folder: str
    """Of the envelope in the package: its references start there."""
    look: Lookup
    verification: Verification
    manifest: Manifest | None

    def machine(
        self, identifier: str, machine: Machine, disks: Iterable[tuple[Address, EnvelopeDisk]]
    ) -> PackagedMachine:
        """The machine with its disks found; what cannot be verified is told, or fails it."""
        found: list[MachineDisk] = []
        checks: list[FileCheck] = []
        doubts: list[str] = [] if self.manifest or not self._verifies else ["its package has no manifest"]
        for address, disk in disks:
            named = [] if disk.file is None else [self._find(name) for name in disk.file.names()]
            parts = tuple(part for _, part in named)
            found.append(MachineDisk(address, parts=parts, capacity=disk.capacity or None))
            for name, part in named:
                checks += self.checks(name, part)
                doubts += self._doubts(name)
        if doubts and self.verification is Verification.REQUIRE:
            raise DescriptorError(
                f"{self.what} cannot be verified: {'; '.join(doubts)}",
                "--package-digests=check converts it all the same",
            )
        notes = tuple(f"not verified: {doubt}" for doubt in doubts)
        complete = replace(machine, disks=tuple(found), notes=(*machine.notes, *notes))
        return PackagedMachine(identifier, complete, tuple(checks))

    def checks(self, name: str, part: FilePart) -> list[FileCheck]:
        """What the manifest says of a file, as far as it can be verified."""
        digests = self.manifest.of(name) if self.manifest else ()
        return [FileCheck(part, digest) for digest in digests if digest.algorithm]

    @property
    def _verifies(self) -> bool:
        return self.verification is not Verification.SKIP

    def _doubts(self, name: str) -> list[str]:
        """Why a file cannot be verified, in words."""
        if self.manifest is None:
            return []
        digests = self.manifest.of(name)
        if not digests:
            return [f"the manifest leaves out {name}"]
        if any(digest.algorithm for digest in digests):
            return []
        return [f"the manifest's algorithm {digests[0].told} of {name} is not known"]

    def _find(self, href: str) -> tuple[str, FilePart]:
        """A file by its reference: as the manifest names it, and where it lies."""
        for name in href_names(href, self.what):
            for place in dict.fromkeys((posixpath.join(self.folder, name), name)):
                if (part := self.look(place)) is not None:
                    return name, part
        raise DescriptorError(
            f"{self.what} refers to {href!r}, which is absent or no file of the package",
            "copy or export the package again with all its files",
        )


def _content(part: FilePart, largest: int, what: str) -> bytes:
    descriptor = open_file(part.path)
    try:
        size = os.fstat(descriptor).st_size - part.offset if part.size is None else part.size
        if size > largest:
            raise DescriptorError(f"{what} has {size:,} bytes", "is it what its name says?")
        return read_fully(descriptor, size, part.offset)
    finally:
        os.close(descriptor)
