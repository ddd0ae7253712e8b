"""Every kind of disk image opens to the same bytes, and an image opens nothing but its own files."""

from __future__ import annotations

import bz2
import hashlib
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converters.disks import ImageFile, NbdSource, RawFile, detect, open_disk
from converters.errors import DiskError, UnsupportedError

from .images import content, make, opened

FORMATS = (
    ("vmdk", "monolithicSparse"),
    ("vmdk", "monolithicFlat"),
    ("vmdk", "twoGbMaxExtentSparse"),
    ("vmdk", "twoGbMaxExtentFlat"),
    ("vmdk", "streamOptimized"),
    ("qcow2", ""),
    ("qcow", ""),
    ("vdi", ""),
    ("vpc", ""),
    ("vhdx", ""),
    ("parallels", ""),
)


@pytest.mark.parametrize(("format", "subformat"), FORMATS, ids=[f"{a}-{b}".strip("-") for a, b in FORMATS])
def test_every_format_gives_the_disk(raw_image: Path, tmp_path: Path, format: str, subformat: str) -> None:
    path = make(format, subformat, raw_image, tmp_path / "disk, with: odd name")
    assert detect(str(path)) == ImageFile(str(path), format)
    assert opened(path) == raw_image.read_bytes()


def test_raw_is_raw(raw_image: Path) -> None:
    assert detect(str(raw_image)) == RawFile(str(raw_image))
    assert opened(raw_image) == raw_image.read_bytes()


def test_no_process_is_left(raw_image: Path, tmp_path: Path) -> None:
    path = make("qcow2", "", raw_image, tmp_path / "disk.qcow2")
    disk = open_disk(detect(str(path)))
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    assert children.read_text().split()
    disk.close()
    disk.close()
    assert not children.read_text().split()
    with pytest.raises(DiskError):
        disk.pread(1, 0)


def test_threads_share_a_disk(raw_image: Path, tmp_path: Path) -> None:
    path = make("qcow2", "", raw_image, tmp_path / "disk.qcow2")
    expected = raw_image.read_bytes()
    generator = random.Random(4)
    places = [(generator.randrange(len(expected)), generator.randrange(1, 300_000)) for _ in range(200)]
    with closing(open_disk(detect(str(path)))) as disk, ThreadPoolExecutor(8) as pool:
        for (offset, length), data in zip(
            places, pool.map(lambda p: disk.pread(p[1], p[0]), places), strict=True
        ):
            assert data == expected[offset : offset + length]


def test_a_read_larger_than_a_request(tmp_path: Path) -> None:
    path = tmp_path / "large.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "70M"], check=True)
    with closing(open_disk(detect(str(path)))) as disk:
        assert disk.pread(70 << 20, 1) == bytes((70 << 20) - 1)


@pytest.fixture
def nbd_uri(raw_image: Path, tmp_path: Path) -> Iterator[str]:
    socket = tmp_path / "socket"
    command = ["qemu-nbd", "-r", "-t", "-f", "raw", "-k", str(socket), "-x", "disk", str(raw_image)]
    with subprocess.Popen(command) as server:
        while not socket.exists():
            time.sleep(0.01)
        yield f"nbd+unix:///disk?socket={socket}"
        server.terminate()


def test_an_export_of_a_server(nbd_uri: str, raw_image: Path) -> None:
    assert detect(nbd_uri) == NbdSource(nbd_uri)
    with closing(open_disk(NbdSource(nbd_uri))) as disk:
        assert content(disk) == raw_image.read_bytes()


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="cannot connect"):
        open_disk(NbdSource(f"nbd+unix:///?socket={tmp_path}/none"))


@pytest.mark.parametrize("kind", ["image", "server"])
def test_a_machine_without_libnbd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    """The orchestrator's, for example: it reads no disk."""
    image = tmp_path / "disk"
    image.write_bytes(bytes(1024))
    source = ImageFile(str(image), "parallels") if kind == "image" else NbdSource("nbd://localhost")
    for module in ("converters.disks.nbd", "converters.disks.qemu"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "nbd", None)
    with pytest.raises(UnsupportedError, match="libnbd is not installed") as caught:
        open_disk(source)
    assert "python3-libnbd" in caught.value.hint


