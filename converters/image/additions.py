"""Layers of the product's own: the init, the same in every image, and what it is told of each service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from converters.filesystems.base import Entry, Kind
from converters.image.removals import RemovalTally
from converters.image.tar import Chunk, tar_stream

_DIRECTORY_MODE = 0o755


def files_layer(files: Mapping[str, bytes], mode: int) -> Iterable[Chunk]:
    """The tar stream of a layer with these files, by absolute path, and the directories above them.

    All of them belong to root and are of 1970, so that the same files give the same layer.
    """
    contents = {path.lstrip("/").encode(): content for path, content in files.items()}

    def read(entry: Entry) -> Iterator[bytes]:
        yield contents[entry.path]

    return tar_stream(_entries(contents, mode), read, RemovalTally())


def _entries(contents: Mapping[bytes, bytes], mode: int) -> Iterator[Entry]:
    directories = {
        b"/".join(path.split(b"/")[:depth]) for path in contents for depth in range(1, path.count(b"/") + 1)
    }
    for number, path in enumerate(sorted({*contents, *directories}), start=1):
        if path in contents:
            yield Entry(path, Kind.FILE, mode, 0, 0, len(contents[path]), 0, number, 1)
        else:
            yield Entry(path, Kind.DIRECTORY, _DIRECTORY_MODE, 0, 0, 0, 0, number, 2)
