"""The pass from tar to compressed blob: what comes out whatever the threads and chunks, and how it fails."""

from __future__ import annotations

import gzip
import hashlib
import random
import subprocess
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from converters.errors import OutputUnavailableError, ReaderDiedError
from converters.image.layer import BLOCK_SIZE, LAYER_MEDIA_TYPE, compress_layer, gzip_member
from converters.outputs.base import Descriptor


class MemoryOutput:
    """An output that keeps one blob; with ``fail_at`` it refuses that write."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.blob = b""
        self.committed = ""
        self.cancelled = False
        self._writes = 0
        self._fail_at = fail_at

    def upload(self) -> MemoryOutput:
        return self

    def __enter__(self) -> MemoryOutput:
        return self

    def __exit__(self, *exc: object) -> None:
        self.cancelled = not self.committed

    def write(self, chunk: bytes) -> None:
        if self._writes == self._fail_at:
            raise OutputUnavailableError("the registry is gone")
        self._writes += 1
        self.blob += chunk

    def commit(self, digest: str) -> None:
        self.committed = digest

    def has_blob(self, digest: str) -> bool:
        return digest == self.committed

    def put_manifest(self, manifest: bytes, media_type: str, tags: Iterable[str]) -> Descriptor:
        return Descriptor(media_type, self.committed, len(manifest))

    def reference(self, digest: str) -> str:
        return digest

    def close(self) -> None:
        pass


def content(size: int) -> bytes:
    """Bytes that compress to about half."""
    random_bytes = random.Random(1).randbytes(size // 2)
    return random_bytes + bytes(size - len(random_bytes))


def pieces(data: bytes, size: int) -> Iterator[memoryview]:
    """The data in views of one buffer that is overwritten for each: a chunk counts only until the next."""
    buffer = bytearray(size)
    for start in range(0, len(data), size):
        part = data[start : start + size]
        buffer[: len(part)] = part
        yield memoryview(buffer)[: len(part)]


@pytest.mark.parametrize("size", [0, 1, BLOCK_SIZE - 1, BLOCK_SIZE, BLOCK_SIZE + 1, 5 * BLOCK_SIZE + 7])
def test_blob_is_gzip_of_the_stream(size: int) -> None:
    data = content(size)
    output = MemoryOutput()
    layer = compress_layer([data], output)
    assert gzip.decompress(output.blob) == data
    assert layer.diff_id == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert output.committed == layer.descriptor.digest == f"sha256:{hashlib.sha256(output.blob).hexdigest()}"
    assert layer.descriptor == Descriptor(LAYER_MEDIA_TYPE, output.committed, len(output.blob))
    assert layer.uncompressed_size == size


def test_bytes_depend_neither_on_threads_nor_on_chunks() -> None:
    data = content(9 * BLOCK_SIZE + 1234)
    layers = {
        compress_layer(pieces(data, size), MemoryOutput(), threads=threads)
        for size, threads in [(511, 2), (BLOCK_SIZE, 1), (BLOCK_SIZE * 2 + 1, 4), (1_000_003, 3)]
    }
    assert len(layers) == 1


def test_bytes_do_not_depend_on_where_a_stack_lies() -> None:
    """Each block has one match, with its own begin. Where ISA-L puts the third byte under a hash made of the
    stream's address, one block in 8192 loses it, and another one for each stack."""

    def digest_of_many() -> str:
        rng, digest = random.Random(7), hashlib.sha256()
        for _ in range(30_000):
            begin = rng.randbytes(8)
            digest.update(gzip_member(memoryview(begin + rng.randbytes(24) + begin + rng.randbytes(40))))
        return digest.hexdigest()

    with ThreadPoolExecutor(1) as other_stack:
        assert other_stack.submit(digest_of_many).result() == digest_of_many()


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 17, 300])
def test_short_member_is_whole(size: int) -> None:
    data = bytes(range(256))[:size] + bytes(max(0, size - 256))
    assert gzip.decompress(gzip_member(memoryview(data))) == data


def test_bytes_are_the_ones_recorded() -> None:
    """Another ISA-L, level or block size would give every layer of a fleet another digest."""
    layer = compress_layer([bytes(range(256)) * 40_000], MemoryOutput())
    assert (
        layer.descriptor.digest == "sha256:aa876486b70d44411db332f9e9a5642429e3dc8f637e44c92a7f28e07e077805"
    )


def test_gunzip_reads_the_members_as_one_file() -> None:
    data = content(2 * BLOCK_SIZE + 5)
    output = MemoryOutput()
    compress_layer([data], output)
    assert subprocess.run(["gunzip", "-c"], input=output.blob, capture_output=True, check=True).stdout == data


def test_progress_grows_to_the_whole() -> None:
    seen: list[tuple[int, int]] = []
    output = MemoryOutput()
    data = content(6 * BLOCK_SIZE)
    compress_layer([data], output, on_progress=lambda read, pushed: seen.append((read, pushed)))
    assert seen == sorted(seen)
    assert seen[-1] == (len(data), len(output.blob))


def layer_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("layer-")]


@pytest.mark.parametrize("fail_at", [0, 3, 19])
def test_failed_push_ends_everything(fail_at: int) -> None:
    output = MemoryOutput(fail_at)
    with pytest.raises(OutputUnavailableError, match="the registry is gone"):
        compress_layer([content(20 * BLOCK_SIZE)], output)
    assert output.cancelled
    assert not layer_threads()


def test_failed_reader_ends_everything() -> None:
    def chunks() -> Iterator[bytes]:
        yield content(8 * BLOCK_SIZE)
        raise ReaderDiedError("the reader was killed")

    output = MemoryOutput()
    with pytest.raises(ReaderDiedError):
        compress_layer(chunks(), output)
    assert output.cancelled
    assert not layer_threads()


def test_reader_is_never_far_ahead_of_the_push() -> None:
    taken = 0
    gate = threading.Event()

    class SlowOutput(MemoryOutput):
        def write(self, chunk: bytes) -> None:
            gate.wait(0.01)
            ahead.append(taken - self._writes * BLOCK_SIZE)
            super().write(chunk)

    def chunks() -> Iterator[Any]:
        nonlocal taken
        for _ in range(160):
            taken += BLOCK_SIZE
            yield bytes(BLOCK_SIZE)

    ahead: list[int] = []
    compress_layer(chunks(), SlowOutput(), threads=2)
    assert max(ahead) <= 68 * BLOCK_SIZE
