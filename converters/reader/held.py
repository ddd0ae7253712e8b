"""Files that are moved out of an image: read before the tree is streamed, and missing in the stream."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence

from converters.errors import FilesystemError
from converters.filesystems.base import Entry, Filesystem, Kind
from converters.guest.secrets.choose import LARGEST
from converters.guest.secrets.values import HeldFile
from converters.image.removals import RemovalTally
from converters.reader.frames import HeldContent

_NAME = "secret"
_REASON = "secrets that were asked to be moved out: they are in files beside the deployment files"


class Holder:
    """Keeps some files of a tree back, with every other name that their inodes have."""

    def __init__(self, tree: Filesystem, held: Sequence[HeldFile]) -> None:
        """
        Raises:
            FilesystemError: a file is not there any more, or is larger than a secret can be.
        """
        self._tree = tree
        self._entries = [(one, self._entry(one)) for one in held]
        self._inodes = {(entry.device, entry.inode) for _, entry in self._entries}
        self._paths = {entry.path for _, entry in self._entries}

    def contents(self) -> Iterator[HeldContent]:
        """What they hold."""
        for one, entry in self._entries:
            content = b"".join(self._tree.read(entry))
            yield HeldContent(one.name, base64.b64encode(content).decode("ascii"))

    def without(self, entries: Iterable[Entry], tally: RemovalTally) -> Iterator[Entry]:
        """The entries that stay; what is kept back is counted in ``tally``, with no word of what it holds."""
        for entry in entries:
            same = entry.nlink > 1 and (entry.device, entry.inode) in self._inodes
            if entry.kind is Kind.FILE and (entry.path in self._paths or same):
                tally.add(_NAME, _REASON, entry.path, entry.size)
            else:
                yield entry

    def _entry(self, one: HeldFile) -> Entry:
        entry = self._tree.lookup(one.path.strip("/").encode())
        if entry is None or entry.kind is not Kind.FILE or entry.size > LARGEST:
            raise FilesystemError(f"{one.path} is no file of at most 1 MiB: it cannot be moved out")
        return entry
