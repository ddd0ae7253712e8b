"""User-mode Linux as a server: it assembles a guest's volumes, mounts them, and tells what is in them.

Our agent (``agent.py``) answers one request at a time over a serial line. Each answer is bounded in bytes and
seconds, as is what the machine writes: a hostile file system may rule it, and then says what it likes.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from converters.errors import ConvertError, FilesystemError, ScratchFullError
from converters.filesystems.uml import machine, wire
from converters.filesystems.uml.errors import RecoveryError
from converters.filesystems.uml.line import Answer, Line, LineError, LineLimits
from converters.filesystems.uml.machine import Machine
from converters.filesystems.uml.ramdisk import HINT, session_initrd
from converters.filesystems.uml.ranges import Range
from converters.process import Running

FILESYSTEM_MODULES = {"f2fs": ("f2fs", "crc32_generic"), "nilfs2": ("nilfs2",)}
"""What this kernel has as a module; others are built in."""

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one session may take."""

    start_seconds: float = 60
    answer_seconds: float = 300
    """For one request: a mount that replays a journal, a page of a directory, 4 MiB of a file."""
    line: LineLimits = field(default_factory=LineLimits)
    base_mib: int = 512
    """Memory for kernel and agent; a directory of a million names takes a third of it."""
    memory_mib: int = 1536
    written_bytes: int = 8 << 30
    console_bytes: int = _MIB


LIMITS = SessionLimits()


@dataclass(frozen=True, slots=True)
class Device:
    """What the machine assembled."""

    path: str
    """In the machine."""
    name: str
    """``/dev/GROUP/VOLUME``, or ``md:`` and the UUID of an array."""
    size: int


