"""The trees of btrfs: blocks with their checksums verified, and items in the order of their keys.

Layouts are ``struct btrfs_header``, ``btrfs_item`` and ``btrfs_key_ptr``. What is verified of a block is what
the kernel verifies (``btrfs_validate_extent_buffer``, ``check_leaf`` and ``check_node`` of its
``tree-checker.c``): checksum, place, file system, level, generation, first key, order of keys, bounds.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from converters.errors import FilesystemError
from converters.filesystems.btrfs.checksum import Checksum
from converters.filesystems.btrfs.pool import Pool
from converters.filesystems.btrfs.superblock import DEEPEST
from converters.filesystems.memory import Cache, Memory

LAST = (1 << 64) - 1
"""The largest object and the largest offset of a key."""

_HEADER = struct.Struct("<32s16sQQ16sQQIB")
"""Checksum, file system, own address, flags, UUID of the tree of chunks, generation, owner, items, level."""
_ITEM = struct.Struct("<QBQII")
"""Key; where its data begin, counted from the header's end, and how many bytes they are."""
_CHILD = struct.Struct("<QBQQQ")
"""First key below, address, generation."""
_KEY_BYTES = 250
"""Of memory, that a decoded key takes beside its block's bytes."""

Key = tuple[int, int, int]
"""Object, type, offset."""
_FIRST: Key = (0, 0, 0)


class Pointer(NamedTuple):
    """Where the root of a tree lies, and what must be found there."""

    address: int
    level: int
    generation: int


class Item(NamedTuple):
    """One item of a tree."""

    objectid: int
    type: int
    offset: int
    data: bytes

    @property
    def key(self) -> Key:
        """Its key."""
        return self.objectid, self.type, self.offset


class Node(NamedTuple):
    """A block of a tree, decoded."""

    level: int
    generation: int
    raw: bytes
    """Its bytes behind the header."""
    keys: list[tuple[int, int, int, int, int]]
    """Each key with what follows it: place and size of data in a leaf, address and generation above."""


class Items(Protocol):
    """What is asked of a tree."""

    def items(self, low: Key, high: Key) -> Iterator[Item]:
        """The items from ``low`` to ``high``, both included, in order."""


class Blocks:
    """The blocks of all trees of a file system, by their logical addresses."""

    def __init__(self, pool: Pool, size: int, metadata_uuid: bytes, used: Checksum, memory: Memory) -> None:
        self._pool = pool
        self._size = size
        self._uuid = metadata_uuid
        self._checksum = used
        self._nodes: Cache[int, Node] = memory.cache()

    def clear(self) -> None:
        """Forget what was read."""
        self._nodes.clear()

    def node(self, pointer: Pointer, first: Key | None = None) -> Node:
        """The block that ``pointer`` leads to.

        Args:
            first: the first key that it must have; None where that is not known, as of a root.

        Raises:
            FilesystemError: every copy of it is damaged.
            DiskError: no copy of it can be read.
        """
        node = self._nodes.get(pointer.address)
        if node is None:
            node = self._read(pointer)
            self._nodes.put(pointer.address, node, len(node.raw) + _KEY_BYTES * len(node.keys))
        if (node.level, node.generation) != (pointer.level, pointer.generation):
            raise FilesystemError(f"the block of btrfs at {pointer.address} is of another time or tree")
        if first is not None and (not node.keys or node.keys[0][:3] != first):
            raise FilesystemError(f"the block of btrfs at {pointer.address} does not begin with its key")
        return node

    def _read(self, pointer: Pointer) -> Node:
        failure = FilesystemError(f"the block of btrfs at {pointer.address} cannot be read")
        for raw in self._pool.copies(self._size, pointer.address):
            try:
                return self._decode(raw, pointer)
            except FilesystemError as error:
                failure = error
        raise failure

    def _decode(self, raw: bytes, pointer: Pointer) -> Node:
        _, uuid, address, _, _, generation, _, count, level = _HEADER.unpack_from(raw)
        where = f"the block of btrfs at {pointer.address}"
        if not self._checksum.is_right(raw):
            raise FilesystemError(f"{where} is damaged: wrong checksum")
        if address != pointer.address or uuid != self._uuid:
            raise FilesystemError(f"{where} is another file system's, or another block")
        if level != pointer.level or generation != pointer.generation:
            raise FilesystemError(f"{where} is of another time or tree")
        layout = _CHILD if level else _ITEM
        body = raw[_HEADER.size :]
        if count * layout.size > len(body) or (level and not count):
            raise FilesystemError(f"{where} is damaged: {count} items")
        keys: list[tuple[int, int, int, int, int]] = list(layout.iter_unpack(body[: count * layout.size]))
        previous: Key | None = None
        end = len(body)
        for key in keys:
            if previous is not None and key[:3] <= previous:
                raise FilesystemError(f"{where} is damaged: its keys are out of order")
            previous = key[:3]
            if not level:
                if key[3] + key[4] != end:
                    raise FilesystemError(f"{where} is damaged: its items overlap")
                end = key[3]
        if not level and end < count * layout.size:
            raise FilesystemError(f"{where} is damaged: its items overlap")
        return Node(level, generation, body, keys)


class Tree:
    """One tree of a file system: its items by key."""

    def __init__(self, blocks: Blocks, root: Pointer) -> None:
        if root.level >= DEEPEST:
            raise FilesystemError(f"a tree of btrfs has {root.level + 1} levels")
        self._blocks = blocks
        self._root = root
        self._leaf: tuple[Key, Key | None, Node] | None = None

    def items(self, low: Key, high: Key) -> Iterator[Item]:
        """The items from ``low`` to ``high``, both included, in order.

        Raises:
            FilesystemError: damaged.
            DiskError: a disk cannot be read.
        """
        following: Key | None = low
        while following is not None and following <= high:
            _, end, leaf = self._at(following)
            keys, raw = leaf.keys, leaf.raw
            for index in range(bisect_left(keys, following), len(keys)):
                objectid, type, offset, start, size = keys[index]
                if (objectid, type, offset) > high:
                    return
                yield Item(objectid, type, offset, raw[start : start + size])
            following = end

    def floor(self, key: Key) -> Item | None:
        """The last item that is not behind ``key``; None where there is none. Raises as ``items``."""
        _, _, leaf = self._at(key)
        index = _upto(leaf, key)
        if index < 0:
            return None
        objectid, type, offset, start, size = leaf.keys[index]
        return Item(objectid, type, offset, leaf.raw[start : start + size])

    def _at(self, key: Key) -> tuple[Key, Key | None, Node]:
        """The leaf where ``key`` is or would be, between the keys at which it and the next begin."""
        known = self._leaf
        if known is not None and known[0] <= key and (known[1] is None or key < known[1]):
            return known
        begin, end = _FIRST, None
        node = self._blocks.node(self._root)
        while node.level:
            index = max(_upto(node, key), 0)
            child = node.keys[index]
            first: Key = child[:3]
            begin = max(begin, first) if index else begin
            if index + 1 < len(node.keys):
                end = node.keys[index + 1][:3]
            node = self._blocks.node(Pointer(child[3], node.level - 1, child[4]), first)
            if end is not None and node.keys[-1][:3] >= end:
                raise FilesystemError(f"the block of btrfs at {child[3]} reaches into the next")
        self._leaf = begin, end, node
        return self._leaf


def _upto(node: Node, key: Key) -> int:
    """Index of the last key that is not behind ``key``; -1 where there is none."""
    objectid, type, offset = key
    return bisect_left(node.keys, (objectid, type, offset + 1)) - 1
