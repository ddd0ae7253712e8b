"""User-mode Linux as a server: it assembles a guest's volumes, mounts them, and tells what is in them.

Our agent (``agent.py``) answers one request at a time over a serial line. Each answer is bounded in bytes and
seconds, as is what the machine writes: a hostile file system may rule it, and then says what it likes.
"""

from __future__ import annotations

import os
import select
import stat
import struct
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Self

from converters import headway
from converters.errors import ConvertError, FilesystemError, ScratchFullError
from converters.filesystems.initrd import BUSYBOX, E2FSCK, Member, archive
from converters.filesystems.uml import agent, machine, programs
from converters.filesystems.uml.errors import RecoveryError
from converters.filesystems.uml.machine import Machine
from converters.filesystems.uml.ranges import Range
from converters.filesystems.uml.scripts import ASSEMBLE, INIT, REPLAY
from converters.process import Running, run

LVM, MDADM = Path("/sbin/lvm"), Path("/sbin/mdadm")
_MAPPER = ("dm-thin-pool", "dm-cache", "dm-cache-smq", "dm-snapshot", "dm-mirror", "dm-raid", "dm-writecache")
_ARRAYS = ("md-mod", "linear", "raid0", "raid1", "raid10", "raid456")
FILESYSTEM_MODULES = {"f2fs": ("f2fs", "crc32_generic"), "nilfs2": ("nilfs2",)}
"""What this kernel has as a module; others are built in."""

