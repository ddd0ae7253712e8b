"""A tar stream becomes a layer in one pass: diff id, compression, digest and upload, with no local copy.

The stream is cut into blocks of a fixed size and each becomes a gzip member of its own (RFC 1952, 2.2: a file
is a series of members). So blocks compress in parallel, and the bytes depend on the content alone: not on how
many threads there were, nor on how the stream came in. ISA-L's levels 0 to 2 give the same bytes on every
processor; level 3 does not.

A defect of ISA-L (2.31, ``igzip_icf_body_h1_gr_bt.asm``): where it begins without history, it hashes a
register that holds the stream's address in place of the third byte's four bytes. So where a thread's stack
lies chose between matches: one layer in some hundred had another digest. ``gzip_member`` goes around it.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from isal import isal_zlib

from converters.outputs.base import BlobUpload, Descriptor, Uploads

LAYER_MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
BLOCK_SIZE = 1 << 20
"""Uncompressed bytes of a gzip member. What fits into a processor's own cache compresses 4 % faster than
4 MiB do, and no larger. Part of a layer's identity: another size gives another digest."""
LEVEL = 1
"""Part of a layer's identity too."""

_FIRST_PIECE = 8
"""Bytes that are flushed before the rest of a member. Up to 16 are left to the code for the end of a stream,
which begins without history as it should; from 4 on, what comes next has a history."""

_MOST_THREADS = 4
_BLOCKS_AHEAD = 64
"""Enough to go on compressing while one request of the upload, 8 MiB of some 20 MiB of tar, is answered:
with 24 blocks on their way, processors idled a fifth of the time."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that the output holds."""

    diff_id: str
    """Digest of the uncompressed tar: the layer's identity across compressors (image-spec, config.md)."""
    descriptor: Descriptor
    uncompressed_size: int
    """Bytes of the tar."""


def compress_layer(
    chunks: Iterable[bytes | memoryview],
    output: Uploads,
    *,
    on_progress: Callable[[int, int], None] = lambda read, pushed: None,
    threads: int | None = None,
) -> Layer:
    """Compress a tar stream into ``output``.

    Memory is bounded by a few blocks, whatever the chunks' sizes. A chunk is copied before the next is asked
    for. An error of any stage or of ``chunks`` ends all threads, cancels the upload and is raised here.

    Args:
        on_progress: called with the bytes of tar taken and the compressed bytes pushed so far.
        threads: how many blocks are compressed at a time; default: one a processor, at most 4.

    Raises:
        OutputError: the output refuses the blob.
        OutputUnavailableError: the output does not answer.
    """
    threads = threads or min(_MOST_THREADS, len(os.sched_getaffinity(0)))
    with ExitStack() as stack:
        upload = stack.enter_context(output.upload())
        stages = stack.enter_context(_stages(upload, threads))
        for block in _blocks(chunks, stages.free_buffer):
            stages.submit(block)
            on_progress(stages.taken, stages.pushed)
        stages.drain()
        digest = f"sha256:{stages.digest.hexdigest()}"
        upload.commit(digest)
        on_progress(stages.taken, stages.pushed)
        descriptor = Descriptor(LAYER_MEDIA_TYPE, digest, stages.pushed)
        return Layer(f"sha256:{stages.diff.hexdigest()}", descriptor, stages.taken)


def gzip_member(block: memoryview) -> bytes:
    """The block as a gzip member: its bytes depend on the block alone. Some 10 bytes go to the flush."""
    stream = isal_zlib.compressobj(LEVEL, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)
    return b"".join(
        (
            stream.compress(block[:_FIRST_PIECE]),
            stream.flush(isal_zlib.Z_SYNC_FLUSH),
            stream.compress(block[_FIRST_PIECE:]),
            stream.flush(isal_zlib.Z_FINISH),
        )
    )


class _Stages:
    """The threads of one layer, and the window of blocks on their way through them.

    hashlib and ISA-L release the interpreter's lock, so threads use all processors.
    """

    def __init__(
        self,
        upload: BlobUpload,
        hasher: ThreadPoolExecutor,
        compressors: ThreadPoolExecutor,
        pusher: ThreadPoolExecutor,
        depth: int,
    ) -> None:
        self.diff = hashlib.sha256()
        self.digest = hashlib.sha256()
        self.taken = 0
        self.pushed = 0
        self._upload = upload
        self._hasher, self._compressors, self._pusher = hasher, compressors, pusher
        self._depth = depth
        self._window: deque[tuple[memoryview, Future[None], Future[None]]] = deque()

    def submit(self, block: memoryview) -> None:
        """Send a block on its way; its buffer is in use until the block has left the window."""
        hashed = self._hasher.submit(self.diff.update, block)
        member = self._compressors.submit(gzip_member, block)
        pushed = self._pusher.submit(self._push, member)
        self._window.append((block, hashed, pushed))
        self.taken += len(block)

    def free_buffer(self) -> memoryview:
        """A buffer to fill: a new one until the window is full, then the oldest block's.

        Raises:
            OutputError: what the oldest block's stages raised.
        """
        if len(self._window) < self._depth:
            return memoryview(bytearray(BLOCK_SIZE))
        return self._oldest()

    def drain(self) -> None:
        """Wait until every block is pushed; raises what their stages raised."""
        while self._window:
            self._oldest()

    def _oldest(self) -> memoryview:
        block, hashed, pushed = self._window.popleft()
        hashed.result()
        pushed.result()
        return block

    def _push(self, member: Future[bytes]) -> None:
        data = member.result()
        self.digest.update(data)
        self._upload.write(data)
        self.pushed += len(data)


@contextmanager
def _stages(upload: BlobUpload, threads: int) -> Iterator[_Stages]:
    """The stages of a layer; on the way out, waiting work is dropped and every thread has ended."""
    with ExitStack() as stack:

        def pool(name: str, workers: int) -> ThreadPoolExecutor:
            executor = ThreadPoolExecutor(workers, thread_name_prefix=f"layer-{name}")
            stack.callback(executor.shutdown, wait=True, cancel_futures=True)
            return executor

        hasher, compressors, pusher = pool("diff-id", 1), pool("compress", threads), pool("push", 1)
        yield _Stages(upload, hasher, compressors, pusher, threads + _BLOCKS_AHEAD)


def _blocks(
    chunks: Iterable[bytes | memoryview], free_buffer: Callable[[], memoryview]
) -> Iterator[memoryview]:
    """The stream in full blocks and a last one that may be shorter; one empty block for an empty stream."""
    buffer, filled, given = free_buffer(), 0, 0
    for chunk in chunks:
        rest = memoryview(chunk)
        while filled + len(rest) >= BLOCK_SIZE:
            room = BLOCK_SIZE - filled
            buffer[filled:] = rest[:room]
            yield buffer
            rest = rest[room:]
            buffer, filled, given = free_buffer(), 0, given + 1
        end = filled + len(rest)
        buffer[filled:end] = rest
        filled = end
    if filled or not given:
        yield buffer[:filled]
