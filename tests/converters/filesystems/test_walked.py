"""A tree that is walked before it is given out: small ones once, large ones again, all of them whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from converters.errors import FilesystemError
from converters.filesystems.base import Entry
from converters.filesystems.memory import Budget
from converters.filesystems.walked import ENTRY_BYTES, WalkedFilesystem
from tests.directory_filesystem import DirectoryFilesystem

ROOM = Budget(1 << 20)


class Counting(DirectoryFilesystem):
    """Counts the walks that are begun."""

    walks = 0

    def walk(self, top: bytes = b"") -> Iterator[Entry]:
        self.walks += not top
        return super().walk(top)


@pytest.fixture
def tree(tmp_path: Path) -> Counting:
    for name in ("a", "b", "b/c"):
        (tmp_path / name).mkdir()
    (tmp_path / "b/c/file").write_bytes(b"content")
    return Counting(tmp_path)


def test_a_small_tree_is_walked_once(tree: Counting) -> None:
    expected = list(DirectoryFilesystem.walk(tree))
    walked = WalkedFilesystem(tree, ROOM)
    assert list(walked.walk()) == list(walked.walk()) == expected
    assert tree.walks == 1


def test_a_large_tree_is_walked_again(tree: Counting) -> None:
    walked = WalkedFilesystem(tree, Budget(3 * ENTRY_BYTES))
    assert list(walked.walk()) == list(DirectoryFilesystem.walk(tree))
    assert tree.walks == 2


def test_a_tree_of_large_attributes_is_walked_again(tmp_path: Path) -> None:
    class Heavy(Counting):
        def walk(self, top: bytes = b"") -> Iterator[Entry]:
            value = bytes(ROOM.size // 2)
            return (entry._replace(xattrs=((b"user.a", value),)) for entry in super().walk(top))

    for name in ("a", "b"):
        (tmp_path / name).touch()
    heavy = Heavy(tmp_path)
    assert len(list(WalkedFilesystem(heavy, ROOM).walk())) == 3
    assert heavy.walks == 2


def test_a_part_is_walked_as_asked(tree: Counting) -> None:
    walked = WalkedFilesystem(tree, ROOM)
    assert [entry.path for entry in walked.walk(b"b/c")] == [b"b/c", b"b/c/file"]


def test_damage_at_the_end_of_a_tree_is_found_at_once(tmp_path: Path) -> None:
    class Damaged(DirectoryFilesystem):
        def walk(self, top: bytes = b"") -> Iterator[Entry]:
            yield from super().walk(top)
            raise FilesystemError("the last inode is damaged")

    for room in (ENTRY_BYTES // 2, 2 * ENTRY_BYTES):
        budget = Budget(room)
        with pytest.raises(FilesystemError, match="the last inode"):
            WalkedFilesystem(Damaged(tmp_path), budget)
        assert budget.take(room), "what was taken is given back"


def test_file_systems_share_what_they_may_keep(tree: Counting, tmp_path: Path) -> None:
    budget = Budget(8 * ENTRY_BYTES)  # a tree has five entries
    first, second = WalkedFilesystem(tree, budget), WalkedFilesystem(Counting(tmp_path), budget)
    assert list(first.walk()) == list(second.walk())
    assert tree.walks == 1
    assert budget.take(2 * ENTRY_BYTES), "what was too much for the second was given back"
