"""VMDKs in all their shapes, as hosts, hosted products and people leave them."""

from __future__ import annotations

import random
import resource
import struct
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.disks import ImageFile, detect, open_disk
from converters.disks.raw import RawDisk
from converters.disks.vmdk import Descriptor, is_descriptor, parse_descriptor
from converters.errors import DiskError

from . import deltas
from .deltas import MIB, changed, descriptor
from .images import content, make, opened
from .streams import GRAIN, SECTOR, StreamWriter, header, write_stream


@pytest.fixture(scope="module")
def data() -> bytes:
    """A disk of 17 MiB, so that it takes two tables of any format."""
    generator = random.Random(12)
    return b"".join(generator.choice([generator.randbytes(MIB), bytes(MIB)]) for _ in range(17))


@pytest.fixture
def flat(data: bytes, tmp_path: Path) -> Path:
    """A disk of ESX: a descriptor and a flat extent."""
    (tmp_path / "disk-flat.vmdk").write_bytes(data)
    path = tmp_path / "disk.vmdk"
    path.write_text(descriptor(f'RW {len(data) // SECTOR} VMFS "disk-flat.vmdk"', cid="aaaaaaaa"))
    return path


CHANGES = {512: b"a" * 1536, 4 * MIB - 512: b"b" * 1024, 17 * MIB - 512: b"c" * 512}
GRAINS = {4096: b"a" * 8192, 16 * MIB: b"b" * 4096, 17 * MIB - 4096: b"c" * 4096}


def delta(kind: str, size: int) -> tuple[bytes, bytes]:
    """An extent over a disk, and that extent over one of zeros, as bytes of the disk."""
    if kind == "VMFSSPARSE":
        return deltas.cowd(size, CHANGES), changed(bytes(size), CHANGES)
    return deltas.se_sparse(size, GRAINS, zeroed=(8 * MIB,)), changed(bytes(size), GRAINS)


def test_a_flat_disk_is_its_file(flat: Path, data: bytes) -> None:
    """So that programs can take it by its path."""
    with closing(open_disk(detect(str(flat)))) as disk:
        assert isinstance(disk, RawDisk)
        assert (disk.path, content(disk)) == (str(flat.with_name("disk-flat.vmdk")), data)


@pytest.mark.parametrize("kind", ["VMFSSPARSE", "SESPARSE"])
def test_an_esx_snapshot_over_its_parent(flat: Path, data: bytes, kind: str) -> None:
    extent, _ = delta(kind, len(data))
    flat.with_name("disk-000001-delta.vmdk").write_bytes(extent)
    leaf = flat.with_name("disk-000001.vmdk")
    line = f'RW {len(data) // SECTOR} {kind} "disk-000001-delta.vmdk"'
    leaf.write_text(descriptor(line, cid="bbbbbbbb", parent=("aaaaaaaa", "disk.vmdk")))
    every = CHANGES if kind == "VMFSSPARSE" else {**GRAINS, 8 * MIB: bytes(4096)}
    assert opened(leaf) == changed(data, every)
    last = flat.with_name("disk-000002.vmdk")
    flat.with_name("disk-000002-delta.vmdk").write_bytes(deltas.cowd(len(data), {MIB: b"n" * 512}))
    line = f'RW {len(data) // SECTOR} VMFSSPARSE "disk-000002-delta.vmdk"'
    last.write_text(descriptor(line, parent=("bbbbbbbb", "disk-000001.vmdk")))
    assert opened(last) == changed(changed(data, every), {MIB: b"n" * 512})


