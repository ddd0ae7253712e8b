"""The subvolumes of a btrfs: their trees, the default one, and those that mount options name."""

from __future__ import annotations

from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.btrfs import checksum, items
from converters.filesystems.btrfs.tree import LAST, Blocks, Item, Items, Key, Pointer, Tree

TOP = 5
"""The subvolume that every other lies in (``BTRFS_FS_TREE_OBJECTID``)."""
FIRST_INODE = 256
"""The root directory of each (``BTRFS_FIRST_FREE_OBJECTID``)."""
_CHECKSUMS = 7
"""The tree of data's checksums (``BTRFS_CSUM_TREE_OBJECTID``)."""

_LAST_SUBVOLUME = LAST - 255
_DIRECTORY = 6
"""The object that the default subvolume hangs on (``BTRFS_ROOT_TREE_DIR_OBJECTID``)."""
_DEEPEST_PATH = 4096
"""Bytes of the longest path that mount(8) takes."""


class Subvolumes:
    """Finds trees by their numbers, and subvolumes by name."""

    def __init__(self, blocks: Blocks, roots: Pointer) -> None:
        self._blocks = blocks
        self._roots = Tree(blocks, roots)
        self._trees: dict[int, Items] = {}

    def tree(self, number: int) -> Items:
        """The tree ``number``. Raises ``FilesystemError``: there is none, or it is damaged."""
        if number not in self._trees:
            self._trees[number] = self._opened(number)
        return self._trees[number]

    def checksums(self) -> Tree:
        """The tree of data's checksums. Raises as ``tree``."""
        return self._opened(_CHECKSUMS)

    def _opened(self, number: int) -> Tree:
        root = self._root(number)
        if root is None:
            raise FilesystemError(f"btrfs has no tree {number}")
        return Tree(self._blocks, root.pointer)

    def replace(self, number: int, tree: Items) -> None:
        """Read ``tree`` where the tree ``number`` is asked for."""
        self._trees[number] = tree

    def exists(self, number: int) -> bool:
        """Whether there is such a subvolume."""
        if number != TOP and not FIRST_INODE <= number <= _LAST_SUBVOLUME:
            return False
        root = self._root(number)
        return root is not None and root.references > 0

    def holds(self, parent: int, directory: int, name: bytes, number: int) -> bool:
        """Whether the subvolume ``number`` is what ``name`` in a directory of ``parent`` stands for.

        A snapshot also copies the entries of subvolumes, which stay where they were: they are empty there.
        """
        found = self._get((parent, items.ROOT_REF, number))
        return found is not None and items.root_reference(found) == (directory, name)

    def chosen(self, options: str) -> int:
        """The subvolume that a mount with these options shows (btrfs(5), ``subvol=`` and ``subvolid=``).

        Raises:
            FilesystemError: there is none of that name.
            UnsupportedError: options that cannot be followed.
        """
        path: str | None = None
        number: int | None = None
        for option in options.split(","):
            name, _, value = option.partition("=")
            if name == "subvol":
                path = value
            elif name == "subvolid":
                number = _number(value)
        if path is None:
            return self._by_number(self.default() if number is None else number or TOP)
        found = self.at(path.encode("utf-8", "surrogateescape"))
        if number is not None and found != (number or TOP):
            raise UnsupportedError(f"subvolume {path} of btrfs has the number {found}, not {number}")
        return found

    def default(self) -> int:
        """The subvolume that a mount without options shows."""
        wanted = b"default"
        found = self._get((_DIRECTORY, items.DIR_ITEM, checksum.name_hash(wanted)))
        for entry in items.stored(found) if found is not None else ():
            if entry.name == wanted:
                return entry.location[0]
        return TOP

    def at(self, path: bytes) -> int:
        """The subvolume at ``path`` from the top. Raises ``FilesystemError``: there is none."""
        shown = path.decode("utf-8", "backslashreplace")
        tree, directory = TOP, FIRST_INODE
        names = [name for name in path.split(b"/") if name not in (b"", b".")]
        if len(path) > _DEEPEST_PATH or b".." in names:
            raise UnsupportedError(f"the path of a subvolume of btrfs is not followed: {shown}")
        for name in names:
            location = self._look(tree, directory, name)
            if location is None:
                raise FilesystemError(f"btrfs has no subvolume {shown}")
            if location[1] == items.ROOT_ITEM:
                if not self.holds(tree, directory, name, location[0]):
                    raise FilesystemError(
                        f"btrfs has no subvolume {shown}, only a snapshot's empty directory"
                    )
                tree, directory = location[0], FIRST_INODE
            else:
                directory = location[0]
        if directory != FIRST_INODE:
            raise FilesystemError(f"{shown} is no subvolume of btrfs")
        return self._by_number(tree)

    def _by_number(self, number: int) -> int:
        if not self.exists(number):
            raise FilesystemError(f"btrfs has no subvolume {number}")
        return number

    def _look(self, tree: int, directory: int, name: bytes) -> Key | None:
        key = (directory, items.DIR_ITEM, checksum.name_hash(name))
        for item in self.tree(tree).items(key, key):
            for entry in items.stored(item):
                if entry.name == name:
                    return entry.location
        return None

    def _root(self, number: int) -> items.Root | None:
        last = self._roots.floor((number, items.ROOT_ITEM, LAST))
        if last is None or (last.objectid, last.type) != (number, items.ROOT_ITEM):
            return None
        return items.root(last)

    def _get(self, key: Key) -> Item | None:
        return next(self._roots.items(key, key), None)


def _number(value: str) -> int:
    try:
        return int(value, 0)
    except ValueError:
        raise UnsupportedError(f"subvolid={value} is no number of a subvolume of btrfs") from None
