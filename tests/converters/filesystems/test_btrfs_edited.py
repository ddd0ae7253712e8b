"""Trees of btrfs edited in memory: what they hold, and what bounds what a hostile log makes of them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.btrfs import items
from converters.filesystems.btrfs.edited import EditedTree
from converters.filesystems.btrfs.items import Stored
from converters.filesystems.btrfs.names import Names, Reference
from converters.filesystems.btrfs.tree import Item, Key
from converters.filesystems.memory import Budget

NODE = 16384
DIRECTORY, FILE = 256, 257


class Base:
    """A tree that is not edited."""

    def __init__(self, found: dict[Key, bytes]) -> None:
        self._items = dict(sorted(found.items()))

    def items(self, low: Key, high: Key) -> Iterator[Item]:
        for key, data in self._items.items():
            if low <= key <= high:
                yield Item(*key, data)


def edited(found: dict[Key, bytes], budget: int = 1 << 20) -> EditedTree:
    return EditedTree(Base(found), NODE, Budget(budget))


def test_what_is_edited_while_it_is_gone_through_is_not_seen() -> None:
    tree = edited({(1, 1, number): b"old" for number in range(5)})
    seen = []
    for item in tree.items((1, 1, 0), (1, 1, 100)):
        seen.append(item.offset)
        tree.delete((1, 1, 3))
        tree.put((1, 1, 10 + item.offset), b"new")
    assert seen == [0, 1, 2, 3, 4]
    assert [item.offset for item in tree.items((1, 1, 0), (1, 1, 100))] == [0, 1, 2, 4, *range(10, 15)]


def test_an_item_that_no_block_holds_is_refused_as_by_the_kernel() -> None:
    tree = edited({})
    tree.put((1, 1, 1), bytes(tree.largest))
    with pytest.raises(FilesystemError, match=f"an item of {NODE - 125} bytes"):
        tree.put((1, 1, 1), bytes(tree.largest + 1))


def test_what_changes_has_a_budget_that_several_trees_share() -> None:
    budget = Budget(10_000)
    one, other = EditedTree(Base({}), NODE, budget), EditedTree(Base({}), NODE, budget)
    one.put((1, 1, 1), bytes(8000))
    with pytest.raises(UnsupportedError, match="more metadata than 10000 bytes"):
        other.put((1, 1, 1), bytes(8000))


def test_an_item_that_shrinks_gives_back() -> None:
    tree = edited({}, 12_000)
    for _ in range(100):
        tree.put((1, 1, 1), bytes(8000))
        tree.put((1, 1, 1), b"")


def test_deletions_count_too() -> None:
    tree = edited({}, 30_000)
    with pytest.raises(UnsupportedError, match="more metadata"):
        for number in range(1000):
            tree.delete((1, 1, number))


def test_names_of_one_hash_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converters.filesystems.btrfs.names.name_hash", lambda name: 7)
    names = Names(edited({}, 64 << 20))
    begun = time.monotonic()
    with pytest.raises(FilesystemError, match="an item of"):
        for number in range(1 << 20):
            entry = Stored((FILE, items.INODE_ITEM, 0), 1, f"name-{number:0200d}".encode(), b"")
            names.link(DIRECTORY, number, entry)
    assert time.monotonic() - begun < 5


def test_references_go_on_in_extended_ones() -> None:
    tree = edited({}, 64 << 20)
    names = Names(tree)
    wanted = [Reference(DIRECTORY, number, f"{number:0250d}".encode()) for number in range(200)]
    for reference in wanted:
        names.refer(FILE, reference)
    kinds = {item.type for item in tree.items((FILE, 0, 0), (FILE, 255, 0xFFFFFFFF))}
    assert kinds == {items.INODE_REF, items.INODE_EXTREF}
    assert sorted(names.of(FILE)) == wanted
