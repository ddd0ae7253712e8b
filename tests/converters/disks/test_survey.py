"""A disk's parents are files of its machine, in every format that has them."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest

from converters.disks import ImageFile, vdi
from converters.disks.survey import survey_disk
from converters.errors import DiskError

from . import deltas
from .deltas import MIB
from .images import make

A, B, C = (uuid.UUID(int=number) for number in (1, 2, 3))
SIZE = 24 * MIB


def test_a_vhd_and_its_parents(tmp_path: Path) -> None:
    base, first, second = (tmp_path / name for name in ("base.vhd", "1.avhd", "2.avhd"))
    base.write_bytes(deltas.vhd(SIZE, {0: b"0" * 512}, ident=A.bytes))
    first.write_bytes(deltas.vhd(SIZE, {}, ident=B.bytes, parent=A.bytes, name="base.vhd"))
    second.write_bytes(deltas.vhd(SIZE, {}, ident=C.bytes, parent=B.bytes, name="1.avhd"))
    surveyed = survey_disk(ImageFile(str(second), "vpc"))
    assert (surveyed.files, surveyed.capacity) == ((str(second), str(first), str(base)), SIZE)
    base.unlink()
    with pytest.raises(DiskError, match=r"needs the parent 'base\.vhd', which is absent"):
        survey_disk(ImageFile(str(second), "vpc"))


def test_a_vhdx_and_its_parent(raw_image: Path, tmp_path: Path) -> None:
    base = make("vhdx", "", raw_image, tmp_path / "base.vhdx")
    leaf = tmp_path / "leaf.avhdx"
    size = raw_image.stat().st_size
    leaf.write_bytes(deltas.vhdx(size, {}, parent=deltas.vhdx_parent_id(base), name="base.vhdx"))
    surveyed = survey_disk(ImageFile(str(leaf), "vhdx"))
    assert (surveyed.files, surveyed.capacity) == ((str(leaf), str(base)), size)


def test_a_vdi_and_its_parent(tmp_path: Path) -> None:
    leaf, base = tmp_path / "m" / "Snapshots" / "leaf.vdi", tmp_path / "m" / "base.vdi"
    leaf.parent.mkdir(parents=True)
    base.write_bytes(deltas.vdi(SIZE, {}, created=A, modified=B))
    leaf.write_bytes(deltas.vdi(SIZE, {}, created=C, modified=C, parent=(A, B)))
    surveyed = survey_disk(ImageFile(str(leaf), "vdi", str(tmp_path)))
    assert (surveyed.files, surveyed.capacity) == ((str(leaf), str(base)), SIZE)


def test_the_search_for_a_vdis_parent_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is beside the disk, or above it, or among the first names of the source."""
    monkeypatch.setattr(vdi, "_MOST_ENTRIES", 50)
    leaf, hidden = tmp_path / "m" / "leaf.vdi", tmp_path / "z" / "base.vdi"
    for folder in (leaf.parent, hidden.parent, tmp_path / "many"):
        folder.mkdir()
    leaf.write_bytes(deltas.vdi(SIZE, {}, created=C, modified=C, parent=(A, B)))
    hidden.write_bytes(deltas.vdi(SIZE, {}, created=A, modified=B))
    source = ImageFile(str(leaf), "vdi", str(tmp_path))
    assert survey_disk(source).files == (str(leaf), str(hidden))
    for number in range(60):
        (tmp_path / "many" / str(number)).touch()
    with pytest.raises(DiskError, match=f"needs its parent, the VDI with UUID {A}"):
        survey_disk(source)
    shutil.move(hidden, tmp_path / "base.vdi")
    assert survey_disk(source).files == (str(leaf), str(tmp_path / "base.vdi"))