_MIB = 1 << 20
_LARGEST_FRAME = 16 * _MIB
_HINT = "install the Debian packages user-mode-linux, busybox-static, lvm2 and mdadm"


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one session may take."""

    start_seconds: float = 60
    answer_seconds: float = 300
    """For one request: a mount that replays a journal, the names of a large directory, 4 MiB of a file."""
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
        initrd = _initrd(ranges, disks, assembles, modules)
        with ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="machine-", dir=scratch))
            self._workspace = Path(folder)
            self._console = stack.enter_context(open(self._workspace / "console", "x+b"))
            requests, self._requests = _pipe(stack)
            self._answers, answers = _pipe(stack)
            line = (requests.fileno(), answers.fileno())
            booting = Machine(self._workspace, disks, initrd, memory, ("lsm=none",), line)
            self._child: Running = stack.enter_context(machine.booted(booting, self._console))
            requests.close()
            answers.close()
            self._receive(limits.start_seconds)  # the greeting
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
        data = b"".join(self._ask(agent.ASSEMBLE))
        found, place = [], 0
        while place < len(data):
            size, length = _unpack(agent.DEVICE, data, place)
            place += agent.DEVICE.size
            path, _, name = data[place : place + length].decode("utf-8", "backslashreplace").partition("=")
            place += length
            found.append(Device(path, name, size))
        return found

    def mount(self, device: str, type: str, options: str) -> str:
        """Mount a device, and give the folder in the machine. Raises FilesystemError: the kernel refuses."""
        self._mounts += 1
        folder = f"/mnt/{self._mounts}"
        for _ in self._ask(agent.MOUNT, device, type, options, folder):
            pass
        return folder

    def replay(self, device: str, type: str, options: str) -> None:
        """Mount a device and unmount it, so that its journal is replayed.

        Raises:
            RecoveryError: the kernel refuses it, or does not write everything back.
        """
        try:
            for _ in self._ask(agent.REPLAY, device, type, options):
                pass
        except FilesystemError as error:
            raise RecoveryError(error.message, error.hint) from error

    def children(self, folder: bytes) -> Iterator[bytes]:
        """What a folder holds, as ``agent.STATUS`` lays it out, in pieces of whole names."""
        return self._ask(agent.LIST, folder)

    def look(self, root: bytes, path: bytes) -> bytes:
        """One name as ``agent.STATUS`` lays it out; nothing where it does not exist."""
        return b"".join(self._ask(agent.LOOK, root, path))

    def read(self, path: bytes, offset: int, length: int) -> bytes:
        """At most ``agent.LARGEST_READ`` bytes of a file or device; fewer only at its end."""
        return b"".join(self._ask(agent.READ, path, str(offset), str(length)))

    def close(self) -> None:
        """End the machine; a second call does nothing."""
        self._stack.close()

    def _ask(self, letter: bytes, *fields: bytes | str) -> Iterator[bytes]:
        """Send a request and give the frames of its answer; it has to be consumed before the next."""
        encoded = [os.fsencode(field) for field in fields]
        body = letter + b"".join(agent.LENGTH.pack(len(field)) + field for field in encoded)
        self._send(agent.LENGTH.pack(len(body)))
        for place in range(0, len(body), agent.PIECE_BYTES):
            if place:
                self._receive(self._limits.answer_seconds)
            self._send(body[place : place + agent.PIECE_BYTES])
        more = True
        while more:
            kind, data = self._receive(self._limits.answer_seconds)
            match kind:
                case agent.LAST:
                    more = False
                case agent.MORE:
                    pass
                case _:
                    raise FilesystemError(f"user-mode Linux: {_words(data)}{self._said()}")
            yield data

    def _send(self, data: bytes) -> None:
        try:
            self._requests.write(data)
        except OSError as error:
            raise self._broken(f"it takes no request: {error.strerror}") from error

    def _receive(self, seconds: float) -> tuple[bytes, bytes]:
        deadline = time.monotonic() + seconds
        (length,) = agent.LENGTH.unpack(self._exactly(agent.LENGTH.size, deadline))
        if not 0 < length <= _LARGEST_FRAME:
            raise self._broken(f"it answers with {length} bytes")
        frame = self._exactly(length, deadline)
        headway.advance()
        return frame[:1], frame[1:]

    def _exactly(self, length: int, deadline: float) -> bytes:
        parts = []
        while length:
            ready, _, _ = select.select([self._answers], [], [], 1.0)
            if ready:
                part = self._answers.read(min(length, _MIB))
                if not part:
                    raise self._broken("it ended")
                parts.append(part)
                length -= len(part)
            self._check(deadline)
        return b"".join(parts)

    def _check(self, deadline: float) -> None:
        """Hold the machine to its limits."""
        if time.monotonic() > deadline:
            raise self._broken("it does not answer in time")
        if os.fstat(self._console.fileno()).st_size > self._limits.console_bytes:
            raise self._broken(f"it wrote more than {self._limits.console_bytes} bytes to its console")
        if machine.written(self._workspace) > self._limits.written_bytes:
            raise self._broken(f"it changed more than {self._limits.written_bytes} bytes of the disks")

    def _broken(self, why: str) -> ConvertError:
        if machine.is_full(self._workspace):
            where = self._workspace.parent
            return ScratchFullError(f"the scratch folder {where} is full: no space for user-mode Linux")
        if self._child.ended():
            return FilesystemError(f"user-mode Linux does not run: {self._child.failure().message}", _HINT)
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


def _pipe(stack: ExitStack) -> tuple[FileIO, FileIO]:
    """Both ends of a pipe: to read from, to write to."""
    reading, writing = os.pipe()
    return stack.enter_context(FileIO(reading, "r")), stack.enter_context(FileIO(writing, "w"))


def _initrd(ranges: Sequence[Range], disks: Sequence[Path], assembles: bool, modules: Sequence[str]) -> bytes:
    letters = {disk: machine.letter(index) for index, disk in enumerate(disks)}
    listed = "".join(f"/dev/ubd{letters[part.path]} {part.start} {part.size}\n" for part in ranges)
    executable, plain = stat.S_IFREG | 0o755, stat.S_IFREG | 0o644
    try:
        version = run([str(machine.kernel()), "--version"]).stdout.decode().strip()
        wanted = ["loop", *(_MAPPER + _ARRAYS if assembles else ()), *modules]
        tools = [path for path in (LVM, MDADM) if assembles and path.exists()]
        members = [
            *programs.python(),
            *programs.programs(tools),
            *programs.modules(version, wanted),
            Member("bin/busybox", executable, BUSYBOX.read_bytes()),
            Member("init", executable, INIT.encode()),
            Member("assemble", executable, ASSEMBLE.encode()),
            Member("replay", executable, REPLAY.encode()),
            Member("agent.py", plain, Path(agent.__file__).read_bytes()),
            Member("ranges", plain, listed.encode()),
        ]
        if E2FSCK.exists():
            members.append(Member("e2fsck", executable, E2FSCK.read_bytes()))
    except OSError as error:
        raise FilesystemError(f"user-mode Linux has no RAM disk: {error}", _HINT) from error
    folders = [Member(name, stat.S_IFDIR | 0o755) for name in ("dev", "mnt", "proc", "run", "sys", "tmp")]
    return archive(folders + programs.with_folders(members))
