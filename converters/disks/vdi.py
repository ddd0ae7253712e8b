"""VirtualBox disk images (VDI): dynamic, fixed and differencing.

Read here because QEMU refuses differencing ones, knows blocks of 1 MiB only, and reads what is missing at the
end of a file as zeros. The format is that of VirtualBox's ``src/VBox/Storage/VDICore.h``.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from uuid import UUID

from converters.disks.base import Disk
from converters.disks.blocks import Block, BlockDisk, Nothing, incomplete
from converters.disks.references import Image, OpenFiles, image_at
from converters.disks.tables import numbers
from converters.errors import ConvertError, DiskError, UnsupportedError

_HEADER = struct.Struct("<64xIIIII256xII16x4xQIIII16s16s16s16s")
_SIGNATURE = 0xBEDA107F
_VERSION = 1 << 16 | 1
_DYNAMIC, _FIXED, _DIFFERENCING = 1, 2, 4
_ZERO = 0xFFFFFFFE
"""Entry of a block of zeros; above it, that of one that is not there."""
_MOST_BLOCKS = 1 << 26
"""64 TiB in blocks of 1 MiB; 256 MiB of memory."""
_NO_UUID = bytes(16)
_MOST_CANDIDATES = 10_000
_MOST_ENTRIES = 200_000
"""Names in folders among which a parent is looked for: some seconds, on slow storage a minute."""


@dataclass(frozen=True, slots=True)
class VdiHeader:
    """What an image says of itself; sizes in bytes."""

    kind: int
    map_offset: int
    data_offset: int
    size: int
    block_size: int
    extra: int
    """Before the bytes of each block."""
    blocks: int
    created: bytes
    modified: bytes
    parent: bytes
    """The parent's ``created``."""
    parent_modified: bytes

    @property
    def differencing(self) -> bool:
        """Whether it holds only what differs from a parent."""
        return self.kind == _DIFFERENCING or self.parent != _NO_UUID


class VdiMap:
    """Where the blocks are: 4 bytes of memory each."""

    sector = 512
    sectors_from_high_bit = False

    def __init__(self, header: VdiHeader, entries: array[int]) -> None:
        self._header = header
        self._entries = entries
        self.block_size = header.block_size

    def block(self, number: int) -> Block | Nothing:
        """Where a block is."""
        match self._entries[number]:
            case 0xFFFFFFFF:
                return Nothing.ABSENT
            case 0xFFFFFFFE:
                return Nothing.ZERO
            case entry:
                return Block(self.place(entry))

    def place(self, entry: int) -> int:
        """The byte of the file where the block with a number of the map begins."""
        header = self._header
        return header.data_offset + entry * (header.block_size + header.extra) + header.extra


def open_vdi(image: Image, open_parent: Callable[[Image], Disk]) -> Disk:
    """The disk in a VDI, which takes over the image's file; ``open_parent`` opens what it is over.

    Raises:
        DiskError: damaged or incomplete, or its parent is absent or was changed.
        UnsupportedError: a version that is not known.
    """
    header = read_header(image)
    entries = numbers(image.file, header.map_offset, header.blocks, "I")
    if len(entries) != header.blocks:
        raise incomplete(image.path, image.file, header.map_offset + header.blocks * entries.itemsize)
    blocks = VdiMap(header, entries)
    highest = max((entry for entry in entries if entry < _ZERO), default=None)
    if highest is not None and (end := blocks.place(highest) + header.block_size) > image.file.size:
        # The last block of a disk that is no multiple of one may be cut short.
        rest = header.size % header.block_size
        if not rest or entries[-1] != highest or end - header.block_size + rest > image.file.size:
            raise incomplete(image.path, image.file, end)
    with ExitStack() as stack:
        parent = None
        if header.differencing:
            parent = open_parent(_parent(image, header))
            stack.callback(parent.close)
        disk = BlockDisk(image.file, image.path, header.size, blocks, parent)
        image.files.release(image.file)
        stack.pop_all()
    return disk