@pytest.mark.parametrize("kind", ["VMFSSPARSE", "SESPARSE"])
def test_an_esx_extent_cut_anywhere(tmp_path: Path, kind: str) -> None:
    extent, disk = delta(kind, 17 * MIB)
    path, part = tmp_path / "disk.vmdk", tmp_path / "part.vmdk"
    path.write_text(descriptor(f'RW {17 * MIB // SECTOR} {kind} "part.vmdk"'))
    part.write_bytes(extent)
    assert opened(path) == disk
    for cut in (100, 512, 3000, 9000, len(extent) // 2, len(extent) - 4096, len(extent) - 512):
        part.write_bytes(extent[:cut])
        with pytest.raises(DiskError, match=r"incomplete|no sparse VMDK extent|damaged"):
            open_disk(detect(str(path)))


@pytest.mark.parametrize("hint", ["disk.vmdk", "/vmfs/volumes/5f-1/vm/disk.vmdk", "C:\\\\VMs\\\\disk.vmdk"])
def test_a_parent_is_known_by_its_content_id(flat: Path, data: bytes, hint: str) -> None:
    leaf = flat.with_name("leaf.vmdk")
    flat.with_name("delta").write_bytes(deltas.cowd(len(data), CHANGES))
    line = f'RW {len(data) // SECTOR} VMFSSPARSE "delta"'
    leaf.write_text(descriptor(line, parent=("aaaaaaaa", hint)))
    assert opened(leaf) == changed(data, CHANGES)
    leaf.write_text(descriptor(line, parent=("0a0a0a0a", hint)))
    with pytest.raises(DiskError, match="parentCID 0a0a0a0a, and the parent has CID aaaaaaaa"):
        open_disk(detect(str(leaf)))
    flat.unlink()
    with pytest.raises(DiskError, match=r"parent '.*disk\.vmdk', which is (absent|not a file)"):
        open_disk(detect(str(leaf)))


def test_a_chain_that_is_a_loop(tmp_path: Path) -> None:
    (tmp_path / "delta").write_bytes(deltas.cowd(MIB, {}))
    for name, parent in (("a.vmdk", "b.vmdk"), ("b.vmdk", "a.vmdk")):
        text = descriptor('RW 2048 VMFSSPARSE "delta"', parent=("11111111", parent))
        (tmp_path / name).write_text(text)
    with pytest.raises(DiskError, match="a loop"):
        open_disk(detect(str(tmp_path / "a.vmdk")))


def test_a_linked_clone_in_another_folder(flat: Path, data: bytes) -> None:
    folder = flat.parent / "clone"
    folder.mkdir()
    (folder / "delta").write_bytes(deltas.cowd(len(data), CHANGES))
    leaf = folder / "leaf.vmdk"
    line = f'RW {len(data) // SECTOR} VMFSSPARSE "delta"'
    leaf.write_text(descriptor(line, parent=("aaaaaaaa", "../disk.vmdk")))
    with pytest.raises(DiskError, match="not a file of the folder"):
        open_disk(detect(str(leaf)))
    with closing(open_disk(ImageFile(str(leaf), "vmdk", within=str(flat.parent)))) as disk:
        assert content(disk) == changed(data, CHANGES)


def test_a_renamed_sparse_disk_is_its_own_extent(raw_image: Path, tmp_path: Path) -> None:
    path = make("vmdk", "monolithicSparse", raw_image, tmp_path / "foo.vmdk")
    assert b'SPARSE "foo.vmdk"' in path.read_bytes()[: 1 << 16]
    renamed = path.rename(tmp_path / "bar.vmdk")
    (tmp_path / "foo.vmdk").write_bytes(b"another file of the old name")
    assert opened(renamed) == raw_image.read_bytes()


def test_a_sparse_disk_without_a_descriptor(raw_image: Path, tmp_path: Path) -> None:
    path = make("vmdk", "monolithicSparse", raw_image, tmp_path / "disk.vmdk")
    image = bytearray(path.read_bytes())
    image[28:44] = bytes(16)
    image[512 : 21 * 512] = bytes(20 * 512)
    path.write_bytes(image)
    assert opened(path) == raw_image.read_bytes()


def test_extents_whose_size_is_another_than_the_descriptor_says(raw_image: Path, tmp_path: Path) -> None:
    path = make("vmdk", "twoGbMaxExtentSparse", raw_image, tmp_path / "disk.vmdk")
    assert opened(path) == raw_image.read_bytes()
    text = path.read_text()
    assert "RW 49152 SPARSE" in text
    path.write_text(text.replace("RW 49152 SPARSE", "RW 49100 SPARSE"))
    assert opened(path) == raw_image.read_bytes()[: 49100 * SECTOR]
    for wrong in (49024, 49153):
        path.write_text(text.replace("RW 49152 SPARSE", f"RW {wrong} SPARSE"))
        with pytest.raises(DiskError, match=f"holds 49152 sectors, where the descriptor of .* says {wrong}"):
            open_disk(detect(str(path)))


def test_extents_of_every_kind_in_one_disk(raw_image: Path, tmp_path: Path) -> None:
    whole = make("vmdk", "monolithicSparse", raw_image, tmp_path / "sparse")
    data = raw_image.read_bytes()
    (tmp_path / "flat").write_bytes(data[: 2 * MIB])
    path = tmp_path / "disk.vmdk"
    lines = ['RW 49152 SPARSE "sparse"', "RW 100 ZERO", 'RDONLY 1000 FLAT "flat" 8', "NOACCESS 8 ZERO"]
    path.write_text(descriptor("\n".join(lines)))
    expected = data + bytes(100 * SECTOR) + data[8 * SECTOR : 1008 * SECTOR] + bytes(8 * SECTOR)
    assert opened(path) == expected
    path.write_text(descriptor('NOACCESS 100 FLAT "flat" 0'))
    with pytest.raises(DiskError, match="must not be accessed"):
        open_disk(detect(str(path)))
    assert whole.exists()


@pytest.mark.parametrize("subformat", ["monolithicSparse", "twoGbMaxExtentSparse"])
def test_a_sparse_disk_that_was_copied_in_part(raw_image: Path, tmp_path: Path, subformat: str) -> None:
    path = make("vmdk", subformat, raw_image, tmp_path / "disk.vmdk")
    part = path if subformat == "monolithicSparse" else tmp_path / "disk-s001.vmdk"
    image = part.read_bytes()
    for cut in (600, 15_000, 70_000, len(image) // 2, len(image) - 65536):
        part.write_bytes(image[:cut])
        with pytest.raises(DiskError, match=r"incomplete|empty"):
            open_disk(detect(str(path)))


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("GBK", "虚拟机"),
        ("windows-1252", "disque-é"),
        ("Shift_JIS", "仮想"),
        ("UTF-8", "диск"),
        ("big5", "虛擬"),
    ],
)
@pytest.mark.parametrize("stored", ["decoded", "as it stands"])
def test_names_in_the_descriptors_encoding(tmp_path: Path, encoding: str, name: str, stored: str) -> None:
    raw = f"{name}-flat.vmdk".encode(encoding)
    path = tmp_path / "disk.vmdk"
    text = descriptor('RW 2048 VMFS "NAME"').replace("version=1", f'version=1\r\nencoding="{encoding}"')
    path.write_bytes(text.replace("\n", "\r\n").encode().replace(b"NAME", raw))
    content = random.Random(1).randbytes(MIB)
    folder = bytes(tmp_path)
    target = folder + b"/" + (f"{name}-flat.vmdk".encode() if stored == "decoded" else raw)
    with open(target, "wb") as file:
        file.write(content)
    assert opened(path) == content


