"""btrfs images that other projects met, with the right values."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from converters.errors import FilesystemError
from tests.converters.filesystems.btrfs_images import opened
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes

CASES = Path(__file__).parents[4] / "shared/cases/BTRFS-01"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the checkout")

COMPRESSED = "8eafc7bd411c1f02b9e972a83d2b0a4164eefc5ef51e6b63ad7acc78be4ad44f"
"""What the same 204,800 bytes are in each way to compress them."""
OWN = (1 << 64) - 1


def unpacked(folder: Path, name: str) -> Path:
    image = folder / "image"
    packed = next(CASES.rglob(f"{name}.xz"))
    # Written with holes, as the image is mostly zeros.
    with lzma.open(packed) as source, open(image, "wb") as target:
        while chunk := source.read(1 << 20):
            if chunk.strip(b"\0"):
                target.write(chunk)
            else:
                target.seek(len(chunk), 1)
        target.truncate()
    return image


def test_every_compression_in_one_file_system(tmp_path: Path) -> None:
    with opened(unpacked(tmp_path, "compress.raw")) as filesystem:
        entries = list(filesystem.walk())
        assert reader_hashes(filesystem, entries) == dict.fromkeys((b"lzo", b"zlib", b"zstd"), COMPRESSED)


@pytest.mark.root
@needs_root
def test_file_system_that_was_an_ext2(tmp_path: Path) -> None:
    image = unpacked(tmp_path, "default_case.raw")
    with opened(image) as filesystem:
        entries = list(filesystem.walk())
        hashes = reader_hashes(filesystem, entries)
    with mounted(image, "btrfs") as root:
        assert [entry._replace(inode=entry.inode & OWN) for entry in entries] == kernel_entries(root)
        assert hashes == kernel_hashes(root)


def test_dump_of_metadata_is_no_file_system(tmp_path: Path) -> None:
    """btrfs-image(8) writes a format of its own."""
    with pytest.raises(FilesystemError, match="no btrfs"), opened(unpacked(tmp_path, "4k_nodesize.img")):
        pass
