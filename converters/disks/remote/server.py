"""Serves disks of this process over the network block device protocol, on a Unix socket, read-only.

The part of the protocol that libnbd and QEMU use of a server without extensions: fixed newstyle negotiation
and simple replies (NBD protocol, https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md).
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from converters.disks.base import Disk
from converters.errors import ConvertError

log = logging.getLogger(__name__)

_MAGIC, _OPTION_MAGIC = b"NBDMAGIC", b"IHAVEOPT"
_REPLY_MAGIC = 0x3E889045565A9
_REQUEST_MAGIC, _ANSWER_MAGIC = 0x25609513, 0x67446698
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2

_EXPORT_NAME, _ABORT, _LIST, _INFO, _GO = 1, 2, 3, 6, 7
_ACK, _SERVER, _INFO_REPLY = 1, 2, 3
_UNSUPPORTED, _INVALID, _UNKNOWN = (1 << 31) + 1, (1 << 31) + 3, (1 << 31) + 6
_INFO_EXPORT = 0
_FLAGS = 1 | 2 | 1 << 8
"""Flags are sent; read-only; several connections see the same."""

_READ, _DISCONNECT = 0, 2
_EPERM, _EIO, _EINVAL = 1, 5, 22

_OPTION = struct.Struct(">8sII")
_OPTION_REPLY = struct.Struct(">QIII")
_REQUEST = struct.Struct(">IHHQQI")
_ANSWER = struct.Struct(">IIQ")
_LONGEST_OPTION = 64 << 10
_LARGEST_READ = 32 << 20
"""Bytes: what every client keeps to that is told no other limit."""
_CONNECTIONS = 64


class NbdServer:
    """A context manager: its exports can be read by name while it is entered."""

    def __init__(self, exports: Mapping[str, Disk], path: str) -> None:
        """Prepare to serve at the socket ``path``; the disks stay their owner's."""
        self._exports = {name.encode(): disk for name, disk in exports.items()}
        self._path = path
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def __enter__(self) -> Self:
        try:
            self._listener.bind(self._path)
            self._listener.listen(_CONNECTIONS)
        except BaseException:
            self._listener.close()
            raise
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
            for one in (self._listener, *self._connections):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()
        Path(self._path).unlink(missing_ok=True)

    def _start(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments, name="nbd-server")
        self._threads = [one for one in self._threads if one.is_alive()]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # shut down
                return
            with self._lock:
                if self._closed or len(self._connections) >= _CONNECTIONS:
                    connection.close()
                    continue
                self._connections.add(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                if (disk := self._negotiate(connection)) is not None:
                    _transmit(connection, disk)
        except (OSError, EOFError):
            log.debug("an NBD client went away")
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _negotiate(self, connection: socket.socket) -> Disk | None:
        """Until the client has chosen an export; None when it wants none."""
        connection.sendall(_MAGIC + _OPTION_MAGIC + struct.pack(">H", _FIXED_NEWSTYLE | _NO_ZEROES))
        (flags,) = struct.unpack(">I", _exactly(connection, 4))
        while True:
            magic, option, length = _OPTION.unpack(_exactly(connection, _OPTION.size))
            if magic != _OPTION_MAGIC or length > _LONGEST_OPTION:
                return None
            data = _exactly(connection, length)
            match option:
                case _ if option == _EXPORT_NAME:
                    if (disk := self._exports.get(data)) is None:
                        return None
                    zeros = b"" if flags & _NO_ZEROES else bytes(124)
                    connection.sendall(struct.pack(">QH", disk.size, _FLAGS) + zeros)
                    return disk
                case _ if option == _ABORT:
                    _reply(connection, option, _ACK)
                    return None
                case _ if option == _LIST:
                    for name in self._exports:
                        _reply(connection, option, _SERVER, struct.pack(">I", len(name)) + name)
                    _reply(connection, option, _ACK)
                case _ if option in (_INFO, _GO):
                    disk = self._describe(connection, option, data)
                    if disk is not None and option == _GO:
                        return disk
                case _:
                    _reply(connection, option, _UNSUPPORTED)

    def _describe(self, connection: socket.socket, option: int, data: bytes) -> Disk | None:
        if len(data) < 4 or len(data) < 4 + (length := int.from_bytes(data[:4], "big")):
            _reply(connection, option, _INVALID)
            return None
        disk = self._exports.get(data[4 : 4 + length])
        if disk is None:
            _reply(connection, option, _UNKNOWN)
            return None
        _reply(connection, option, _INFO_REPLY, struct.pack(">HQH", _INFO_EXPORT, disk.size, _FLAGS))
        _reply(connection, option, _ACK)
        return disk


def _transmit(connection: socket.socket, disk: Disk) -> None:
    """Answer one request after the other until the client disconnects."""
    while True:
        magic, _, kind, cookie, offset, length = _REQUEST.unpack(_exactly(connection, _REQUEST.size))
        if magic != _REQUEST_MAGIC or kind == _DISCONNECT:
            return
        data, error = b"", 0
        if kind != _READ:
            error = _EPERM
        elif not 0 < length <= _LARGEST_READ or offset + length > disk.size:
            error = _EINVAL
        else:
            try:
                data = disk.pread(length, offset)
            except ConvertError as failure:  # the disk keeps it for who asks why
                log.debug("an NBD read fails: %s", failure)
                error = _EIO
        connection.sendall(_ANSWER.pack(_ANSWER_MAGIC, error, cookie))
        if not error:
            connection.sendall(data)


def _reply(connection: socket.socket, option: int, kind: int, data: bytes = b"") -> None:
    connection.sendall(_OPTION_REPLY.pack(_REPLY_MAGIC, option, kind, len(data)) + data)


def _exactly(connection: socket.socket, length: int) -> bytes:
    parts = []
    while length:
        part = connection.recv(length)
        if not part:
            raise EOFError
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
