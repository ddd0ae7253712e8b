"""VMware's VDDK by nbdkit: the command line of its plugin, and what has to be there for it.

Source: nbdkit-vddk-plugin(1), nbdkit(1). The library is VMware's and may not be given out: what is here was
run against a stand-in plugin, not against the real library.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from converters import process
from orchestrator.errors import UnreadableError, UsageError
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.values import DiskDevice, SnapshotRef

THREADS = 4
"""Reads of a disk at one time."""
_START_SECONDS = 120.0
_POLL_SECONDS = 0.02
_LIBRARY = "lib64/libvixDiskLib.so*"


@dataclass(frozen=True, slots=True)
class Vddk:
    """What nbdkit needs to open disks of a vCenter."""

    vcenter: VCenterSettings
    thumbprint: str
    """SHA-1 of vCenter's certificate, ``AB:CD:…``."""
    libdir: str
    transports: str = ""
    plugin: tuple[str, ...] = ("vddk",)
    """Its name, or another with its first arguments."""

    def require(self) -> None:
        """Whether all is there that a run takes, before its first snapshot.

        Raises:
            UsageError: what is missing, and how to get it.
        """
        if self.vcenter.token_file:
            raise UsageError(
                "--transport vddk takes a user name and a password: VDDK makes sessions of its own",
                "set GOVC_USERNAME and GOVC_PASSWORD in place of --token-file",
            )
        if not any(Path(self.libdir).glob(_LIBRARY)):
            raise UsageError(
                f"no {_LIBRARY} in {self.libdir or 'a folder that --vddk-libdir names'}",
                "get VMware's Virtual Disk Development Kit, unpack it and name its folder with --vddk-libdir",
            )
        if importlib.util.find_spec("nbd") is None:
            raise UsageError("libnbd is not installed here", "install the Debian package python3-libnbd")
        try:
            process.run(["nbdkit", *self.plugin, "--dump-plugin"])
        except process.ProcessError as error:
            raise UsageError(
                f"nbdkit cannot be used: {error.message}",
                error.hint or "install nbdkit's plugin vddk (nbdkit-plugin-vddk), of the same version",
            ) from error

    def command(self, snapshot: SnapshotRef, disk: DiskDevice, socket: str, password: int) -> list[str]:
        """The command line; the password comes from the descriptor of that number."""
        options = {
            "libdir": self.libdir,
            "server": self.vcenter.host,
            "port": str(self.vcenter.port),
            "user": self.vcenter.username,
            "password": f"-{password}",
            "thumbprint": self.thumbprint,
            "vm": f"moref={snapshot.vm}",
            "snapshot": snapshot.moref,
            "transports": self.transports,
            "file": disk.file,
        }
        return [
            *("nbdkit", "--foreground", "--readonly", "--exit-with-parent", f"--threads={THREADS}"),
            *("--unix", socket),
            *self.plugin,
            *(f"{key}={value}" for key, value in options.items() if value),
        ]


@contextmanager
def serving(vddk: Vddk, snapshot: SnapshotRef, disk: DiskDevice) -> Iterator[str]:
    """The disk as the snapshot holds it, by its NBD URI.

    Enter it in a thread that lives as long: nbdkit ends with it.
    Raises ``UnreadableError`` with what nbdkit said when it cannot open the disk.
    """
    with tempfile.TemporaryDirectory(prefix="orchestrate-vddk-", dir="/tmp") as folder:
        socket = f"{folder}/socket"
        reading, writing = os.pipe()
        try:
            os.write(writing, vddk.vcenter.password.get_secret_value().encode())
            os.close(writing)
            command = vddk.command(snapshot, disk, socket, reading)
            with process.running(command, pass_fds=(reading,)) as server:
                _await(socket, server, disk)
                yield f"nbd+unix:///?socket={socket}"
        except process.ProcessError as error:
            raise UnreadableError(f"{disk.label} {disk.file}: {error.message}", error.hint) from error
        finally:
            os.close(reading)


def _await(socket: str, server: process.Running, disk: DiskDevice) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not Path(socket).exists():
        if server.ended() is not None:
            raise server.failure()
        if time.monotonic() > deadline:
            raise UnreadableError(f"nbdkit did not start on {disk.file} within {_START_SECONDS:g} seconds")
        time.sleep(_POLL_SECONDS)
