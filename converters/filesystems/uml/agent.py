"""Runs inside user-mode Linux: assembles volumes, mounts file systems, and tells what is in them.

It is a program of its own on Debian's Python, from a RAM disk that holds hardly more than the interpreter,
and so imports little. It talks over a serial line in frames of a length and as many bytes. A request is a
letter and its fields, each with its length; answers are ``+`` for the last frame, ``~`` where more follow,
``-`` for an error in words. The other side (``session.py``) takes constants and layouts from here.
"""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LENGTH = struct.Struct("<I")
STATUS = struct.Struct("<QQIIIIqIQIIHHI")
"""Device, inode, mode, links, owner, group, seconds and nanoseconds of the last change, size, device numbers,
number of extended attributes, lengths of name and target; then both, then each attribute's lengths, name and
value."""
ATTRIBUTE = struct.Struct("<HI")
DEVICE = struct.Struct("<QI")
"""Size in bytes, length of what follows: path, ``=``, name."""

LAST, MORE, FAILED = b"+", b"~", b"-"
ASSEMBLE, MOUNT, REPLAY, LIST, LOOK, READ, END = b"A", b"M", b"V", b"L", b"S", b"R", b"Q"

LINE = "/dev/ttyS0"
RANGES = "/ranges"
"""Lines of a disk's device, first byte and number of bytes: each becomes a loop device of its own."""
PIECE_BYTES = 1024
"""Of a request, sent at once: the line loses what it has no room for (4 KiB). Each piece but the last is
acknowledged by an empty frame."""
FRAME_BYTES = 256 << 10
"""About as much of a directory in one answer."""
LARGEST_READ = 4 << 20
_PATH_PART = 4000
"""Bytes that the kernel takes as one path."""
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
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        data = b""
        while len(data) < length:
            if data:
                self.send(MORE)
            data += self._exactly(min(PIECE_BYTES, length - len(data)))
        fields, place = [data[:1]], 1
        while place < length:
            (size,) = LENGTH.unpack_from(data, place)
            place += LENGTH.size
            fields.append(data[place : place + size])
            place += size
        return fields

    def send(self, kind: bytes, data: bytes = b"") -> None:
        """One frame of an answer."""
        left = memoryview(LENGTH.pack(len(data) + 1) + kind + data)
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
    while True:
        letter, *fields = line.receive()
        if letter == END:
            return
        try:
            for kind, data in answer(letter, fields):
                line.send(kind, data)
        except OSError as error:
            line.send(FAILED, f"{error.strerror or error}".encode())


def answer(letter: bytes, fields: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """The frames that answer a request. Raises OSError: it cannot be done."""
    if letter == LIST:
        yield from children(*fields)
    elif letter == LOOK:
        yield LAST, look(*fields)
    elif letter == READ:
        path, offset, length = fields
        yield LAST, read(path, int(offset), int(length))
    elif letter == MOUNT:
        device, type, options, folder = (os.fsdecode(field) for field in fields)
        os.mkdir(folder)  # noqa: PTH102 (pathlib is not here)
        run(_BUSYBOX, "mount", "-t", type, "-o", options, device, folder)
        yield LAST, b""
    elif letter == REPLAY:
        run("/replay", *(os.fsdecode(field) for field in fields))
        yield LAST, b""
    elif letter == ASSEMBLE:
        run("/assemble")
        yield LAST, b"".join(devices())
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
                yield DEVICE.pack(os.lseek(descriptor, 0, os.SEEK_END), len(line)) + line
            finally:
                os.close(descriptor)


def enter(path: bytes) -> None:
    """Make the folder ``path``, which may be longer than the kernel takes at once, the current one."""
    os.chdir(b"/")
    while len(path) > _PATH_PART:
        cut = path.rindex(b"/", 0, _PATH_PART)
        os.chdir(path[:cut].lstrip(b"/") or b".")
        path = path[cut:].lstrip(b"/")
    os.chdir(path.lstrip(b"/") or b".")


def children(folder: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The names in a folder in byte order, each with all that there is to know of it."""
    enter(folder)
    waiting = []
    size = 0
    for name in sorted(os.fsencode(name) for name in os.listdir(".")):  # noqa: PTH208 (pathlib is not here)
        waiting.append(status(name))
        size += len(waiting[-1])
        if size >= FRAME_BYTES:
            yield MORE, b"".join(waiting)
            waiting, size = [], 0
    yield LAST, b"".join(waiting)


def look(root: bytes, path: bytes) -> bytes:
    """One name without following a symbolic link on the way; nothing where it does not exist."""
    os.chdir(root)
    *folders, name = path.split(b"/")
    for folder in folders:
        try:
            if not stat.S_ISDIR(os.lstat(folder).st_mode):
                return b""
        except FileNotFoundError:
            return b""
        os.chdir(folder)
    try:
        return status(name or b".")
    except FileNotFoundError:
        return b""


def status(name: bytes) -> bytes:
    """A name of the current folder, as ``STATUS`` lays it out."""
    found = os.lstat(name)
    target = os.readlink(name) if stat.S_ISLNK(found.st_mode) else b""  # noqa: PTH115 (a Path holds no bytes)
    attributes = []
    for attribute in sorted(os.fsencode(key) for key in os.listxattr(name, follow_symlinks=False)):
        value = os.getxattr(name, attribute, follow_symlinks=False)
        attributes.append(ATTRIBUTE.pack(len(attribute), len(value)) + attribute + value)
    seconds, nanoseconds = divmod(found.st_mtime_ns, 1_000_000_000)
    head = STATUS.pack(
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_nlink,
        found.st_uid,
        found.st_gid,
        seconds,
        nanoseconds,
        found.st_size,
        os.major(found.st_rdev),
        os.minor(found.st_rdev),
        len(attributes),
        len(name),
        len(target),
    )
    return head + name + target + b"".join(attributes)


def read(path: bytes, offset: int, length: int) -> bytes:
    """Bytes of a file or a device; fewer only at its end."""
    folder, _, name = path.rpartition(b"/")
    enter(folder)
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        parts = []
        while length and (part := os.pread(descriptor, length, offset)):
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return b"".join(parts)
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
        line.send(LAST)
        serve(line)
    except EOFError:
        pass
    finally:
        sys.stdout.flush()
        os.spawnv(os.P_WAIT, _BUSYBOX, ["busybox", "poweroff", "-f"])


if __name__ == "__main__":
    main()
