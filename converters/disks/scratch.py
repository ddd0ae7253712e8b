"""A disk's bytes laid into a sparse file: zeros become holes, nothing is allocated ahead."""

from __future__ import annotations

import errno
import os

from converters.errors import DiskError, ScratchFullError

BLOCK = 64 << 10
"""Bytes; a block of zeros of this size and alignment is left a hole."""
_ZEROS = bytes(BLOCK)


class SparseFile:
    """An empty regular file, open for writing, that becomes a disk; ``write`` is thread-safe."""

    def __init__(self, descriptor: int) -> None:
        """Empty the file behind ``descriptor``, which stays the caller's to close."""
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)

    def write(self, data: bytes, offset: int) -> int:
        """Put ``data`` at ``offset``, but for its blocks of zeros; gives the bytes written.

        Raises:
            ScratchFullError: no space left.
            DiskError: another input/output error.
        """
        written = 0
        start: int | None = None
        for position in range(0, len(data), BLOCK):
            block = data[position : position + BLOCK] if len(data) > BLOCK else data
            if block == _ZEROS[: len(block)]:
                if start is not None:
                    written += self._put(data[start:position], offset + start)
                    start = None
            elif start is None:
                start = position
        if start is not None:
            written += self._put(data[start:] if start else data, offset + start)
        return written

    def overwrite(self, data: bytes, offset: int) -> int:
        """Put ``data`` where other bytes may lie already, zeros included."""
        return self._put(data, offset)

    def finish(self, size: int) -> None:
        """The disk is whole and ``size`` bytes long."""
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            raise scratch_error(error, size) from error

    def _put(self, data: bytes, offset: int) -> int:
        view = memoryview(data)
        done = 0
        while done < len(data):
            try:
                done += os.pwrite(self._descriptor, view[done:], offset + done)
            except OSError as error:
                raise scratch_error(error, offset + done) from error
        return done


def scratch_error(error: OSError, offset: int) -> DiskError | ScratchFullError:
    """What a failed write at byte ``offset`` of a file in scratch means."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ScratchFullError(f"the scratch folder is full: no space for the disk's byte {offset}")
    if error.errno == errno.EFBIG:
        return DiskError(
            f"the scratch folder's file system takes no file of {offset} bytes",
            "point --scratch at a file system that takes larger files, such as XFS",
        )
    return DiskError(
        f"cannot write scratch at byte {offset}: {error.strerror}", "check the scratch folder's disk"
    )
