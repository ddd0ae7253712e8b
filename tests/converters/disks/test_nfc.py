"""Downloads decoded while they arrive: right for every cut into pieces, refused when cut short or damaged."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import struct
import subprocess
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.disks import ImageFile, RawFile, open_disk
from converters.disks.nfc import StreamDecoder, StreamFormat, StreamResult
from converters.errors import ConvertError, DiskError, ScratchFullError, StreamError

from .streams import GRAIN, SECTOR, TABLE, StreamWriter, header, write_stream

GRAIN_BYTES = GRAIN * SECTOR


def decode(
    stream: bytes, path: Path, *, sizes: tuple[int, ...] = (1 << 18,), expected: int | None = None
) -> StreamResult:
    """Feed ``stream`` in pieces of ``sizes``, over and over."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with StreamDecoder(descriptor, expected) as decoder:
            position = turn = 0
            while position < len(stream):
                size = sizes[turn % len(sizes)]
                decoder.feed(memoryview(stream)[position : position + size])
                position += size
                turn += 1
            return decoder.finish()
    finally:
        os.close(descriptor)


def sample(grains: int, seed: int = 7) -> bytes:
    """A disk of compressible, random and empty grains."""
    generator = random.Random(seed)
    kinds = [b"text %d " % seed * 9000, generator.randbytes(GRAIN_BYTES), bytes(GRAIN_BYTES)]
    return b"".join(generator.choice(kinds)[:GRAIN_BYTES].ljust(GRAIN_BYTES, b"\1") for _ in range(grains))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("seed", range(4))
def test_a_real_image_in_pieces_of_random_size(
    stream_image: Path, raw_image: Path, tmp_path: Path, seed: int
) -> None:
    generator = random.Random(seed)
    sizes = tuple(generator.choice([1, 7, 511, 512, 4096, 65536, 1 << 20]) for _ in range(50))
    out = tmp_path / "out"
    result = decode(stream_image.read_bytes(), out, sizes=sizes, expected=raw_image.stat().st_size)
    assert result.format is StreamFormat.STREAM_OPTIMIZED
    assert (result.capacity, result.bytes_in) == (raw_image.stat().st_size, stream_image.stat().st_size)
    assert digest(out) == digest(raw_image)


def test_one_byte_at_a_time(tmp_path: Path) -> None:
    disk = sample(4)
    out = tmp_path / "out"
    decode(bytes(write_stream(disk).data), out, sizes=(1,))
    assert out.read_bytes() == disk


def test_what_a_host_sends_reads_as_qemu_reads_it(raw_image: Path, tmp_path: Path) -> None:
    stream = tmp_path / "host.vmdk"
    stream.write_bytes(write_stream(raw_image.read_bytes()).data)
    by_qemu = tmp_path / "qemu.raw"
    subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", str(stream), str(by_qemu)], check=True)
    out = tmp_path / "out"
    decode(stream.read_bytes(), out)
    assert digest(out) == digest(by_qemu) == digest(raw_image)


def test_holes_take_no_space(tmp_path: Path) -> None:
    disk = bytes(64 << 20) + sample(1)
    out = tmp_path / "out"
    result = decode(bytes(write_stream(disk).data), out)
    assert (result.capacity, result.bytes_written) == (len(disk), GRAIN_BYTES)
    assert out.stat().st_blocks * 512 <= 2 * GRAIN_BYTES


