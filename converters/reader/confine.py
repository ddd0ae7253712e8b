"""Takes from the reading process what it does not need: the network, core dumps, unbounded memory.

Network: a seccomp filter (seccomp(2)) that lets ``socket`` make Unix sockets only. It needs no privilege and
works inside containers, where network namespaces are usually refused; children inherit it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct

from converters.errors import UnsupportedError

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


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def confine(memory_bytes: int) -> None:
    """Confine this process and every child it will have.

    Raises:
        UnsupportedError: the kernel refuses; then nothing hostile may be read.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    _refuse_network()


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
