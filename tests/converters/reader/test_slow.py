"""Work that takes longer than a reading process may be silent: it goes on as long as it advances."""

from __future__ import annotations

import gzip
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from converters.disks import FilePart, PackedDisk, detect
from converters.disks.base import DiskSource
from converters.errors import ReaderDiedError
from converters.reader.parent import Reader
from converters.reading import Reading
from deploy.demo import guests

_CHILD = """
import sys, time
from converters.disks.{module} import {disk}
from converters.reader import child
read, left = {disk}.pread, {pauses}
def pread(self, length, offset):
    global left
    if left and length >= 512 << 10:
        left -= 1
        time.sleep({seconds})
    return read(self, length, offset)
{disk}.pread = pread
sys.exit(child.main())
"""


def slow(module: str, disk: str, pauses: int, seconds: float) -> Sequence[str]:
    """A reading process on whose disks the first ``pauses`` long reads take ``seconds`` each."""
    code = _CHILD.format(module=module, disk=disk, pauses=pauses, seconds=seconds)
    return (sys.executable, "-I", "-c", code)


def inspect(source: DiskSource, scratch: Path, command: Sequence[str], stall: float) -> list[bool]:
    """Of each mounted volume, whether its journal was replayed."""
    how = Reading(engines=("ext2fs", "uml"), stall_seconds=stall)
    with Reader([source], how, scratch, command) as reader:
        return [mount.recovered for mount in reader.inspect().mounts]


@pytest.mark.root
def test_a_slow_copy_for_a_replay(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the dirty guest is made with a mount, which needs root")
    source = detect(str(guests.busy().vmdk))
    assert any(inspect(source, tmp_path, slow("optimized", "OptimizedDisk", 6, 0.9), stall=5))


def test_slow_unpacking(tmp_path: Path) -> None:
    packed = tmp_path / "disk.gz"
    packed.write_bytes(gzip.compress(guests.small(payload=16 << 20).raw.read_bytes(), 1))
    source = PackedDisk((FilePart(str(packed)),))
    assert inspect(source, tmp_path, slow("raw", "RawDisk", 7, 0.8), stall=5) == [False]


def test_a_disk_that_hangs_is_found(tmp_path: Path) -> None:
    packed = tmp_path / "disk.gz"
    packed.write_bytes(gzip.compress(b"\1" * (8 << 20), 1))
    source = PackedDisk((FilePart(str(packed)),))
    command = slow("raw", "RawDisk", 1, 60)
    with (
        pytest.raises(ReaderDiedError, match="no sign of life for 1 seconds"),
        Reader([source], Reading(("ext2fs",), stall_seconds=1), tmp_path, command) as reader,
    ):
        reader.inspect()
