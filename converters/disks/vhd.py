"""Virtual hard disks (VHD, QEMU's ``vpc``): footer, dynamic header, the parent of a differencing one."""

from __future__ import annotations

from converters.disks.references import Image
from converters.errors import DiskError

_SECTOR = 512
_COOKIE = b"conectix"
_DIFFERENCING = 4


def check_alone(image: Image) -> None:
    """Refuse a differencing VHD: QEMU reads one as if what its parent holds were zeros."""
    footer = image.file.pread(_SECTOR, max(0, image.file.size - _SECTOR))
    if not footer.startswith(_COOKIE):
        footer = image.file.pread(_SECTOR, 0)
    if len(footer) < 64 or int.from_bytes(footer[60:64], "big") != _DIFFERENCING:
        return
    header = image.file.pread(1024, int.from_bytes(footer[16:24], "big"))
    parent = header[64:576].decode("utf-16-be", "replace").rstrip("\0")
    raise DiskError(
        f"{image.path} holds only the differences to its parent {parent!r}", "merge it into its parent first"
    )
