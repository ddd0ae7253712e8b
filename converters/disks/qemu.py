"""Disk images in the formats of QEMU's block layer, served by qemu-nbd on a private socket."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import nbd

from converters.disks.graph import image_node
from converters.disks.nbd import NbdDisk, new_handle
from converters.disks.references import Image
from converters.disks.stretches import Stretch
from converters.errors import ConvertError, DiskError
from converters.process import Limits, Running, running

_START_SECONDS = 60.0
_POLL_SECONDS = 0.005
_BLOCK_GRAPH = re.compile(r"Failed to blk_new_open 'json:.*': ")
"""Our own words in QEMU's message."""
_LIMITS = Limits(address_space=2 << 30, file_size=1 << 30)
"""Tables of a hostile image must not take the machine's memory, nor its messages and log the scratch folder.
The tables of an honest disk of 62 TiB take at most 512 MiB."""


class QemuDisk:
    """A disk image behind a qemu-nbd of its own, which ends with ``close()`` or the thread that opened it."""

    def __init__(self, image: Image, driver: str) -> None:
        """Start qemu-nbd over an image, whose open files stay their owner's.

        Raises:
            DiskError: damaged, of another format, or naming files outside its folder.
            UnsupportedError: of a kind that QEMU does not read.
            ProcessError: qemu-nbd is not installed.
        """
        self._path = image.path
        with ExitStack() as stack:
            graph = image_node(image, driver)
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="orchestrate-nbd-"))
            # A socket's path has 108 bytes (unix(7)), which the scratch folder's alone may take.
            directory = os.open(folder, os.O_PATH | os.O_DIRECTORY)
            stack.callback(os.close, directory)
            socket = f"/proc/self/fd/{directory}/socket"
            options = ["--read-only", "--persistent", f"--socket={socket}"]
            self._server = stack.enter_context(
                running(
                    ["qemu-nbd", *options, "json:" + json.dumps(graph)],
                    pass_fds=(*image.files.descriptors, directory),
                    limits=_LIMITS,
                )
            )
            handle = _connect(socket, self._server, image, driver)
            self._disk = NbdDisk(handle, image.path)
            stack.callback(self._disk.close)
            self._resources = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def size(self) -> int:
        """Size in bytes as the guest sees it."""
        return self._disk.size

    def pread(self, length: int, offset: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``; shorter only at the end of the disk.

        Raises:
            DiskError: the image is damaged there, or qemu-nbd ended.
        """
        try:
            return self._disk.pread(length, offset)
        except DiskError as error:
            if self._disk.closed or self._server.ended() is None:
                raise
            raise DiskError(f"cannot read {self._path}: {self._server.failure().message}") from error

    def stretches(self, start: int, end: int) -> Iterator[Stretch]:
        """See ``Sparse``."""
        return self._disk.stretches(start, end)

    def close(self) -> None:
        """End the connection and the server; a second call does nothing."""
        self._resources.close()


def _connect(socket: str, server: Running, image: Image, driver: str) -> nbd.NBD:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        ended = server.ended()
        handle = new_handle()
        try:
            if Path(socket).exists():
                handle.connect_unix(socket)
                return handle
        except nbd.Error as error:
            if time.monotonic() > deadline:
                raise ConvertError(f"qemu-nbd does not serve {image.path}: {error}") from error
        if ended is not None:
            said = _BLOCK_GRAPH.sub("", image.files.explain(server.failure().message))
            raise DiskError(f"cannot open {image.path} as {driver}: {said}")
        if time.monotonic() > deadline:
            raise DiskError(f"qemu-nbd did not start on {image.path} within {_START_SECONDS:g} seconds")
        time.sleep(_POLL_SECONDS)