def test_a_raw_download_keeps_its_holes(raw_image: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    size = raw_image.stat().st_size
    result = decode(raw_image.read_bytes(), out, sizes=(1000, 70000), expected=size)
    assert (result.format, result.source(str(out))) == (StreamFormat.RAW, RawFile(str(out)))
    assert digest(out) == digest(raw_image)
    assert result.bytes_written < size / 2


@pytest.mark.parametrize("size", [1, 511, 512, 65536, (1 << 20) + 1])
def test_raw_downloads_of_any_size(tmp_path: Path, size: int) -> None:
    disk = random.Random(size).randbytes(size)
    out = tmp_path / "out"
    assert decode(disk, out).capacity == size
    assert out.read_bytes() == disk


@pytest.mark.parametrize("length", [4095, 4097, 1])
def test_a_raw_download_of_another_size_than_the_disk_is_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(StreamError, match="4096"):
        decode(b"x" * length, tmp_path / "out", expected=4096)


def test_an_earlier_attempt_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.write_bytes(b"old" * 100_000)
    decode(bytes(200_000), out)
    assert out.read_bytes() == bytes(200_000)


def test_a_sparse_vmdk_that_is_no_stream_is_kept_as_it_came(raw_image: Path, tmp_path: Path) -> None:
    sparse = tmp_path / "sparse.vmdk"
    subprocess.run(["qemu-img", "convert", "-O", "vmdk", str(raw_image), str(sparse)], check=True)
    out = tmp_path / "out"
    result = decode(sparse.read_bytes(), out, expected=raw_image.stat().st_size)
    assert (result.format, result.source(str(out))) == (StreamFormat.SPARSE, ImageFile(str(out), "vmdk"))
    with closing(open_disk(result.source(str(out)))) as disk:
        assert disk.pread(disk.size, 0) == raw_image.read_bytes()


def test_grains_in_any_order(tmp_path: Path) -> None:
    disk = random.Random(3).randbytes(6 * GRAIN_BYTES)
    writer = StreamWriter(6 * GRAIN)
    order = [4, 0, 5, 2, 1, 3]
    sectors = {n: writer.grain(n, disk[n * GRAIN_BYTES : (n + 1) * GRAIN_BYTES]) for n in order}
    writer.table(0, sectors)
    out = tmp_path / "out"
    decode(writer.end(), out)
    assert out.read_bytes() == disk


@pytest.mark.parametrize("counts", ["first", "last"])
def test_of_a_grain_that_came_twice_the_table_says_which_counts(tmp_path: Path, counts: str) -> None:
    writer = StreamWriter(GRAIN)
    first = writer.grain(0, b"1" * GRAIN_BYTES)
    last = writer.grain(0, b"2" * GRAIN_BYTES)
    writer.table(0, {0: first if counts == "first" else last})
    out = tmp_path / "out"
    decode(writer.end(), out)
    assert out.read_bytes() == (b"1" if counts == "first" else b"2") * GRAIN_BYTES


def test_a_capacity_that_is_no_multiple_of_a_grain(tmp_path: Path) -> None:
    disk = random.Random(5).randbytes(102400)
    writer = write_stream(disk)
    out = tmp_path / "out"
    assert decode(bytes(writer.data), out).capacity == 102400
    assert out.read_bytes() == disk


def test_a_last_grain_cut_to_the_capacity(tmp_path: Path) -> None:
    disk = random.Random(5).randbytes(GRAIN_BYTES + 4096)
    writer = StreamWriter(len(disk) // SECTOR)
    writer.table(0, {0: writer.grain(0, disk[:GRAIN_BYTES]), 1: writer.grain(1, disk[GRAIN_BYTES:])})
    out = tmp_path / "out"
    decode(writer.end(), out)
    assert out.read_bytes() == disk


def test_cut_short_at_every_boundary(tmp_path: Path) -> None:
    writer = write_stream(sample(12))
    stream = bytes(writer.data)
    assert decode(stream, tmp_path / "out").capacity == 12 * GRAIN_BYTES
    for boundary in writer.boundaries[:-1]:
        for cut in (boundary - 1, boundary, boundary + 1):
            with pytest.raises(StreamError):
                decode(stream[:cut], tmp_path / "out", expected=12 * GRAIN_BYTES)


def test_a_file_image_cut_short(stream_image: Path, tmp_path: Path) -> None:
    stream = stream_image.read_bytes().rstrip(b"\0")
    for cut in (0, 100, 512, 5000, len(stream) // 2, len(stream) // 512 * 512 - 512, len(stream) - 600):
        with pytest.raises(StreamError):
            decode(stream[:cut], tmp_path / "out", expected=24 << 20)


def _with_table(writer: StreamWriter, sectors: dict[int, int]) -> bytes:
    writer.table(0, sectors)
    return writer.end()


def _missing_grain() -> bytes:
    return _with_table(StreamWriter(GRAIN), {0: 128})


def _unnamed_grain() -> bytes:
    writer = StreamWriter(2 * GRAIN)
    sector = writer.grain(0, b"a" * GRAIN_BYTES)
    writer.grain(1, b"b" * GRAIN_BYTES)
    return _with_table(writer, {0: sector})


def _exchanged_grains() -> bytes:
    writer = StreamWriter(2 * GRAIN)
    first, second = writer.grain(0, b"a" * GRAIN_BYTES), writer.grain(1, b"b" * GRAIN_BYTES)
    return _with_table(writer, {0: second, 1: first})


def _grain_of(payload: bytes, first: int = 0) -> bytes:
    writer = StreamWriter(2 * GRAIN)
    sector = writer.put(struct.pack("<QI", first, len(payload)) + payload)
    return _with_table(writer, {first // GRAIN: sector})


def _bomb() -> bytes:
    return _grain_of(zlib.compress(bytes(64 << 20), 9))


def _too_long() -> bytes:
    return _grain_of(zlib.compress(b"x" * (GRAIN_BYTES + 1)))


def _too_short() -> bytes:
    return _grain_of(zlib.compress(b"x" * (GRAIN_BYTES - 1)))


def _no_deflate() -> bytes:
    return _grain_of(random.Random(1).randbytes(5000))


def _wrong_checksum() -> bytes:
    return _grain_of(zlib.compress(b"x" * GRAIN_BYTES)[:-1] + b"\0")


def _beyond_the_end() -> bytes:
    return _grain_of(zlib.compress(b"x" * GRAIN_BYTES), first=2 * GRAIN)


def _between_grains() -> bytes:
    return _grain_of(zlib.compress(b"x" * GRAIN_BYTES), first=1)


def _unknown_marker() -> bytes:
    writer = StreamWriter(GRAIN)
    writer.marker(9, b"")
    return writer.end()


def _text_conversion() -> bytes:
    return bytes(write_stream(sample(2)).data).replace(b"\n \r\n", b"\n \n\0", 1)


def _two_capacities() -> bytes:
    stream = bytes(write_stream(sample(2)).data)
    return header(4 * GRAIN) + stream[SECTOR:]


DAMAGES = (
    _missing_grain,
    _unnamed_grain,
    _exchanged_grains,
    _bomb,
    _too_long,
    _too_short,
    _no_deflate,
    _wrong_checksum,
    _beyond_the_end,
    _between_grains,
    _unknown_marker,
    _text_conversion,
    _two_capacities,
)


@pytest.mark.parametrize("build", DAMAGES, ids=lambda build: build.__name__.strip("_"))
def test_damage_is_told_and_can_be_retried(tmp_path: Path, build: Callable[[], bytes]) -> None:
    with pytest.raises(StreamError) as caught:
        decode(build(), tmp_path / "out")
    assert caught.value.retryable


def test_a_table_of_grains_without_data_means_zeros(tmp_path: Path) -> None:
    writer = StreamWriter(2 * GRAIN)
    out = tmp_path / "out"
    decode(_with_table(writer, {0: writer.grain(0, b"a" * GRAIN_BYTES), 1: 1}), out)
    assert out.read_bytes() == b"a" * GRAIN_BYTES + bytes(GRAIN_BYTES)


def test_a_disk_above_the_limit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file, StreamDecoder(file.fileno(), largest=1 << 30) as decoder:
        with pytest.raises(DiskError, match="1073741824"):
            decoder.feed(header((1 << 30) // SECTOR + 1))
        assert file.tell() == 0


def test_the_inventory_says_another_capacity(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=f"{2 * GRAIN_BYTES} bytes of disk, not {3 * GRAIN_BYTES}"):
        decode(bytes(write_stream(sample(2)).data), tmp_path / "out", expected=3 * GRAIN_BYTES)


@pytest.fixture
def full_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with space for 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    folder = tmp_path / "full"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.root
@pytest.mark.parametrize("form", ["raw", "stream"])
def test_a_full_scratch_folder(full_folder: Path, form: str) -> None:
    disk = random.Random(2).randbytes(3 << 20)
    stream = disk if form == "raw" else bytes(write_stream(disk).data)
    with pytest.raises(ScratchFullError, match="--scratch"):
        decode(stream, full_folder / "out")


def test_a_disk_larger_than_the_scratch_file_system_takes(tmp_path: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limit[1]))
    try:
        with pytest.raises(DiskError, match="takes no file of"):
            decode(bytes(write_stream(bytes(2 << 20)).data), tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bits_give_the_same_disk_or_an_error(tmp_path: Path, data: st.DataObject) -> None:
    disk = sample(5, seed=11)
    writer = write_stream(disk)
    stream = bytearray(writer.data)
    part = data.draw(st.sampled_from([0, *writer.boundaries[:-1]]))
    near = data.draw(st.integers(part, min(part + 64, len(stream) - 1)))
    position = data.draw(st.sampled_from([near, data.draw(st.integers(0, len(stream) - 1))]))
    stream[position] ^= 1 << data.draw(st.integers(0, 7))
    out = tmp_path / "out"
    try:
        result = decode(bytes(stream), out, expected=len(disk))
    except ConvertError:
        return
    if result.format is StreamFormat.STREAM_OPTIMIZED:
        assert out.read_bytes() == disk


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(max_size=4096), cut=st.integers(0, 4096))
def test_any_bytes_after_a_header_give_a_disk_or_an_error(tmp_path: Path, tail: bytes, cut: int) -> None:
    stream = bytes(StreamWriter(TABLE * GRAIN).data)
    try:
        decode(stream[: len(stream) - cut] + tail, tmp_path / "out", expected=TABLE * GRAIN_BYTES)
    except ConvertError:
        return
    assert (tmp_path / "out").stat().st_size == TABLE * GRAIN_BYTES


@pytest.mark.parametrize(
    "name",
    [
        "VMDK-01/data/streamOptimized.vmdk",
        "VMDK-02/core/tests/data/compressed_stream_opt.vmdk",
        "VMDK-02/core/tests/data/stream_opt.vmdk",
    ],
)
def test_known_streams(cases: Path, tmp_path: Path, name: str) -> None:
    known = dict(line.split()[:2] for line in (cases / "VMDK-expected-raw-md5.txt").read_text().splitlines())
    out = tmp_path / "out"
    result = decode((cases / name).read_bytes(), out, sizes=(999,))
    assert result.format is StreamFormat.STREAM_OPTIMIZED
    assert hashlib.md5(out.read_bytes()).hexdigest() == known[name]
