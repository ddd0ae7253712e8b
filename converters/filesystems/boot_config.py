"""What a boot loader's configuration says of the root file system: GRUB of both generations, BLS, extlinux.

Sources: GRUB's manual, "Configuration"; the Boot Loader Specification of the UAPI group; extlinux(1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from converters.errors import FilesystemError
from converters.filesystems.access import read_bytes, resolve
from converters.filesystems.base import Filesystem, Kind
from converters.filesystems.fstab import Line, split_options, unquote

_FILES = (
    b"grub2/grubenv",
    b"grub2/grub.cfg",
    b"grub/grub.cfg",
    b"grub/grub.conf",
    b"grub/menu.lst",
    b"extlinux/extlinux.conf",
    b"syslinux/syslinux.cfg",
    b"extlinux.conf",
)
"""Below /boot, which may be a volume of its own. ``grubenv`` holds what entries of RHEL 8 share."""
_ENTRIES = b"loader/entries"
_MOST_ENTRIES = 50
_LIMIT = 1 << 20
_KERNEL_LINE = re.compile(r"\s*(?:linux\w*|kernel|options|append|(?:set\s+)?\w*kernel_?opts=)", re.IGNORECASE)
_PARAMETER = re.compile(
    r"""(?:^|[\s'"=])(?P<name>root|rootflags)=(?P<value>(?<="root=)[^"]*|"[^"]*"|'[^']*'|[^\s"']+)"""
)
"""A value with a blank is quoted, or the whole parameter is."""


@dataclass(frozen=True, slots=True)
class KernelRoot:
    """The root file system that a boot loader tells the kernel."""

    line: Line
    """In the words of an fstab; ``rootflags=`` as its options."""
    file: str


def kernel_root(filesystem: Filesystem) -> KernelRoot | None:
    """What the configuration on a file system starts by default; None where there is none or it does not say.

    Of several entries the first counts: others that GRUB's ``os-prober`` found on the machine come behind.
    """
    for file in _configurations(filesystem):
        try:
            content = read_bytes(filesystem, file, _LIMIT)
        except FilesystemError:
            continue
        for written in (content or b"").decode("utf-8", "surrogateescape").splitlines():
            if _KERNEL_LINE.match(written) and (line := _root(written)) is not None:
                return KernelRoot(line, "/" + file.decode())
    return None


def _configurations(filesystem: Filesystem) -> Iterator[bytes]:
    for folder in (b"", b"boot/"):
        yield from (folder + file for file in _FILES)
        entries = resolve(filesystem, folder + _ENTRIES)
        if entries is None or entries.kind is not Kind.DIRECTORY:
            continue
        # Newer kernels sort behind older ones, and rescue entries by their machine's number among them.
        names = [entry.path for entry in filesystem.walk(entries.path) if entry.path.endswith(b".conf")]
        yield from sorted(names[:_MOST_ENTRIES], key=lambda path: (b"rescue" in path, path))


def _root(written: str) -> Line | None:
    found = {name: value.strip("\"'") for name, value in _PARAMETER.findall(written)}
    source = found.get("root", "")
    if not source or "$" in source:
        return None
    return Line(unquote(source), "/", "auto", split_options(found.get("rootflags", "")))
