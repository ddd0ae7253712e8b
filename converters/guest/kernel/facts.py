"""What a guest's files say of its kernel, and of what its C library asks of one."""

from __future__ import annotations

import re
from itertools import islice

from converters.guest.files import GuestFiles, printable
from converters.guest.kernel.elf import abi_notes
from converters.guest.kernel.modules import added_drivers, configured_modules
from converters.guest.kernel.sysctls import read_sysctls
from converters.guest.kernel.values import KernelFacts

_GLIBC = (
    "/lib64/libc.so.6",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/lib/i386-linux-gnu/i686/cmov/libc.so.6",
    "/lib/i386-linux-gnu/libc.so.6",
    "/lib/i686/nosegneg/libc.so.6",
    "/lib/libc.so.6",
    "/usr/lib/libc.so.6",
)
"""Where distributions have it, 64-bit ones first."""
_GLIBC_32 = (
    "/lib/ld-linux.so.2",
    "/lib/i386-linux-gnu/libc.so.6",
    "/usr/lib32/libc.so.6",
    "/lib32/libc.so.6",
)
_MUSL = ("/lib/ld-musl-x86_64.so.1", "/lib/ld-musl-i386.so.1", "/lib/ld-musl-aarch64.so.1")
_GLIBC_VERSION = re.compile(rb"GNU C Library [^\n\0]{0,200}?release version (\d{1,3}\.\d{1,3})")
_GLIBC_LIMIT = 16 << 20
"""Bytes; glibc is about 2 MiB."""
_KERNEL_IMAGE = re.compile(r"(?:vmlinu[xz]|kernel|Image)-(?!rescue)(?!\d+-rescue)(\d[\w.+~-]{0,100})")
_KERNEL_RELEASE = re.compile(r"\d+\.\d[\w.+~-]{0,100}")
_MOST_KERNELS = 20
_MOST_ENTRIES = 5000
_VSYSCALL_UNTIL = (2, 14)
"""The first glibc for x86-64 whose time(), gettimeofday() and getcpu() do without the vsyscall page."""


def read_kernel_facts(files: GuestFiles, architecture: str) -> KernelFacts:
    """What is found; nothing of it is guessed.

    Args:
        architecture: OCI's word for the guest's programs.
    """
    installed = _installed(files)
    libc = next((path for path in _GLIBC if files.is_file(path)), "")
    content = (files.content(libc, _GLIBC_LIMIT) or b"") if libc else b""
    found = _GLIBC_VERSION.search(content)
    version = found[1].decode("ascii") if found else ""
    notes = abi_notes(content)
    return KernelFacts(
        installed=installed,
        libc="glibc" if libc else "musl" if any(map(files.is_file, _MUSL)) else "",
        libc_version=version,
        minimum=notes.minimum,
        level=notes.level,
        vsyscall=architecture == "amd64" and bool(version) and _numbers(version) < _VSYSCALL_UNTIL,
        mixed=architecture == "amd64" and any(map(files.is_file, _GLIBC_32)),
        modules=configured_modules(files),
        sysctls=read_sysctls(files),
        drivers=added_drivers(files, installed),
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _installed(files: GuestFiles) -> tuple[str, ...]:
    """Releases of kernels in /boot; where it has none, of their folders of modules.

    /lib/modules is not listed first, for it holds thousands of files.
    """
    images = (_KERNEL_IMAGE.fullmatch(name) for name, _ in files.some_below("/boot", _MOST_ENTRIES))
    found = dict.fromkeys(printable(image[1]) for image in images if image)
    if not found:
        folders = (name for name, _ in files.some_below("/lib/modules", _MOST_ENTRIES) if "/" not in name)
        found = dict.fromkeys(printable(name) for name in folders if _KERNEL_RELEASE.fullmatch(name))
    return tuple(islice(found, _MOST_KERNELS))
