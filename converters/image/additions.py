"""Layers of the product's own: the init, the same in every image, and what it is told of each service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from converters.filesystems.base import Entry, Kind
from converters.image.layer import Layer, compress_layer
from converters.image.removals import RemovalTally
from converters.image.tar import Chunk, tar_stream

_DIRECTORY_MODE = 0o755


def files_layer(files: Mapping[str, bytes], mode: int) -> tuple[Layer, bytes]:
    """A layer with these files, by absolute path, and the directories above them; and its compressed bytes.

    All of them belong to root and are of 1970, so that the same files give the same layer.
    """
    held = _Held()
    layer = compress_layer(_archive(files, mode), held, threads=1)
    return layer, held.content


class _Held:
    """One blob, kept in memory."""

    def __init__(self) -> None:
        self.content = b""

    def upload(self) -> _Held:
        """The only one."""
        return self

    def __enter__(self) -> _Held:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def write(self, chunk: bytes) -> None:
        """The next bytes."""
        self.content += chunk

    def commit(self, digest: str) -> None:
        """It is whole."""


def _archive(files: Mapping[str, bytes], mode: int) -> Iterable[Chunk]:
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
