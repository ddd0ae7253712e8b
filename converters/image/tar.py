"""A tree as a deterministic tar archive, streamed in pieces."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator

from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.base import Entry, Kind
from converters.image.pax import BLOCK, PADDING, header
from converters.image.removals import RemovalTally

Chunk = bytes | memoryview
Read = Callable[[Entry], Iterable[Chunk]]

END_OF_ARCHIVE = bytes(2 * BLOCK)
LARGEST_FILE = 1 << 40
"""Default of the size guard, in bytes."""

_LOCAL_XATTRS = (b"security.selinux", b"trusted.overlay.", b"user.overlay.")


def tar_stream(
    entries: Iterable[Entry], read: Read, tally: RemovalTally, largest_file: int = LARGEST_FILE
) -> Generator[Chunk, None, int]:
    """The archive in pieces: headers, contents as ``read`` gives them, padding, the end mark.

    The generator's return value is how many entries the archive holds.

    Of several names of one inode the first is the file and the others link to it, so a file whose other names
    were filtered out of ``entries`` is an ordinary file. ``read`` is called for files that have content only.
    What a layer cannot hold is left out and counted in ``tally``.

    Raises:
        FilesystemError: a file gave more or fewer bytes than its size.
        UnsupportedError: a file is larger than ``largest_file`` bytes, holes included.
    """
    first_names: dict[tuple[int, int], bytes] = {}
    count = 0
    for entry in entries:
        reason = _unrepresentable(entry)
        if reason is not None:
            name, why = reason
            tally.add(name, why, entry.path, entry.size if entry.kind is Kind.FILE else 0)
            continue
        count += 1
        if entry.xattrs:
            entry = _portable(entry, tally)
        if entry.nlink > 1 and entry.kind is not Kind.DIRECTORY:
            first = first_names.setdefault((entry.device, entry.inode), entry.path)
            if first != entry.path:
                yield header(entry, first)
                continue
        yield header(entry)
        if entry.kind is Kind.FILE and entry.size:
            if entry.size > largest_file:
                size = f"{entry.size} bytes, holes included"
                raise UnsupportedError(
                    f"{_text(entry.path)} has {size}; the limit is {largest_file}",
                    "move what it holds to a disk of its own, or delete it: no image carries so large a file",
                )
            yield from _content(entry, read(entry))
            yield PADDING[entry.size % BLOCK]
    yield END_OF_ARCHIVE
    return count


def _content(entry: Entry, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The chunks, until they are more than the header announced.

    Raises:
        FilesystemError: other than ``entry.size`` bytes; nothing beyond the size has been given out.
    """
    left = entry.size
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            break
        yield chunk
    if left:
        found = f"{entry.size - left} bytes" if left > 0 else "more"
        raise FilesystemError(
            f"{_text(entry.path)} should have {entry.size} bytes and gave {found}",
            "the file system is damaged or changed while it was read; check it with fsck",
        )


def _unrepresentable(entry: Entry) -> tuple[str, str] | None:
    """Why a layer cannot hold the entry: a name for the reason, and the reason."""
    if b".wh." in entry.path and (entry.path.startswith(b".wh.") or b"/.wh." in entry.path):
        return "whiteout-name", "names that begin with .wh. delete other files when a layer is applied"
    if entry.kind is Kind.SOCKET:
        return "socket", "sockets exist while the program that made them runs"
    if entry.kind is Kind.CHARACTER and not entry.major and not entry.minor:
        return "whiteout-device", "the device 0:0 deletes other files where overlayfs applies a layer"
    return None


def _portable(entry: Entry, tally: RemovalTally) -> Entry:
    """The entry without attributes that mean something to the engine or its host, or fit no pax record."""
    kept = []
    for name, value in entry.xattrs:
        if name.startswith(_LOCAL_XATTRS):
            shown = name.decode("utf-8", "backslashreplace")
            tally.add(f"xattr {shown}", "labels and layers are the engine's business", entry.path)
        elif b"=" in name or not value:
            tally.add("xattr form", "pax records cannot hold a name with = or an empty value", entry.path)
        else:
            kept.append((name, value))
    return entry if len(kept) == len(entry.xattrs) else entry._replace(xattrs=tuple(kept))


def _text(name: bytes) -> str:
    return "/" + name.decode("utf-8", "backslashreplace")
