"""Runs inside user-mode Linux: assembles volumes, mounts file systems, and tells what is in them.

It is a program of its own on Debian's Python, from a RAM disk that holds hardly more than the interpreter,
and so imports little. The other side is ``session.py``, what they say to each other ``wire.py``.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys

from converters.filesystems.uml import agent_files, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINE = "/dev/ttyS0"
RANGES = "/ranges"
"""Lines of a disk's device, first byte and number of bytes: each becomes a loop device of its own."""
_BUSYBOX = "/bin/busybox"
_LOOP_ADD, _LOOP_CONFIGURE = 0x4C80, 0x4C0A
_LOOP = struct.Struct("<II24xQQ192x64x")
"""``struct loop_config``: descriptor, block size, offset and size limit (``linux/loop.h``)."""


class Line:
    """The serial line, in raw mode."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def receive(self) -> list[bytes]:
        """The fields of the next request, its letter first."""
        (length,) = wire.LENGTH.unpack(self._exactly(wire.LENGTH.size))
        data = b""
        while len(data) < length:
            if data:
                self.send(wire.MORE)
            data += self._exactly(min(wire.PIECE_BYTES, length - len(data)))
        fields, place = [data[:1]], 1
        while place < length:
            (size,) = wire.LENGTH.unpack_from(data, place)
            place += wire.LENGTH.size
            fields.append(data[place : place + size])
            place += size
        return fields

    def send(self, kind: bytes, data: bytes = b"") -> None:
        """One frame of an answer."""
        left = memoryview(wire.LENGTH.pack(len(data) + 1) + kind + data)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = os.read(self._descriptor, length)
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def serve(line: Line) -> None:
    """Answer requests until there are none."""
    folders = agent_files.Folders()
    while True:
        letter, *fields = line.receive()
        if letter == wire.END:
            return
        try:
            for kind, data in answer(letter, fields, folders):
                line.send(kind, data)
        except OSError as error:
            line.send(wire.FAILED, f"{error.strerror or error}".encode())


def answer(
    letter: bytes, fields: Sequence[bytes], folders: agent_files.Folders
) -> Iterator[tuple[bytes, bytes]]:
    """The frames that answer a request. Raises OSError: it cannot be done."""
    if letter == wire.LIST:
        listed, start = fields
        yield from folders.page(listed, int(start))
    elif letter == wire.LOOK:
        yield wire.LAST, agent_files.look(*fields)
    elif letter == wire.READ:
        path, offset, length = fields
        yield wire.LAST, agent_files.read(path, int(offset), int(length))
    elif letter == wire.MOUNT:
        device, type, options, folder = (os.fsdecode(field) for field in fields)
        os.mkdir(folder)  # noqa: PTH102 (pathlib is not here)
        run(_BUSYBOX, "mount", "-t", type, "-o", options, device, folder)
        yield wire.LAST, b""
    elif letter == wire.REPLAY:
        run("/replay", *(os.fsdecode(field) for field in fields))
        yield wire.LAST, b""
    elif letter == wire.ASSEMBLE:
        run("/assemble")
        yield wire.LAST, b"".join(devices())
    else:
        raise OSError(f"no request {letter!r}")


def run(program: str, *arguments: str) -> None:
    """Run a program; what it says goes to the console. Raises OSError: it failed."""
    if status := os.spawnv(os.P_WAIT, program, [program, *arguments]):
        raise OSError(f"{' '.join((program, *arguments))} ended with {status}")


def devices() -> Iterator[bytes]:
    """What was assembled, as the script has listed it: path, ``=`` and name."""
    with open("/assembled", "rb") as listed:
        for line in listed.read().split():
            descriptor = os.open(line.partition(b"=")[0], os.O_RDONLY)
            try:
                yield wire.DEVICE.pack(os.lseek(descriptor, 0, os.SEEK_END), len(line)) + line
            finally:
                os.close(descriptor)


def attach() -> None:
    """A loop device for each range of a disk, in order: what the other side calls a volume is one of them."""
    with open(RANGES) as listed:
        ranges = [line.split() for line in listed]
    control = os.open("/dev/loop-control", os.O_RDWR)
    for number, (disk, start, size) in enumerate(ranges):
        if not os.path.exists(f"/dev/loop{number}"):  # noqa: PTH110 (pathlib is not here)
            fcntl.ioctl(control, _LOOP_ADD, number)
        backing = os.open(disk, os.O_RDWR)
        loop = os.open(f"/dev/loop{number}", os.O_RDWR)
        fcntl.ioctl(loop, _LOOP_CONFIGURE, _LOOP.pack(backing, 0, int(start), int(size)))
        os.close(backing)
        os.close(loop)
    os.close(control)


def main() -> None:
    """Serve the line, then switch the machine off."""
    try:
        line = Line(os.open(LINE, os.O_RDWR | os.O_NOCTTY))
        attach()
        line.send(wire.LAST)
        serve(line)
    except EOFError:
        pass
    finally:
        sys.stdout.flush()
        os.spawnv(os.P_WAIT, _BUSYBOX, ["busybox", "poweroff", "-f"])


if __name__ == "__main__":
    main()
