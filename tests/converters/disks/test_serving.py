"""A disk that another program reads over NBD is the disk."""

from __future__ import annotations

import random
import subprocess
import tempfile
from contextlib import closing
from pathlib import Path

import nbd
import pytest

from converters.disks import ImageFile, detect, open_disk
from converters.disks.serving import served
from converters.errors import ConvertError, DiskError

from .images import content, make


def test_clients_see_the_disk(raw_image: Path, tmp_path: Path) -> None:
    path = make("vdi", "", raw_image, tmp_path / "disk.vdi")
    expected = raw_image.read_bytes()
    with served(detect(str(path))) as source:
        with closing(open_disk(source)) as disk, closing(open_disk(source)) as another:
            assert content(disk) == expected
            generator = random.Random(1)
            for _ in range(50):
                offset, length = generator.randrange(len(expected)), generator.randrange(1, 100_000)
                assert another.pread(length, offset) == expected[offset : offset + length]
        command = ["qemu-img", "compare", "-f", "raw", "-F", "raw", source.uri, str(raw_image)]
        assert b"identical" in subprocess.run(command, check=True, capture_output=True).stdout


def test_nothing_is_written(raw_image: Path) -> None:
    before = raw_image.read_bytes()
    with served(detect(str(raw_image))) as source:
        handle = nbd.NBD()
        handle.set_strict_mode(0)
        handle.connect_uri(source.uri)
        assert handle.is_read_only()
        with pytest.raises(nbd.Error):
            handle.pwrite(b"x" * 512, 0)
    assert raw_image.read_bytes() == before


def test_a_read_past_the_end_is_refused(raw_image: Path) -> None:
    with served(detect(str(raw_image))) as source:
        handle = nbd.NBD()
        handle.set_strict_mode(0)
        handle.connect_uri(source.uri)
        with pytest.raises(nbd.Error):
            handle.pread(512, raw_image.stat().st_size)
        assert handle.pread(512, 0) == raw_image.read_bytes()[:512]
        handle.shutdown()


def test_a_disk_that_does_not_open(tmp_path: Path) -> None:
    path = tmp_path / "disk.vdi"
    path.write_bytes(bytes(1000))
    with pytest.raises(DiskError, match="a VDI of version"), served(ImageFile(str(path), "vdi")):
        pass


def test_a_folder_with_too_long_a_path(
    raw_image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    with pytest.raises(ConvertError, match="107 bytes"), served(detect(str(raw_image))):
        pass
