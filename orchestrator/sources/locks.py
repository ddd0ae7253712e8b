"""Whether a hypervisor has a machine's files open, by the locks that VMware leaves beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_NFS_LOCK = re.compile(r"\.lck-([0-9a-f]{16})", re.IGNORECASE)
"""ESXi on NFS: the number of the locked file, its bytes from the lowest on."""


def lock_of(files: Iterable[str]) -> str:
    """The first lock on one of the files; empty when there is none.

    Workstation and Fusion make a folder ``NAME.lck`` with a file for each process in it, ESXi on VMFS a file
    of that name, and ESXi on NFS one named after the file's number, which a copy has not.
    """
    numbers: dict[Path, dict[int, Path]] = {}
    for name in files:
        path = Path(name)
        lock = path.with_name(path.name + ".lck")
        if lock.is_file() or (lock.is_dir() and any(lock.iterdir())):
            return str(lock)
        if path.parent not in numbers:
            numbers[path.parent] = dict(_nfs_locks(path.parent))
        if numbers[path.parent] and (held := numbers[path.parent].get(path.stat().st_ino)) is not None:
            return str(held)
    return ""


def _nfs_locks(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in folder.glob(".lck-*"):
        if found := _NFS_LOCK.fullmatch(path.name):
            yield int.from_bytes(bytes.fromhex(found[1]), "little"), path
