"""What the source of a mount is: a volume of the guest's disks, or something that no disk of it holds."""

from __future__ import annotations

import re
from enum import StrEnum

from converters.filesystems.fstab import Line
from converters.filesystems.places import is_device


class SourceKind(StrEnum):
    """Where the files of a mount come from."""

    VOLUME = "volume"
    BIND = "bind"
    """Another place of the same tree."""
    EMPTY = "empty"
    """Memory: it begins with nothing at each boot."""
    KERNEL = "kernel"
    """The kernel makes the files up."""
    NETWORK = "network"
    FILE = "file"
    """A file of the guest, mounted through a loop device."""
    OTHER = "other"
    """Put together from others by a driver: overlays, pools, file systems in user space."""


_EMPTY = ("tmpfs", "ramfs")
_KERNEL = re.compile(
    "autofs|binder|binfmt_misc|bpf|cgroup2?|configfs|cpuset|debugfs|devfs|devpts|devtmpfs|efivarfs|functionfs"
    "|fusectl|hugetlbfs|mqueue|nfsd|nsfs|pipefs|proc|pstore|resctrl|rpc_pipefs|securityfs|selinuxfs|smackfs"
    "|sockfs|sysfs|tracefs|usbdevfs|usbfs"
)
_NETWORK = re.compile(
    r"9p|afs|beegfs|ceph|cifs|coda|davfs|glusterfs|gpfs|lustre|ncpfs|nfs4?|orangefs|smb3|smbfs|sshfs|vboxsf"
    r"|vmhgfs|virtiofs|fuse\.(ceph|davfs2|glusterfs|s3fs|sshfs|vmhgfs-fuse)"
)
_PUT_TOGETHER = re.compile(r"none|overlay|aufs|unionfs|mergerfs|fuse\..+")


def source_kind(line: Line) -> SourceKind:
    """What the source of an entry is."""
    if line.has("bind", "rbind"):
        return SourceKind.BIND
    if line.type in _EMPTY:
        return SourceKind.EMPTY
    if _KERNEL.fullmatch(line.type):
        return SourceKind.KERNEL
    if _NETWORK.fullmatch(line.type):
        return SourceKind.NETWORK
    if is_device(line):
        return SourceKind.VOLUME
    if line.source.startswith("//") or ":" in line.source:
        return SourceKind.NETWORK
    if line.source.startswith("/") and not _PUT_TOGETHER.fullmatch(line.type):
        return SourceKind.FILE
    return SourceKind.OTHER
