"""Landlock (landlock(7)): a process takes from itself, and from its children, all files but those it names.

It needs no privilege and works inside containers. A confined process can neither trace another that is not,
nor read that one's memory and environment in ``/proc``, whoever it runs as; from Linux 6.12 on it reaches no
abstract Unix socket (unix(7)) of another either, and sends it no signal.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""The same on every architecture (asm-generic/unistd.h)."""
_ASK_VERSION = 1
_PATH_BENEATH = 1
_SCOPE_ALL = 0b11
"""Abstract Unix sockets and signals (linux/landlock.h)."""
_NOWHERE = (errno.ENOSYS, errno.EOPNOTSUPP)
"""Not in this kernel, or switched off when it started."""


class Access(IntFlag):
    """What may be done to files (linux/landlock.h)."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_FOLDER = 1 << 3
    REMOVE_FOLDER = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHARACTER_DEVICE = 1 << 6
    MAKE_FOLDER = 1 << 7
    MAKE_FILE = 1 << 8
    MAKE_SOCKET = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK_DEVICE = 1 << 11
    MAKE_LINK = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    CONTROL_DEVICE = 1 << 15


READ = Access.READ_FILE | Access.READ_FOLDER
RUN = READ | Access.EXECUTE
_TO_FILES = Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE | Access.CONTROL_DEVICE
_KNOWN_BY = {2: Access.TRUNCATE, 3: Access.CONTROL_DEVICE, 4: Access.CONTROL_DEVICE}
"""By version: the first access that it does not know yet."""
_LEAST, _SCOPES_SINCE = 2, 6
"""Versions; the first lets no file be moved into another folder, as recovering a file system does."""
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Rule:
    """What may be done to a file, or to everything below a folder; one out of reach is passed over."""

    path: str
    access: Access


def version() -> int:
    """The version of Landlock that the running kernel has; 0: none that is of use."""
    found = int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION)))
    if found < 0 and ctypes.get_errno() not in _NOWHERE:
        raise _error()
    return found if found >= _LEAST else 0


def restrict(rules: Iterable[Rule]) -> bool:
    """From now on this process, and its children, may do what ``rules`` say; False: there is no Landlock.

    It must have called for no new privileges (``PR_SET_NO_NEW_PRIVS``). Raises ``OSError``.
    """
    known = version()
    if not known:
        return False
    handled = Access(_KNOWN_BY.get(known, Access.CONTROL_DEVICE << 1) - 1)
    # The kernel takes as much of this structure as its version has: files, network, scopes.
    fields = [handled.value, 0, _SCOPE_ALL] if known >= _SCOPES_SINCE else [handled.value]
    attributes = struct.pack(f"{len(fields)}Q", *fields)
    ruleset = _called(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    try:
        for rule in rules:
            _allow(ruleset, rule, handled)
        _called(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return True


def _allow(ruleset: int, rule: Rule, handled: Access) -> None:
    try:
        descriptor = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # whoever needs it says better what is wrong
        return
    try:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        access = rule.access & handled & (~Access(0) if is_folder else _TO_FILES)
        attributes = struct.pack("=Qi", access.value, descriptor)  # packed: linux/landlock.h
        _called(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), attributes, ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def _called(*arguments: object) -> int:
    answer = int(_libc.syscall(*arguments))
    if answer < 0:
        raise _error()
    return answer


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
