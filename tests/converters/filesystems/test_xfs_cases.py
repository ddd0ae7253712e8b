"""XFS images of version 4 and 5 with the values that their makers say."""

from __future__ import annotations

import hashlib
import lzma
from pathlib import Path

import pytest

from converters.filesystems.base import Entry, Kind
from tests.converters.filesystems.xfs_images import opened

CASES = Path(__file__).parents[4] / "shared/cases/XFS-01"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the checkout")

HELLO = hashlib.sha256(b"hello xfs\n").hexdigest()


@pytest.mark.parametrize("name", ["xfs_v4", "xfs_v5"])
def test_tree_of_every_kind(tmp_path: Path, name: str) -> None:
    image = tmp_path / name
    image.write_bytes(lzma.decompress((CASES / f"{name}.img.xz").read_bytes()))
    with opened(image) as filesystem:
        entries = {entry.path: entry for entry in filesystem.walk()}
        hashes = {
            path: hashlib.sha256(b"".join(filesystem.read(entry))).hexdigest()
            for path, entry in entries.items()
            if entry.kind is Kind.FILE
        }

    def owner(path: bytes) -> tuple[int, int, int]:
        entry = entries[path]
        return entry.mode, entry.uid, entry.gid

    def device(entry: Entry) -> tuple[Kind, int, int, int, int]:
        return entry.kind, entry.major, entry.minor, entry.mode, entry.gid

    assert entries[b"etc/os-release"].target == b"../usr/lib/os-release"
    assert entries[b"bin"].target == b"usr/bin"
    assert entries[b"longlink"].target == b"x" * 300
    assert owner(b"etc/shadow") == (0o640, 0, 42)
    assert owner(b"usr/bin/sudo") == (0o4755, 0, 0)
    assert owner(b"usr/bin/wall") == (0o2755, 0, 5)
    assert owner(b"home/bigid") == (0o600, 3_000_001, 4_294_967_294)
    assert device(entries[b"dev/null"]) == (Kind.CHARACTER, 1, 3, 0o666, 0)
    assert device(entries[b"dev/sda"]) == (Kind.BLOCK, 8, 0, 0o660, 6)
    assert entries[b"dev/fifo"].kind is Kind.FIFO
    assert hashes.pop(b"home/bigid") == "05ece9bde690bf39239aca4213a06d0a5ddb2eb6ec9ce0c2a5593bb1832f5b2a"
    assert set(hashes.values()) == {HELLO}
    assert [path for path in entries if path.startswith(b"many/")] == [
        b"many/file_with_a_rather_long_name_%04d" % number for number in range(600)
    ]
