"""A read-only network block device server of one disk.

The protocol is the "fixed newstyle" of https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import struct
from enum import IntEnum

from converters.disks.base import Disk
from converters.errors import DiskError

log = logging.getLogger(__name__)

_GREETING = struct.pack(">8s8sH", b"NBDMAGIC", b"IHAVEOPT", 0b11)  # fixed newstyle, no zeroes
_OPTION_MAGIC, _OPTION_REPLY_MAGIC = 0x49484156454F5054, 0x3E889045565A9
_REQUEST_MAGIC, _REPLY_MAGIC = 0x25609513, 0x67446698
_OPTION = struct.Struct(">QII")
_OPTION_REPLY = struct.Struct(">QIII")
_REQUEST = struct.Struct(">IHHQQI")
_REPLY = struct.Struct(">IIQ")
_ACKNOWLEDGED, _INFORMATION, _UNSUPPORTED = 1, 3, (1 << 31) + 1
_INFO_EXPORT = 0
_FLAGS = 0b1_0000_0011  # has flags, read-only, several connections see the same
_EIO, _EPERM, _EINVAL = 5, 1, 22
_LARGEST_OPTION = 4096
_LARGEST_READ = 32 << 20


READY = b"ready\n"
"""What a serving process says when clients may come."""


class _Option(IntEnum):
    EXPORT_NAME = 1
    ABORT = 2
    INFO = 6
    GO = 7


class _Command(IntEnum):
    READ = 0
    WRITE = 1
    DISCONNECT = 2


class Server(socketserver.ThreadingUnixStreamServer):
    """One export; a thread for each connection. Its parent ends it."""

    daemon_threads = True

    def __init__(self, path: str, disk: Disk) -> None:
        self.disk = disk
        super().__init__(path, _Connection)


class _GoneError(Exception):
    """The client went away, or speaks another protocol."""


class _Connection(socketserver.BaseRequestHandler):
    server: Server
    request: socket.socket

    def handle(self) -> None:
        try:
            self.request.sendall(_GREETING)
            self._exactly(4)
            if self._negotiate():
                while self._answer():
                    pass
        except (OSError, _GoneError) as error:
            log.debug("an NBD client went away: %s", error)

    def _negotiate(self) -> bool:
        """Answer options until the client has chosen the export; False where it has gone."""
        export = struct.pack(">QH", self.server.disk.size, _FLAGS)
        while True:
            magic, option, length = _OPTION.unpack(self._exactly(_OPTION.size))
            if magic != _OPTION_MAGIC or length > _LARGEST_OPTION:
                raise _GoneError(f"option {option} of {length} bytes")
            self._exactly(length)
            match option:
                case _Option.EXPORT_NAME:
                    self.request.sendall(export)
                    return True
                case _Option.ABORT:
                    self._reply(option, _ACKNOWLEDGED)
                    return False
                case _Option.INFO | _Option.GO:
                    self._reply(option, _INFORMATION, struct.pack(">H", _INFO_EXPORT) + export)
                    self._reply(option, _ACKNOWLEDGED)
                    if option == _Option.GO:
                        return True
                case _:
                    self._reply(option, _UNSUPPORTED)

    def _reply(self, option: int, kind: int, data: bytes = b"") -> None:
        self.request.sendall(_OPTION_REPLY.pack(_OPTION_REPLY_MAGIC, option, kind, len(data)) + data)

    def _answer(self) -> bool:
        """One request; False where it was the last."""
        magic, _, kind, cookie, offset, length = _REQUEST.unpack(self._exactly(_REQUEST.size))
        if magic != _REQUEST_MAGIC or kind == _Command.DISCONNECT:
            return False
        if kind == _Command.WRITE:
            raise _GoneError("it writes to a read-only export")  # and its data would be taken for requests
        if kind != _Command.READ:
            self.request.sendall(_REPLY.pack(_REPLY_MAGIC, _EPERM, cookie))
            return True
        error, data = 0, b""
        if length > _LARGEST_READ or offset + length > self.server.disk.size:
            error = _EINVAL
        else:
            try:
                data = self.server.disk.pread(length, offset)
            except DiskError as failed:
                log.warning("an NBD client's read failed: %s", failed)
                error = _EIO
        self.request.sendall(_REPLY.pack(_REPLY_MAGIC, error, cookie))
        if not error:
            self.request.sendall(data)
        return True

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = self.request.recv(min(length, 1 << 16))
            if not part:
                raise _GoneError("the connection was closed")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)