@pytest.mark.parametrize("start", ["\ufeff", "\r\n\r\n", "  "])
def test_descriptors_that_do_not_begin_at_once(flat: Path, data: bytes, start: str) -> None:
    flat.write_text(start + flat.read_text().replace("# Disk D", "#Disk d"), newline="")
    assert opened(flat) == data


# Stream-optimized images as files.


def test_a_footer_behind_which_a_file_is_padded(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "disk.vmdk"
    stream = bytes(write_stream(data).data)
    for padding in (0, 512, 10_000, 500_000):
        path.write_bytes(stream + bytes(padding))
        assert opened(path) == data
    path.write_bytes(stream[:-1024])
    with pytest.raises(DiskError, match="no footer"):
        open_disk(detect(str(path)))


def test_grains_in_any_order_and_twice(tmp_path: Path) -> None:
    """Only the table says which grain counts: one that no table names is not read."""
    writer = StreamWriter(4 * GRAIN)
    new = [bytes([65 + number]) * GRAIN * SECTOR for number in range(4)]
    writer.grain(2, b"old" * 20000 + bytes(5536))
    sectors = {number: writer.grain(number, new[number]) for number in (3, 0, 2)}
    writer.table(0, sectors)
    path = tmp_path / "disk.vmdk"
    path.write_bytes(writer.end())
    assert opened(path) == new[0] + bytes(GRAIN * SECTOR) + new[2] + new[3]


def test_the_capacity_is_the_disks_not_the_files(tmp_path: Path) -> None:
    capacity = 16097738752
    writer = StreamWriter(capacity // SECTOR)
    last = capacity // SECTOR // GRAIN - 1
    tables: dict[int, dict[int, int]] = {}
    for number in (last, 7, 130_000, 0):
        tables.setdefault(number // 512, {})[number] = writer.grain(number, b"%08d" % number * 8192)
    for table in sorted(tables, reverse=True):
        writer.table(table, tables[table])
    path = tmp_path / "disk.vmdk"
    path.write_bytes(writer.end())
    with closing(open_disk(detect(str(path)))) as disk:
        assert disk.size == capacity
        for number in (0, 7, 130_000, last):
            assert disk.pread(100_000, number * 65536)[:65536] == b"%08d" % number * 8192
        assert disk.pread(65536, 65536) == bytes(65536)


def test_very_many_extents(tmp_path: Path) -> None:
    """More files than a process may have open by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        lines = []
        for number in range(600):
            (tmp_path / f"f{number:03d}").write_bytes(b"%03d " % number * 128)
            lines.append(f'RW 1 FLAT "f{number:03d}" 0')
        path = tmp_path / "disk.vmdk"
        path.write_text(descriptor("\n".join(lines)))
        assert opened(path) == b"".join(b"%03d " % number * 128 for number in range(600))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_compressed_grains_without_markers(tmp_path: Path) -> None:
    new = [bytes([65 + number]) * GRAIN * SECTOR for number in range(3)]
    head = bytearray(header(3 * GRAIN, 21))
    head[8:12] = struct.pack("<I", 1 | 1 << 16)
    image = bytearray(bytes(head).ljust(128 * SECTOR, b"\0"))
    image[21 * SECTOR : 21 * SECTOR + 4] = struct.pack("<I", 22)
    for number, grain in enumerate(new):
        place = 22 * SECTOR + number * 4
        image[place : place + 4] = struct.pack("<I", len(image) // SECTOR)
        packed = zlib.compress(grain)
        image += packed.ljust(-(-len(packed) // SECTOR) * SECTOR, b"\0")
    path = tmp_path / "disk.vmdk"
    path.write_bytes(image)
    assert opened(path) == b"".join(new)


def test_a_grain_that_its_table_takes_for_another(tmp_path: Path) -> None:
    writer = StreamWriter(2 * GRAIN)
    first, second = writer.grain(0, b"a" * GRAIN * SECTOR), writer.grain(1, b"b" * GRAIN * SECTOR)
    writer.table(0, {0: second, 1: first})
    path = tmp_path / "disk.vmdk"
    path.write_bytes(writer.end())
    with (
        closing(open_disk(detect(str(path)))) as disk,
        pytest.raises(DiskError, match="says that it is disk"),
    ):
        disk.pread(1, 0)


def test_a_stream_cut_anywhere(raw_image: Path, stream_image: Path, tmp_path: Path) -> None:
    path = tmp_path / "disk.vmdk"
    image = stream_image.read_bytes().rstrip(b"\0")
    for cut in (600, 30_000, 100_000, len(image) // 2, len(image) - 1):
        path.write_bytes(image[:cut])
        with pytest.raises(DiskError, match="incomplete"):
            open_disk(detect(str(path)))


@pytest.mark.parametrize("size", [512, 102400, 65536 + 512, 3 * MIB + 1536])
@pytest.mark.parametrize("subformat", ["monolithicSparse", "twoGbMaxExtentSparse", "streamOptimized"])
def test_a_capacity_that_is_no_multiple_of_anything(tmp_path: Path, size: int, subformat: str) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(random.Random(size).randbytes(size))
    assert opened(make("vmdk", subformat, raw, tmp_path / "disk.vmdk")) == raw.read_bytes()


# Our own parser.


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000))
def test_garbage_is_a_descriptor_or_refused(garbage: bytes) -> None:
    try:
        parsed = parse_descriptor(b"# Disk DescriptorFile\n" + garbage)
    except DiskError:
        return
    assert isinstance(parsed, Descriptor)
    assert parsed.capacity >= 0


LINES = st.lists(
    st.tuples(
        st.sampled_from(["RW", "RDONLY", "NOACCESS"]),
        st.integers(1, 1 << 40),
        st.sampled_from(["FLAT", "SPARSE", "VMFS", "ZERO", "SESPARSE"]),
        st.text(st.characters(exclude_characters='"\n\r\0', exclude_categories=["Cs", "Cc", "Zl", "Zp"])),
        st.integers(0, 1 << 40),
    ),
    max_size=20,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LINES, st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "  ", "\t"]))
def test_what_is_written_is_read(lines: list[tuple[str, int, str, str, int]], end: str, blank: str) -> None:
    text = f"# Disk DescriptorFile{end}CID=0000abcd{end}parentCID = FFFFFFFF{end}"
    for access, sectors, kind, name, offset in lines:
        place = "" if kind == "ZERO" else f' "{name}" {offset}'
        text += f"{blank}{access} {sectors} {kind}{place}{end}"
    data = text.encode()
    assert is_descriptor(data)
    parsed = parse_descriptor(data)
    assert (parsed.content_id, parsed.has_parent) == (0xABCD, False)
    assert [(e.access, e.sectors, e.type, e.name, e.offset) for e in parsed.extents] == [
        (access, sectors, kind, b"", 0) if kind == "ZERO" else (access, sectors, kind, name.encode(), offset)
        for access, sectors, kind, name, offset in lines
    ]
