"""A VMDK chain, read by QEMU as the one disk that it is: deltas from files, their base from an NBD export."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from converters.disks.raw import open_file
from converters.disks.remote.values import HttpRange, RemoteDisk, RemoteLayer
from converters.disks.vmdk import SECTOR
from converters.errors import DiskError
from converters.process import Limits, Running, running

_START_SECONDS = 60.0
_POLL_SECONDS = 0.005
_LIMITS = Limits(address_space=4 << 30)
_CREATE_TYPES = (("SESPARSE", "seSparse"), ("VMFSSPARSE", "vmfsSparse"))


@contextmanager
def serving(disk: RemoteDisk, copies: Mapping[HttpRange, str], base: str, path: str) -> Iterator[None]:
    """The disk, at the socket ``path``.

    Args:
        copies: paths of the files of all layers that are not flat.
        base: NBD URI of the last layer where that is flat.

    Raises:
        DiskError: a layer is damaged, or of a kind that QEMU does not read.
        ProcessError: qemu-nbd is not installed.
    """
    with ExitStack() as stack:
        descriptors: list[int] = []

        def held(descriptor: int) -> str:
            stack.callback(os.close, descriptor)
            descriptors.append(descriptor)
            return f"/proc/self/fd/{descriptor}"

        node: dict[str, Any] | None = None
        for layer in reversed(disk.layers):
            if layer.flat:
                # As raw, QEMU does not look for its content ID: whoever opened the chain has.
                node = {"driver": "raw", "read-only": True, "file": _nbd(base)}
                continue
            names = {extent.file: held(open_file(copies[extent.file])) for extent in layer.extents}
            text = held(_memory(_descriptor(layer, names)))
            file = {"driver": "file", "filename": text, "read-only": True}
            node = {"driver": "vmdk", "read-only": True, "file": file, "backing": node}
        command = ["qemu-nbd", "--read-only", "--persistent", "--shared=0", f"--socket={path}"]
        server = stack.enter_context(
            running([*command, "json:" + json.dumps(node)], pass_fds=descriptors, limits=_LIMITS)
        )
        _await(path, server, disk)
        yield


def _nbd(uri: str) -> dict[str, Any]:
    export, _, path = uri.removeprefix("nbd+unix:///").partition("?socket=")
    return {"driver": "nbd", "server": {"type": "unix", "path": path}, "export": export, "read-only": True}


def _memory(content: bytes) -> int:
    """A file in memory that holds ``content``."""
    memory = os.memfd_create("descriptor.vmdk", os.MFD_CLOEXEC)
    os.write(memory, content)
    return memory


def _descriptor(layer: RemoteLayer, names: Mapping[HttpRange, str]) -> bytes:
    """A descriptor of our own writing; QEMU reads whole sectors of it."""
    kinds = {extent.type for extent in layer.extents}
    kind = next((name for kind, name in _CREATE_TYPES if kind in kinds), "twoGbMaxExtentSparse")
    lines = [
        "# Disk DescriptorFile",
        "version=1",
        f"CID={layer.content_id:08x}",
        f"parentCID={layer.parent_content_id:08x}",
        f'createType="{kind}"',
        *(f'RW {extent.sectors} {extent.type} "{names[extent.file]}"' for extent in layer.extents),
    ]
    content = "\n".join([*lines, ""]).encode()
    return content.ljust(-(-len(content) // SECTOR) * SECTOR, b"\0")


def _greets(path: str) -> bool:
    """Whether a server is ready: qemu-nbd listens before it has opened its image, and greets after that."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial, suppress(OSError):
        trial.settimeout(_START_SECONDS)
        trial.connect(path)
        return trial.recv(8) == b"NBDMAGIC"
    return False


def _await(path: str, server: Running, disk: RemoteDisk) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        ended = server.ended() is not None
        if _greets(path):
            return
        if ended:
            raise DiskError(f"cannot open {disk.name} as one disk: {server.failure().message}")
        if time.monotonic() > deadline:
            raise DiskError(f"qemu-nbd did not start on {disk.name} within {_START_SECONDS:g} seconds")
        time.sleep(_POLL_SECONDS)