class Session:
    """One running machine over ``ranges``, its ``/dev/loop0``, ``/dev/loop1``… A context manager."""

    def __init__(
        self,
        ranges: Sequence[Range],
        scratch: Path,
        *,
        assembles: bool = False,
        modules: Sequence[str] = (),
        limits: SessionLimits = LIMITS,
    ) -> None:
        """Start it.

        Args:
            scratch: where its copy-on-write files go.
            assembles: whether it has LVM and mdadm.
            modules: of the kernel, by name.

        Raises:
            ProcessError: user-mode Linux is not installed or cannot run here.
            FilesystemError: it does not start, or the disks are too many or too large.
        """
        self._limits = limits
        self._mounts = 0
        disks = list(dict.fromkeys(part.path for part in ranges))
        if len(disks) > machine.MOST_DISKS:
            raise FilesystemError(f"user-mode Linux takes {machine.MOST_DISKS} disks, not {len(disks)}")
        memory = machine.memory_mib(limits.base_mib, disks, limits.memory_mib)
        initrd = session_initrd(ranges, disks, assembles, modules)
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="machine-", dir=scratch))
            self._workspace = Path(folder)
            self._console = stack.enter_context(open(self._workspace / "console", "x+b"))
            self._line = stack.enter_context(Line(self._check, limits.line))
            booting = Machine(self._workspace, disks, initrd, memory, ("lsm=none",), self._line.theirs)
            self._child: Running = stack.enter_context(machine.booted(booting, self._console))
            self._line.give_away()
            self._receive(self._line.expect(limits.start_seconds))  # the greeting
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def assemble(self) -> list[Device]:
        """Start arrays and volume groups; what that gave.

        Raises:
            FilesystemError: none could be started.
        """
        data = b"".join(self._ask(wire.ASSEMBLE))
        found, place = [], 0
        while place < len(data):
            size, length = _unpack(wire.DEVICE, data, place)
            place += wire.DEVICE.size
            path, _, name = data[place : place + length].decode("utf-8", "backslashreplace").partition("=")
            place += length
            found.append(Device(path, name, size))
        return found

    def mount(self, device: str, type: str, options: str) -> str:
        """Mount a device, and give the folder in the machine. Raises FilesystemError: the kernel refuses."""
        self._mounts += 1
        folder = f"/mnt/{self._mounts}"
        for _ in self._ask(wire.MOUNT, device, type, options, folder):
            pass
        return folder

    def replay(self, device: str, type: str, options: str) -> None:
        """Mount a device and unmount it, so that its journal is replayed.

        Raises:
            RecoveryError: the kernel refuses it, or does not write everything back.
        """
        try:
            for _ in self._ask(wire.REPLAY, device, type, options):
                pass
        except FilesystemError as error:
            raise RecoveryError(error.message, error.hint) from error

    def children(self, folder: bytes, start: int) -> bytes:
        """A page of what a folder holds from number ``start``, as ``wire.STATUS`` lays it out."""
        return b"".join(self._ask(wire.LIST, folder, str(start)))

    def look(self, root: bytes, path: bytes) -> bytes:
        """One name as ``wire.STATUS`` lays it out; nothing where it does not exist."""
        return b"".join(self._ask(wire.LOOK, root, path))

    def read(self, path: bytes, offset: int, length: int) -> bytes:
        """At most ``wire.LARGEST_READ`` bytes of a file or device; fewer only at its end."""
        return b"".join(self._ask(wire.READ, path, str(offset), str(length)))

    def close(self) -> None:
        """End the machine; a second call does nothing."""
        self._stack.close()

    def _ask(self, letter: bytes, *fields: bytes | str) -> Iterator[bytes]:
        """Send a request and give the frames of its answer; it has to be consumed before the next."""
        encoded = [os.fsencode(field) for field in fields]
        body = letter + b"".join(wire.LENGTH.pack(len(field)) + field for field in encoded)
        answer = self._line.expect(self._limits.answer_seconds)
        self._send(wire.LENGTH.pack(len(body)), answer)
        for place in range(0, len(body), wire.PIECE_BYTES):
            if place:
                self._receive(answer)
            self._send(body[place : place + wire.PIECE_BYTES], answer)
        more = True
        while more:
            kind, data = self._receive(answer)
            match kind:
                case wire.LAST:
                    more = False
                case wire.MORE:
                    pass
                case _:
                    raise FilesystemError(f"user-mode Linux: {_words(data)}{self._said()}")
            yield data

    def _send(self, data: bytes, answer: Answer) -> None:
        try:
            self._line.send(data, answer)
        except LineError as error:
            raise self._broken(str(error)) from error

    def _receive(self, answer: Answer) -> tuple[bytes, bytes]:
        try:
            return self._line.receive(answer)
        except LineError as error:
            raise self._broken(str(error)) from error

    def _check(self) -> None:
        """Hold the machine to its limits."""
        if os.fstat(self._console.fileno()).st_size > self._limits.console_bytes:
            raise self._broken(f"it wrote more than {self._limits.console_bytes} bytes to its console")
        if machine.written(self._workspace) > self._limits.written_bytes:
            raise self._broken(f"it changed more than {self._limits.written_bytes} bytes of the disks")

    def _broken(self, why: str) -> ConvertError:
        if machine.is_full(self._workspace):
            where = self._workspace.parent
            return ScratchFullError(f"the scratch folder {where} is full: no space for user-mode Linux")
        if self._child.ended():
            return FilesystemError(f"user-mode Linux does not run: {self._child.failure().message}", HINT)
        return FilesystemError(f"user-mode Linux cannot be used: {why}{self._said()}")

    def _said(self) -> str:
        """The last words on its console."""
        lines = os.pread(self._console.fileno(), self._limits.console_bytes, 0).splitlines()
        said = [_words(line).strip() for line in lines[-4:] if line.strip()]
        return f" ({' | '.join(said)})" if said else ""


def _words(data: bytes) -> str:
    return data[:500].decode("utf-8", "backslashreplace")


def _unpack(layout: struct.Struct, data: bytes, place: int) -> tuple[int, int]:
    try:
        size, length = layout.unpack_from(data, place)
    except struct.error:
        raise FilesystemError("user-mode Linux answers with half a device") from None
    return size, length
