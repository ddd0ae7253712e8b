"""Takes from the reading process what it does not need: files, the network, core dumps, unbounded memory.

Files: what ``reach`` lists, by Landlock where the kernel has it. Network: a seccomp filter (seccomp(2)) that
lets ``socket`` make Unix sockets only. Both need no privilege and work inside containers, where namespaces
are usually refused; children inherit them. Of root's capabilities those stay that make another user of it.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import platform
import resource
import struct
from collections.abc import Iterable
from functools import cache

from converters.errors import UnsupportedError
from converters.reader import landlock

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

# Classic BPF (linux/filter.h, linux/seccomp.h): load word, jump if equal, jump if greater or equal, return.
_LD, _JEQ, _JGE, _RET = 0x20, 0x15, 0x35, 0x06
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_OFFSET_NUMBER, _OFFSET_ARCHITECTURE, _OFFSET_FIRST_ARGUMENT = 0, 4, 16
_X32_BIT = 0x40000000
_IO_URING_SETUP = 425
"""A ring can open sockets without the ``socket`` call; one number on every architecture."""

_ARCHITECTURES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""Machine: audit architecture (linux/audit.h) and number of ``socket``."""

_PR_CAPBSET_DROP = 24
_CAPGET, _CAPSET = {"x86_64": 125, "aarch64": 90}, {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION = 0x20080522
_CAPABILITIES = 64
_KEPT = sum(1 << number for number in (0, 1, 2, 3, 5, 6, 7, 8))
"""CAP_CHOWN to CAP_FOWNER, CAP_KILL to CAP_SETPCAP (capabilities(7)): for disks of other users, and helpers
that are to run as nobody."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def confine(memory_bytes: int, rules: Iterable[landlock.Rule]) -> None:
    """Confine this process and every child it will have; ``rules`` say which files they may reach.

    Raises:
        UnsupportedError: the kernel refuses; then nothing hostile may be read.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    _refuse_network()
    _drop_capabilities()
    try:
        landlock.restrict(rules)
    except OSError as error:
        raise UnsupportedError(
            f"cannot take other files away from the reading process: {error}; disks are not read unconfined",
            "see what forbids Landlock (landlock(7)) on this machine",
        ) from error


def _drop_capabilities() -> None:
    """With CAP_PERFMON or CAP_SYS_ADMIN any process's memory can be read, Landlock or not."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(_CAPABILITIES):
        if not _KEPT & 1 << capability:
            libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # refused where there is none to drop
    header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
    sets = ctypes.create_string_buffer(24)
    if libc.syscall(_CAPGET[platform.machine()], header, sets):
        raise UnsupportedError(f"cannot tell this process's capabilities: {os.strerror(ctypes.get_errno())}")
    # Effective, permitted and inheritable ones: those up to 31, then the others.
    left = [part & (_KEPT if number < 3 else 0) for number, part in enumerate(struct.unpack("6I", sets))]
    if libc.syscall(_CAPSET[platform.machine()], header, struct.pack("6I", *left)):
        raise UnsupportedError(f"cannot give up capabilities: {os.strerror(ctypes.get_errno())}")


@cache
def guard_secrets() -> None:
    """Let no reading process look into this one, whose memory and environment hold secrets.

    Landlock keeps reading processes from that. Where the kernel has none this one becomes unreadable to all
    processes of its user (``PR_SET_DUMPABLE``, prctl(2)), debuggers too, and it is told.
    """
    if landlock.version():
        return
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    log.warning(
        "this kernel has no Landlock, or an older one than Linux 5.19: a process that reads a disk has "
        "neither network nor credentials, and may read what files this user may"
    )


def _refuse_network() -> None:
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        known = " or ".join(_ARCHITECTURES)
        raise UnsupportedError(
            f"no system call filter for {machine}: disks are not read unconfined",
            f"use a worker with {known}",
        )
    architecture, socket_call = _ARCHITECTURES[machine]
    unix = 1  # AF_UNIX
    instructions = (
        (_LD, 0, 0, _OFFSET_ARCHITECTURE),
        (_JEQ, 0, 7, architecture),
        (_LD, 0, 0, _OFFSET_NUMBER),
        (_JGE, 5, 0, _X32_BIT),
        (_JEQ, 4, 0, _IO_URING_SETUP),
        (_JEQ, 0, 2, socket_call),
        (_LD, 0, 0, _OFFSET_FIRST_ARGUMENT),
        (_JEQ, 0, 1, unix),
        (_RET, 0, 0, _ALLOW),
        (_RET, 0, 0, _REFUSE),
    )
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(instructions), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    ):
        why = os.strerror(ctypes.get_errno())
        raise UnsupportedError(
            f"cannot take the network away from the reading process: {why}; disks are not read unconfined",
            "use a worker whose kernel has seccomp filters (CONFIG_SECCOMP_FILTER)",
        )
