"""Disks on another machine, read in ranges and served to whoever has no network."""

from __future__ import annotations

import random
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from converters.disks import AbsentDisk, Disk, DiskSource, NbdSource, open_disk
from converters.disks.remote import HttpRange, Limits, RemoteDisk, RemoteExtent, RemoteLayer, at_hand
from converters.disks.remote.cache import BLOCK, CachedDisk
from converters.disks.remote.values import raw_disk
from converters.disks.vmdk import SECTOR, parse_descriptor
from converters.errors import DiskError, StreamError
from converters.process import run
from tests.converters.disks.range_server import RangeServer, range_server
from tests.waiting import until

SIZE = 9 * BLOCK + 1000 * SECTOR
QUICK = Limits(patience=0.5)


@pytest.fixture(scope="module")
def content() -> bytes:
    return random.Random(7).randbytes(SIZE)


@pytest.fixture
def server(tmp_path: Path, content: bytes) -> Iterator[RangeServer]:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "disk").write_bytes(content)
    with range_server(folder) as started:
        yield started


def first(disks: list[DiskSource]) -> Disk:
    (source,) = disks
    assert isinstance(source, NbdSource)
    return open_disk(source)


def test_reads_what_is_asked_for_and_little_more(server: RangeServer, tmp_path: Path, content: bytes) -> None:
    with at_hand([raw_disk("d", server.file("disk", "v1"))], tmp_path) as hand:
        disk = first(hand.disks)
        assert disk.size == SIZE
        for offset, length in ((5 * BLOCK + 17, 3), (0, 512), (SIZE - 5, 5), (BLOCK - 1, 2)):
            assert disk.pread(length, offset) == content[offset : offset + length]
        assert disk.pread(10, SIZE) == b""
        until(lambda: hand.received == server.given)  # what comes ahead may still be on its way
        assert hand.received < SIZE - 2 * BLOCK
        assert disk.pread(SIZE, 0) == content
        disk.close()
        hand.check()
        assert hand.received == SIZE  # nothing twice
    assert not list(tmp_path.glob("disks-*"))


def test_several_read_at_one_time(server: RangeServer, tmp_path: Path, content: bytes) -> None:
    generator = random.Random(3)
    places = [(generator.randrange(SIZE), generator.randrange(1, 3 * BLOCK)) for _ in range(60)]
    with at_hand([raw_disk("d", server.file("disk"))], tmp_path, Limits(memory=1)) as hand:
        (source,) = hand.disks

        def read(mine: list[tuple[int, int]]) -> bool:
            assert isinstance(source, NbdSource)
            disk = open_disk(source)
            try:
                return all(disk.pread(length, at) == content[at : at + length] for at, length in mine)
            finally:
                disk.close()

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(read, [places[start::4] for start in range(4)]))


@pytest.mark.parametrize("failures", [[503], [0, 429], [500, 0, 503]])
def test_what_passes_is_tried_again(
    server: RangeServer, tmp_path: Path, content: bytes, failures: list[int]
) -> None:
    server.failures = failures
    with at_hand([raw_disk("d", server.file("disk"))], tmp_path) as hand:
        disk = first(hand.disks)
        assert disk.pread(100, 0) == content[:100]
        disk.close()
        hand.check()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("status", "404 no"),
        ("away", "503 no"),
        ("size", "changed while it was read"),
        ("version", "changed while it was read"),
    ],
)
def test_a_failed_read_is_told_and_kept(
    server: RangeServer, tmp_path: Path, content: bytes, fault: str, words: str
) -> None:
    file = server.file("disk", "v1")
    with at_hand([raw_disk("d", file)], tmp_path, QUICK) as hand:
        disk = first(hand.disks)
        assert disk.pread(1, 0) == content[:1]
        match fault:
            case "status":
                server.failures = [404]
            case "away":
                server.failures = [503] * 50
            case "size":
                (server.folder / "disk").write_bytes(content + b"more")
            case "version":
                server.tags["disk"] = "v2"
        with pytest.raises(DiskError):
            disk.pread(1, 7 * BLOCK)
        with pytest.raises(StreamError, match=words):
            hand.check()
        server.failures, server.tags = [], {"disk": "v1"}
        (server.folder / "disk").write_bytes(content)
        with pytest.raises(DiskError):  # whoever goes on must not come to an end as if all were well
            disk.pread(1, 8 * BLOCK)
        disk.close()


def test_a_certificate_that_is_not_the_pinned_one(tmp_path: Path) -> None:
    from tests.tls_server import tls_server

    with tls_server(tmp_path, "127.0.0.1") as port:
        file = HttpRange(f"https://127.0.0.1:{port}/x", SECTOR, "0" * 64)
        with at_hand([raw_disk("d", file)], tmp_path, QUICK) as hand:
            disk = first(hand.disks)
            with pytest.raises(DiskError):
                disk.pread(1, 0)
            with pytest.raises(StreamError, match="not the pinned one"):
                hand.check()
            disk.close()