def test_garbage_is_told(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, message in (
        (empty, "is empty"),
        (tmp_path, "a folder"),
        (fifo, "neither"),
        (tmp_path / "x", "no such"),
    ):
        with pytest.raises(DiskError, match=message):
            detect(str(path))
        with pytest.raises(DiskError, match=message):
            open_disk(RawFile(str(path)))


@pytest.mark.parametrize(
    ("format", "magic"), [("qcow2", b"QFI\xfb\0\0\0\3"), ("vhdx", b"vhdxfile"), ("vmdk", b"KDMV")]
)
def test_a_magic_and_nothing_behind_it(tmp_path: Path, format: str, magic: bytes) -> None:
    path = tmp_path / "disk"
    path.write_bytes(magic + bytes(5000))
    assert detect(str(path)) == ImageFile(str(path), format)
    with pytest.raises(DiskError, match="disk"):
        open_disk(detect(str(path)))


MAGICS = (
    b"QFI\xfb\0\0\0\1",
    b"QFI\xfb\0\0\0\3",
    b"KDMV",
    b"COWD",
    b"# Disk DescriptorFile\n",
    b"conectix",
    b"vhdxfile",
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(magic=st.sampled_from(MAGICS), tail=st.binary(max_size=1500))
def test_garbage_behind_a_magic_opens_or_is_refused(tmp_path: Path, magic: bytes, tail: bytes) -> None:
    path = tmp_path / "disk"
    path.write_bytes(magic + tail)
    try:
        disk = open_disk(detect(str(path)))
    except DiskError:
        return
    with closing(disk):
        assert disk.size > 0


# What an image names.


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that no disk image may make us read."""
    path = tmp_path / "secret"
    path.write_bytes(b"secret".ljust(1 << 20, b"!"))
    return path


@pytest.fixture
def folder(tmp_path: Path, secret: Path) -> Path:
    path = tmp_path / "images"
    path.mkdir()
    (path / "link").symlink_to(secret)
    return path


DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="{type}"
RW 2048 {extent} "{name}"
"""


@pytest.mark.parametrize("extent", ["FLAT", "SPARSE", "VMFSSPARSE"])
@pytest.mark.parametrize("name", ["{secret}", "../secret", "link", "sub/../../secret", "/proc/self/environ"])
def test_extents_outside_the_folder_are_refused(folder: Path, secret: Path, extent: str, name: str) -> None:
    path = folder / "disk.vmdk"
    path.write_text(DESCRIPTOR.format(type="custom", extent=extent, name=name.format(secret=secret)))
    with pytest.raises(DiskError, match="folder"):
        open_disk(detect(str(path)))


def test_an_extent_hidden_from_a_line_parser_is_not_opened(folder: Path, secret: Path) -> None:
    """QEMU reads an extent over several lines; it never sees this text."""
    path = folder / "disk.vmdk"
    path.write_text(DESCRIPTOR.format(type="monolithicFlat", extent="\nFLAT", name=secret))
    with pytest.raises(DiskError, match="no extent can be read"):
        open_disk(detect(str(path)))


def test_an_embedded_descriptor_cannot_take_the_sparse_extents_place(folder: Path, secret: Path) -> None:
    text = DESCRIPTOR.format(type="monolithicFlat", extent="FLAT", name=secret).encode()
    header = bytearray(512)
    header[:4], header[4], header[28:36], header[36] = b"KDMV", 1, (1).to_bytes(8, "little"), 20
    path = folder / "disk.vmdk"
    path.write_bytes(bytes(header) + text.ljust(20 * 512, b"\0"))
    with pytest.raises(DiskError, match="capacity 0"):
        open_disk(detect(str(path)))


@pytest.mark.parametrize(
    "name", ["{secret}", "../secret", "link", 'json:{{"driver":"file"}}', "nbd://127.0.0.1:9/x"]
)
def test_backing_files_outside_the_folder_are_refused(folder: Path, secret: Path, name: str) -> None:
    path = folder / "disk.qcow2"
    backing = name.format(secret=secret)
    subprocess.run(
        ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", backing, str(path), "1M"],
        check=True,
    )
    with pytest.raises(DiskError, match="backing file"):
        open_disk(detect(str(path)))


def test_a_backing_file_of_unknown_format_is_refused(folder: Path, raw_image: Path) -> None:
    base = make("qcow2", "", raw_image, folder / "base")
    path = folder / "disk.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "base", str(path)], check=True
    )
    assert opened(path) == raw_image.read_bytes()
    image = bytearray(path.read_bytes())
    image[image.index(b"\xe2\x79\x2a\xca") + 3] ^= 1
    path.write_bytes(image)
    with pytest.raises(DiskError, match="format of its backing file"):
        open_disk(detect(str(path)))
    assert base.exists()


@pytest.mark.parametrize("inside", [True, False])
def test_data_in_another_file(folder: Path, secret: Path, raw_image: Path, inside: bool) -> None:
    path = folder / "disk.qcow2"
    options = f"data_file={'data' if inside else secret}"
    command = ["qemu-img", "convert", "-O", "qcow2", "-o", options, str(raw_image), path.name]
    subprocess.run(command, check=True, cwd=folder)
    if inside:
        assert opened(path) == raw_image.read_bytes()
    else:
        with pytest.raises(DiskError, match="not a file of the folder"):
            open_disk(detect(str(path)))


def test_a_chain_of_snapshots(raw_image: Path, tmp_path: Path) -> None:
    base = make("vmdk", "twoGbMaxExtentSparse", raw_image, tmp_path / "base.vmdk")
    leaf = tmp_path / "leaf.vmdk"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "vmdk", "-F", "vmdk", "-b", str(base), str(leaf)],
        check=True,
        cwd=tmp_path,
    )
    subprocess.run(["qemu-io", "-f", "vmdk", "-c", "write -q -P 0x41 70000 5000", str(leaf)], check=True)
    leaf.write_bytes(
        leaf.read_bytes().replace(str(base).encode(), b"base.vmdk".ljust(len(str(base)), b"\n"), 1)
    )
    text = leaf.read_bytes()
    start = text.index(b'parentFileNameHint="')
    end = text.index(b"\n", start)
    assert text[start:end].startswith(b'parentFileNameHint="base.vmdk')
    expected = bytearray(raw_image.read_bytes())
    expected[70000:75000] = b"\x41" * 5000
    assert opened(leaf) == bytes(expected)


