"""Which datastores a VM writes to while a snapshot of it is open. Pure.

vCenter lists more as a VM's: those of mounted ISO images and of a linked clone's parents are only read. A
snapshot's delta file lies beside the disk's own file, or, where the VM has a working directory and
``snapshot.redoNotWithParent``, in that; the rest of a snapshot lies in the working directory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.vsphere.names import decode
from orchestrator.vsphere.properties import Row
from orchestrator.vsphere.values import DiskDevice

FOLDERS = ("config.files.vmPathName", "config.files.snapshotDirectory")
"""Properties that name the VM's own folder and its working directory."""


def written(listed: Sequence[str], row: Row, disks: Iterable[DiskDevice]) -> tuple[str, ...]:
    """Those of the ``listed`` datastores, by name, that a VM with these disks writes to.

    All of them where one of its files is on none of them: its datastore's name cannot be read then.
    ``row`` has the properties in ``FOLDERS``.
    """
    files = [*(row.get(path, "") for path in FOLDERS), *(disk.file for disk in disks)]
    used = set(named(files))
    if not used or not used <= set(listed):
        return tuple(listed)
    return tuple(name for name in listed if name in used)


def named(paths: Iterable[str]) -> tuple[str, ...]:
    """The datastores in paths such as ``[datastore 1] folder/file.vmdk``, each once."""
    found = (path[1:].partition("]")[0] for path in paths if path.startswith("["))
    return tuple(dict.fromkeys(map(decode, found)))
