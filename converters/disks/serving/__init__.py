"""Any disk as an export of a network block device server, for programs that take no ``Disk``."""

from __future__ import annotations

import contextlib
import pickle
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from converters.disks.base import DiskSource, NbdSource
from converters.disks.serving.server import READY
from converters.errors import ConvertError, DiskError
from converters.process import MINIMAL_ENVIRONMENT, PIPE, running

_PATIENCE = 5.0
_LONGEST_SOCKET = 107
"""Bytes of a Unix socket's path (unix(7))."""


@contextmanager
def served(source: DiskSource) -> Iterator[NbdSource]:
    """An NBD server of the disk at ``source``, in a process of its own, as a library may hold up this one.

    Enter it in a thread that lives as long as the server.

    Raises:
        ConvertError: the disk cannot be opened, or the folder for temporary files has too long a path.
    """
    with tempfile.TemporaryDirectory(prefix="nbd-") as folder:
        path = f"{folder}/s"
        if len(path.encode()) > _LONGEST_SOCKET:
            raise ConvertError(
                f"a socket in {folder} would have a path of more than {_LONGEST_SOCKET} bytes",
                "point --scratch at a folder with a shorter path",
            )
        command = [sys.executable, "-I", "-m", "converters.disks.serving.child", path]
        env = {**MINIMAL_ENVIRONMENT, "TMPDIR": folder}
        with running(command, env=env, stdin=PIPE, stdout=PIPE, patience=0) as server:
            stdin, stdout = server.process.stdin, server.process.stdout
            assert stdin is not None and stdout is not None
            with contextlib.suppress(BrokenPipeError):  # it has ended: what it said is told next
                stdin.write(pickle.dumps(source))
                stdin.flush()
            if stdout.readline() != READY:
                server.wait(_PATIENCE)
                raise DiskError(f"the disk cannot be served: {server.failure().message}")
            yield NbdSource(f"nbd+unix:///?socket={quote(path)}")
