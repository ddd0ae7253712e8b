"""The machines below a folder: every VMX, OVF and OVA, and disk images that none of them names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from converters.descriptors.describer import Describer
from converters.descriptors.found import Descriptor, FoundMachine
from converters.descriptors.package import Verification

IMAGES = frozenset({".vmdk", ".qcow2", ".qcow", ".vdi", ".vhd", ".vhdx", ".avhd", ".avhdx", ".img", ".raw"})
"""Endings of files that are taken for disk images."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Tree:
    """What a folder holds."""

    machines: tuple[FoundMachine, ...]
    """In the order of their paths."""
    notes: tuple[str, ...] = ()
    """What was not taken for a machine, and why."""


def read_tree(root: Path, verification: Verification) -> Tree:
    """All machines below ``root``, which is resolved. Links are not followed."""
    with Describer(root, verification) as describer:
        return _described(root, describer)


def _described(root: Path, describer: Describer) -> Tree:
    """All machines that there are.

    A disk image that no descriptor names is a machine of its own, unless a VMX or OVF lies beside it: there
    it is more likely what is left of a snapshot, or a disk that was taken out of the machine.
    """
    listing = _list(root)
    folders = listing.folders
    described = [
        machine
        for paths in folders
        for path in paths
        if Descriptor.of(path) is not Descriptor.NONE
        for machine in describer.machines(path)
    ]
    named = {name for machine in described for name in machine.files}
    alone: list[FoundMachine] = []
    orphans: list[Path] = []
    for paths in folders:
        beside = any(Descriptor.of(path) not in (Descriptor.NONE, Descriptor.OVA) for path in paths)
        for path in paths:
            if path.suffix.lower() in IMAGES and str(path) not in named:
                if beside:
                    orphans.append(path)
                else:
                    alone += describer.machines(path)
    alone = list(_not_parts(alone))
    machines = sorted((*described, *alone), key=lambda machine: (machine.path, machine.identifier))
    return Tree(tuple(machines), (*listing.notes(root), *_told(orphans, described, root)))


@dataclass(frozen=True, slots=True)
class _Listing:
    """What lies below a folder."""

    folders: list[list[Path]]
    """The files of each folder, sorted."""
    links: list[Path]
    """Links that could lead to a machine."""
    closed: list[OSError]
    """Folders that cannot be listed, and why."""

    def notes(self, root: Path) -> Iterator[str]:
        """What was not looked at, each a sentence."""
        if self.links:
            yield f"links are not followed: {_some(self.links, root)}"
        for error in self.closed:
            yield f"the folder {error.filename} cannot be listed ({error.strerror}) and is left out"


def _list(root: Path) -> _Listing:
    """Everything but hidden files and folders, and locks."""
    listing = _Listing([], [], [])
    for name, folders, files in os.walk(root, onerror=listing.closed.append):
        folders[:] = sorted(one for one in folders if not one.startswith(".") and not one.endswith(".lck"))
        listed = [Path(name) / file for file in sorted(files) if not file.startswith(".")]
        # What a link leads to is found where it lies, or is no file of the source.
        listing.folders.append([path for path in listed if path.is_file() and not path.is_symlink()])
        linked = (path for path in (*listed, *(Path(name) / one for one in folders)) if path.is_symlink())
        listing.links.extend(path for path in linked if path.is_dir() or _could_be_one(path))
    return listing


def _could_be_one(path: Path) -> bool:
    """Whether a file of this name may be a machine."""
    return Descriptor.of(path) is not Descriptor.NONE or path.suffix.lower() in IMAGES


def _not_parts(alone: Iterable[FoundMachine]) -> Iterator[FoundMachine]:
    """Those that are no extent, parent or backing file of another; nor the extent of one that is damaged."""
    listed = tuple(alone)
    parts = {name for machine in listed for name in machine.files if name != machine.path}
    for machine in listed:
        if machine.path not in parts:
            yield machine


def _told(orphans: list[Path], described: Iterable[FoundMachine], root: Path) -> Iterator[str]:
    """One sentence for all images that are left; a machine that is broken may be the one that names them."""
    broken = {Path(machine.path).parent for machine in described if machine.trouble is not None}
    left = [path for path in orphans if path.parent not in broken]
    if left:
        yield (
            f"not converted, as no machine beside them names them: {_some(left, root)}; "
            "`orchestrate convert` takes a disk image by its path"
        )


def _some(paths: list[Path], root: Path) -> str:
    """The first of the paths, and how many more there are."""
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(str(path.relative_to(root)) for path in paths[:_SHOWN]) + more
