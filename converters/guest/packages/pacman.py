"""Arch Linux' packages: pacman(8)'s local database, a folder for each."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from converters.guest.files import GuestFiles
from converters.guest.packages.values import Package, PackageFacts

_DATABASE = "/var/lib/pacman/local"
_MOST_ENTRIES = 50_000


def read_pacman(files: GuestFiles, paths: frozenset[str]) -> tuple[PackageFacts, dict[str, Package]] | None:
    """What pacman has installed, and who owns ``paths``; a folder that says no name counts not."""
    folders = [
        name.removesuffix("/desc")
        for name, _ in files.some_below(_DATABASE, _MOST_ENTRIES)
        if name.endswith("/desc") and name.count("/") == 1
    ]
    if not folders:
        return None
    count, damaged = 0, 0
    owners: dict[str, Package] = {}
    wanted = {path.lstrip("/"): path for path in paths}
    for folder in folders:
        fields = _fields(files.text(f"{_DATABASE}/{folder}/desc") or "")
        name, version = fields.get("NAME", ""), fields.get("VERSION", "")
        if not name or not version:
            damaged += 1
            continue
        count += 1
        if len(owners) * 2 < len(paths):  # each file is wanted under two names
            listed = set((files.text(f"{_DATABASE}/{folder}/files") or "").splitlines())
            package = Package(name[:200], version[:200], fields.get("ARCH", "")[:200])
            owners |= {wanted[path]: package for path in wanted.keys() & listed}
    if damaged:
        files.note(f"{_DATABASE}: {damaged} records without a name or a version were passed over.")
    return PackageFacts("pacman", _DATABASE, count), owners


def _fields(text: str) -> Mapping[str, str]:
    """The first line of each section: ``%NAME%`` and what follows it."""
    lines = text.splitlines()
    return {
        title.strip("%"): value.strip()
        for title, value in pairwise(lines)
        if title.startswith("%") and title.rstrip().endswith("%")
    }
