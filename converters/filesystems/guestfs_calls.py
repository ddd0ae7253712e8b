"""Calls of libguestfs whose names are bytes: its Python module decodes them, and fails on names not in UTF-8.

The functions and structures are those of guestfs(3), stable since 1.28 (``lstatnslist``); the handle is the
Python module's. The library allows one call at a time on a handle.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from ctypes import POINTER, c_char, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_void_p
from typing import NamedTuple

from converters.errors import FilesystemError

CHUNK = 2 << 20
"""Bytes of one read; a message of the library's protocol holds less than 4 MiB."""


class StatNs(ctypes.Structure):
    """``struct guestfs_statns``."""

    _fields_ = tuple(
        (name, c_int64)
        for name in (
            *("dev", "ino", "mode", "nlink", "uid", "gid", "rdev", "size", "blksize", "blocks"),
            *("atime_sec", "atime_nsec", "mtime_sec", "mtime_nsec", "ctime_sec", "ctime_nsec"),
            *("spare1", "spare2", "spare3", "spare4", "spare5", "spare6"),
        )
    )


class _Xattr(ctypes.Structure):
    _fields_ = (("name", c_char_p), ("value_length", c_uint32), ("value", POINTER(c_char)))


class _Dirent(ctypes.Structure):
    _fields_ = (("ino", c_int64), ("ftyp", c_char), ("name", c_char_p))


class _StatNsList(ctypes.Structure):
    _fields_ = (("length", c_uint32), ("values", POINTER(StatNs)))


class _XattrList(ctypes.Structure):
    _fields_ = (("length", c_uint32), ("values", POINTER(_Xattr)))


class _DirentList(ctypes.Structure):
    _fields_ = (("length", c_uint32), ("values", POINTER(_Dirent)))


class Status(NamedTuple):
    """Of one name, not following a symbolic link (lstat(2))."""

    dev: int
    ino: int
    mode: int
    nlink: int
    uid: int
    gid: int
    rdev: int
    size: int
    mtime_ns: int


Xattrs = tuple[tuple[bytes, bytes], ...]


class Calls:
    """The calls, on one launched handle.

    Each raises FilesystemError with the library's own words when it fails.
    """

    def __init__(self, capsule: object) -> None:
        """``capsule`` is the Python module's pointer to its handle."""
        get = ctypes.pythonapi.PyCapsule_GetPointer
        get.restype, get.argtypes = c_void_p, (ctypes.py_object, c_char_p)
        self._handle = c_void_p(get(capsule, b"guestfs_h"))
        self._library = _library()

    def names(self, folder: bytes) -> list[bytes]:
        """The names in a directory, in byte order, without ``.`` and ``..``."""
        entries = self._library.guestfs_readdir(self._handle, folder)
        if not entries:
            raise self._failure(folder)
        try:
            names = [entries.contents.values[index].name for index in range(entries.contents.length)]
        finally:
            self._library.guestfs_free_dirent_list(entries)
        return sorted(name for name in names if name not in (b".", b".."))

    def status(self, folder: bytes, names: Sequence[bytes]) -> list[Status | None]:
        """What each name of a directory is; None where it does not exist."""
        found = self._library.guestfs_lstatnslist(self._handle, folder, _strings(names))
        if not found:
            raise self._failure(folder)
        try:
            values = [found.contents.values[index] for index in range(found.contents.length)]
            return [None if value.ino == -1 else _status(value) for value in values]
        finally:
            self._library.guestfs_free_statns_list(found)

    def xattrs(self, folder: bytes, names: Sequence[bytes]) -> list[Xattrs]:
        """The extended attributes of each name of a directory, sorted by attribute."""
        found = self._library.guestfs_lxattrlist(self._handle, folder, _strings(names))
        if not found:
            raise self._failure(folder)
        try:
            values = [found.contents.values[index] for index in range(found.contents.length)]
            flat = [(value.name, ctypes.string_at(value.value, value.value_length)) for value in values]
        finally:
            self._library.guestfs_free_xattr_list(found)
        return _grouped(folder, flat)

    def targets(self, folder: bytes, names: Sequence[bytes]) -> list[bytes]:
        """Where each symbolic link among the names of a directory points."""
        found = self._library.guestfs_readlinklist(self._handle, folder, _strings(names))
        if not found:
            raise self._failure(folder)
        targets = []
        for index in range(len(names)):
            targets.append(ctypes.string_at(found[index]))
            _libc().free(found[index])
        _libc().free(ctypes.cast(found, c_void_p))
        return targets

    def read(self, path: bytes, length: int, offset: int) -> bytes:
        """At most ``length`` bytes of a file from ``offset``; ``length`` is at most ``CHUNK``."""
        size = c_size_t()
        data = self._library.guestfs_pread(self._handle, path, length, offset, ctypes.byref(size))
        if not data:
            raise self._failure(path)
        try:
            return ctypes.string_at(data, size.value)
        finally:
            _libc().free(data)

    def _failure(self, path: bytes) -> FilesystemError:
        said = (self._library.guestfs_last_error(self._handle) or b"").decode("utf-8", "backslashreplace")
        return FilesystemError(f"libguestfs cannot read {path.decode('utf-8', 'backslashreplace')}: {said}")


def _status(value: StatNs) -> Status:
    mtime_ns = value.mtime_sec * 1_000_000_000 + value.mtime_nsec
    return Status(
        value.dev, value.ino, value.mode, value.nlink, value.uid, value.gid, value.rdev, value.size, mtime_ns
    )


def _grouped(folder: bytes, flat: list[tuple[bytes, bytes]]) -> list[Xattrs]:
    """``lxattrlist`` gives, for each file, a nameless record with the number of attributes, then those."""
    groups = []
    position = 0
    while position < len(flat):
        name, number = flat[position][0], flat[position][1].rstrip(b"\0")
        if name or not number.isdigit():
            where = folder.decode("utf-8", "backslashreplace")
            raise FilesystemError(f"libguestfs cannot list the extended attributes in {where}")
        end = position + 1 + int(number)
        groups.append(tuple(sorted(flat[position + 1 : end])))
        position = end
    return groups


def _strings(names: Sequence[bytes]) -> ctypes.Array[c_char_p]:
    return (c_char_p * (len(names) + 1))(*names, None)


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libguestfs.so.0")
    for name, result, arguments in (
        ("last_error", c_char_p, ()),
        ("readdir", POINTER(_DirentList), (c_char_p,)),
        ("lstatnslist", POINTER(_StatNsList), (c_char_p, POINTER(c_char_p))),
        ("lxattrlist", POINTER(_XattrList), (c_char_p, POINTER(c_char_p))),
        ("readlinklist", POINTER(c_void_p), (c_char_p, POINTER(c_char_p))),
        ("pread", c_void_p, (c_char_p, c_int, c_int64, POINTER(c_size_t))),
    ):
        function = getattr(library, f"guestfs_{name}")  # cached there, unlike an item
        function.restype, function.argtypes = result, (c_void_p, *arguments)
    for name in ("free_dirent_list", "free_statns_list", "free_xattr_list"):
        function = getattr(library, f"guestfs_{name}")  # cached there, unlike an item
        function.restype, function.argtypes = None, (c_void_p,)
    return library


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    libc.free.restype, libc.free.argtypes = None, (c_void_p,)
    return libc