def test_an_absent_parent_is_named(tmp_path: Path) -> None:
    path = tmp_path / "leaf.vmdk"
    path.write_text(
        DESCRIPTOR.format(type="vmfsSparse", extent="FLAT", name="flat").replace(
            "parentCID=ffffffff", 'parentCID=01020304\nparentFileNameHint="base.vmdk"'
        )
    )
    (tmp_path / "flat").write_bytes(bytes(1 << 20))
    with pytest.raises(DiskError, match=r"parent 'base\.vmdk', which is absent"):
        open_disk(detect(str(path)))


def test_extents_are_found_by_the_descriptors_encoding(tmp_path: Path) -> None:
    flat = tmp_path / "disque-é-flat.vmdk"
    flat.write_bytes(random.Random(1).randbytes(1 << 20))
    text = DESCRIPTOR.format(type="vmfs", extent="VMFS", name=flat.name)
    path = tmp_path / "disk.vmdk"
    path.write_bytes(text.replace("version=1", 'version=1\nencoding="windows-1252"').encode("windows-1252"))
    assert opened(path) == flat.read_bytes()


def test_extents_at_an_offset_and_of_zeros(tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.write_bytes(random.Random(1).randbytes(2 << 20))
    path = tmp_path / "disk.vmdk"
    path.write_text(
        DESCRIPTOR.format(type="custom", extent="FLAT", name="flat")
        + 'RW 100 ZERO\nRW 2048 FLAT "flat" 2048\n'
    )
    data = flat.read_bytes()
    assert opened(path) == data[: 1 << 20] + bytes(51200) + data[1 << 20 :]


def test_a_flat_extent_that_is_too_short(tmp_path: Path) -> None:
    (tmp_path / "flat").write_bytes(bytes(1000))
    path = tmp_path / "disk.vmdk"
    path.write_text(DESCRIPTOR.format(type="vmfs", extent="VMFS", name="flat"))
    with pytest.raises(DiskError, match="shorter than its 2048 sectors"):
        open_disk(detect(str(path)))


def test_a_renamed_sparse_vmdk(raw_image: Path, tmp_path: Path) -> None:
    path = make("vmdk", "monolithicSparse", raw_image, tmp_path / "foo.vmdk")
    assert opened(path.rename(tmp_path / "bar.vmdk")) == raw_image.read_bytes()


def test_a_raw_image_split_into_numbered_files(raw_image: Path, tmp_path: Path) -> None:
    data = raw_image.read_bytes()
    for number, start in enumerate(range(0, len(data), 7 << 20)):
        (tmp_path / f"disk.{number:03d}").write_bytes(data[start : start + (7 << 20)])
    assert opened(tmp_path / "disk.000") == data
    (tmp_path / "disk.001").write_bytes(b"x")
    with pytest.raises(DiskError, match="differ in size"):
        open_disk(RawFile(str(tmp_path / "disk.000")))


# Real files with known values.


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def test_known_vmdks(cases: Path) -> None:
    lines = [line.split() for line in (cases / "VMDK-expected-raw-md5.txt").read_text().splitlines()]
    assert len(lines) == 9
    assert [(_md5(data := opened(cases / name)), str(len(data))) for name, *_ in lines] == [
        (md5, size) for _, md5, size, *_ in lines
    ]


@pytest.mark.parametrize(
    ("name", "sha1"),
    [
        ("monolithicSparse", "dd2fade471d68658b2ebbff7474f5d0a99da8989"),
        ("streamOptimized", "dd2fade471d68658b2ebbff7474f5d0a99da8989"),
        ("vmfs_thick", "17eaf058191c5f2639d8f983ca7633e4f47087d1"),
    ],
)
def test_known_containers_of_one_disk(cases: Path, name: str, sha1: str) -> None:
    assert hashlib.sha1(opened(cases / f"VMDK-01/data/{name}.vmdk")).hexdigest() == sha1


def test_a_known_delta_without_its_extent(cases: Path) -> None:
    with pytest.raises(DiskError, match=r"vmfs_thick-000001-delta\.vmdk"):
        open_disk(detect(str(cases / "VMDK-01/data/vmfs_thick-000001.vmdk")))


@pytest.mark.parametrize("name", ["ext2.qcow2", "ext2.vmdk", "ext2.splitraw.000"])
def test_one_known_disk_in_three_formats(cases: Path, name: str) -> None:
    assert _md5(opened(cases / "IMG-02/test_data" / name)) == "196066add11fb71c4c49cf1bb50d6d24"


def test_a_known_file_name_with_an_accent(cases: Path) -> None:
    with closing(open_disk(detect(str(cases / "IMG-02/test_data/ímynd.dd")))) as disk:
        assert disk.size == 102400


def test_a_known_differencing_disk_names_its_parent(cases: Path) -> None:
    with pytest.raises(DiskError, match=r"fat-parent\.vhd"):
        open_disk(detect(str(cases / "IMG-02/test_data/fat-differential.vhd")))


@pytest.mark.parametrize(
    ("name", "size"), [("hyperv2012r2-dynamic.vhd", 136365211648), ("d2v-zerofilled.vhd", 263454720)]
)
def test_the_size_of_known_vhds(cases: Path, tmp_path: Path, name: str, size: int) -> None:
    folder = cases / "IMG-01/tests/qemu-iotests/sample_images"
    path = tmp_path / name
    with bz2.open(folder / f"{name}.bz2") as packed, path.open("wb") as file:
        shutil.copyfileobj(packed, file)
    with closing(open_disk(detect(str(path)))) as disk:
        assert disk.size == size


@pytest.mark.parametrize(("name", "size"), [("parallels-v2", 2 << 20), ("parallels-with-bitmap", 64 << 30)])
def test_known_images_of_parallels(cases: Path, tmp_path: Path, name: str, size: int) -> None:
    path = tmp_path / name
    path.write_bytes(
        bz2.decompress((cases / f"IMG-01/tests/qemu-iotests/sample_images/{name}.bz2").read_bytes())
    )
    command = ["qemu-img", "dd", "-f", "parallels", "-O", "raw", "bs=1M", "count=2", f"if={path}"]
    subprocess.run([*command, f"of={tmp_path}/start"], check=True, capture_output=True)
    with closing(open_disk(detect(str(path)))) as disk:
        assert disk.size == size
        assert disk.pread(2 << 20, 0) == (tmp_path / "start").read_bytes()