def test_who_reads_on_finds_it_there_and_memory_is_bounded() -> None:
    size, most = 400 * BLOCK, 128
    asked: list[int] = []
    kept = threading.Semaphore(0)

    def fetch(offset: int, length: int) -> bytes:
        asked.extend(range(offset // BLOCK, -(-(offset + length) // BLOCK)))
        kept.release()
        return bytes(length)

    with ThreadPoolExecutor(2) as pool:
        disk = CachedDisk(fetch, size, pool, most * BLOCK)
        disk.pread(1, 300 * BLOCK)
        assert asked == [300]  # who reads once gets nothing ahead
        for block in range(200):
            disk.pread(BLOCK, block * BLOCK)
            assert len(disk._kept) <= most
        ahead = max(number for number in asked if number != 300)
        assert 200 < ahead < 200 + 48
        assert len(asked) == len(set(asked))
        disk.close()
        with pytest.raises(DiskError, match="closed"):
            disk.pread(1, 0)


def layer(server: RangeServer, name: str) -> RemoteLayer:
    """The VMDK whose descriptor is that file."""
    text = parse_descriptor((server.folder / name).read_bytes())
    extents = tuple(
        RemoteExtent(line.type, line.sectors, server.file(line.name.decode()), line.offset)
        for line in text.extents
    )
    return RemoteLayer(extents, text.content_id, text.parent_content_id)


def test_a_chain_is_one_disk(server: RangeServer, tmp_path: Path) -> None:
    """The newest state of a disk with snapshots, not that of its base."""
    size = 32 << 20
    folder = server.folder
    states = [bytearray(size) for _ in range(3)]
    states[0][1 << 20 : 2 << 20] = random.Random(1).randbytes(1 << 20)
    states[1][:] = states[0]
    states[1][5 << 20 : 6 << 20] = b"\1" * (1 << 20)
    states[2][:] = states[1]
    states[2][1 << 20 : (1 << 20) + 65536] = b"\2" * 65536
    parent = ""
    for number, state in enumerate(states):
        (tmp_path / f"state-{number}").write_bytes(state)
        kind = "monolithicFlat" if number == 0 else "twoGbMaxExtentSparse"
        below = ["-B", parent, "-F", "vmdk"] if parent else []
        command = ["qemu-img", "convert", "-O", "vmdk", *below, "-o", f"subformat={kind}"]
        run([*command, str(tmp_path / f"state-{number}"), str(folder / f"{number}.vmdk")])
        parent = str(folder / f"{number}.vmdk")
    chain = RemoteDisk("chain", tuple(layer(server, f"{number}.vmdk") for number in (2, 1, 0)))
    disks: list[RemoteDisk | AbsentDisk] = [
        AbsentDisk("", "left out", 5 << 30),
        chain,
        RemoteDisk("base", chain.layers[-1:]),
    ]
    copied: list[int] = []
    with at_hand(disks, tmp_path, on_copy=copied.append) as hand:
        placeholder, *sources = hand.disks
        assert isinstance(placeholder, AbsentDisk)
        assert Path(placeholder.path).stat().st_size == 1 << 20
        assert copied
        assert hand.received == sum(file.size for file in chain.files[:-1])  # deltas whole, nothing else yet
        for source, state in zip(sources, (states[2], states[0]), strict=True):
            disk = open_disk(source)
            assert disk.pread(size, 0) == bytes(state)
            disk.close()
        hand.check()


def test_a_chain_that_does_not_fit_is_refused(server: RangeServer, tmp_path: Path) -> None:
    flat = server.file("disk")
    below = RemoteLayer((RemoteExtent("FLAT", SIZE // SECTOR, flat),), content_id=1)
    above = RemoteLayer((RemoteExtent("SPARSE", SIZE // SECTOR, flat),), parent_content_id=1)
    with (
        pytest.raises(DiskError, match=r"as one disk.*VMDK"),
        at_hand([RemoteDisk("d", (above, below))], tmp_path),
    ):
        raise AssertionError("opened")


def test_other_clients_of_the_protocol(server: RangeServer, tmp_path: Path, content: bytes) -> None:
    """QEMU's client negotiates in its own way."""
    with at_hand([raw_disk("d", server.file("disk"))], tmp_path) as hand:
        (source,) = hand.disks
        assert isinstance(source, NbdSource)
        copy = tmp_path / "copy"
        subprocess.run(["qemu-img", "convert", "-O", "raw", source.uri, copy], check=True, timeout=60)
        assert copy.read_bytes() == content