def read_header(image: Image) -> VdiHeader:
    """The header of a VDI.

    Raises:
        DiskError: it contradicts itself.
        UnsupportedError: a version that is not known.
    """
    head = image.file.pread(_HEADER.size, 0)
    if len(head) < _HEADER.size:
        raise DiskError(f"{image.path}: too short for a VDI", "copy or export the disk again")
    signature, version, _, kind, _, map_offset, data_offset, *rest = _HEADER.unpack(head)
    if signature != _SIGNATURE or version != _VERSION or kind not in (_DYNAMIC, _FIXED, _DIFFERENCING):
        raise UnsupportedError(
            f"{image.path}: a VDI of version {version >> 16}.{version & 0xFFFF}, type {kind}",
            "convert it with `VBoxManage clonemedium`",
        )
    size, block_size, extra, blocks, _, created, modified, parent, parent_modified = rest
    if (
        not size
        or block_size < 512
        or block_size & (block_size - 1)
        or not -(-size // block_size) <= blocks <= _MOST_BLOCKS
    ):
        raise DiskError(
            f"{image.path}: a VDI of {size} bytes in {blocks} blocks of {block_size}",
            "copy or export the disk again",
        )
    return VdiHeader(
        kind,
        map_offset,
        data_offset,
        size,
        block_size,
        extra,
        blocks,
        created,
        modified,
        parent,
        parent_modified,
    )


def size_and_parent(image: Image) -> tuple[int, Image | None]:
    """Bytes that the guest sees, and what the image is over, if it is.

    Raises:
        DiskError: damaged, or its parent is absent or was changed.
        UnsupportedError: a version that is not known.
    """
    header = read_header(image)
    return header.size, _parent(image, header) if header.differencing else None


def _parent(image: Image, header: VdiHeader) -> Image:
    """The parent, which a VDI names by its UUID alone: looked for beside the image and below its root.

    Raises:
        DiskError: none has the UUID, or it was changed since.
    """
    wanted = UUID(bytes_le=header.parent)
    if image.root is None:
        raise DiskError(
            f"{image.path} is over the disk {wanted}, and a disk in an archive must stand alone",
            "extract the archive and convert the image there",
        )
    for path in islice(_images(Path(image.path).resolve().parent, image.root), _MOST_CANDIDATES):
        with OpenFiles() as files:
            try:
                candidate = image_at(path, str(image.root), files)
                found = read_header(candidate)
            except ConvertError:
                continue  # another file of that name is no business of this disk
            if found.created != header.parent:
                continue
            if header.parent_modified not in (_NO_UUID, found.modified):
                raise DiskError(
                    f"{image.path} was made over another state of its parent {path}: that was changed since",
                    "copy the whole chain of disks at one time",
                )
            files.release(candidate.file)
            image.files.keep_all(candidate.file)
            return Image(candidate.file, candidate.path, image.root, image.files)
    raise DiskError(
        f"{image.path} needs its parent, the VDI with UUID {wanted}, and no file below {image.root} is it",
        "copy the parent beside the image",
    )


def _images(folder: Path, root: Path) -> Iterator[str]:
    """Files below ``root`` that are called like a VDI, the nearest to ``folder`` first.

    Links are not followed. VirtualBox keeps a machine's snapshots in a folder below that of its disks. After
    ``_MOST_ENTRIES`` names no more are looked at.
    """
    above = [one for one in folder.parents if one.is_relative_to(root)]
    waiting = deque(dict.fromkeys((str(folder), *map(str, above), str(root))))
    queued = set(waiting)
    left = _MOST_ENTRIES
    while waiting and left:
        try:
            with os.scandir(waiting.popleft()) as listing:
                entries = sorted(islice(listing, left), key=lambda entry: entry.name)
        except OSError:  # a folder that is closed to us, or has gone
            continue
        left -= len(entries)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.path not in queued:
                    queued.add(entry.path)
                    waiting.append(entry.path)
            elif entry.name.lower().endswith(".vdi") and entry.is_file(follow_symlinks=False):
                yield entry.path
