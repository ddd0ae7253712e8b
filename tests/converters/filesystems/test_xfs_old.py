"""XFS of version 4, which newer kernels do not mount: filled in an appliance, compared with what went in."""

from __future__ import annotations

import pytest

from converters.filesystems.base import Entry, Kind
from tests.converters.filesystems.xfs_images import opened
from tests.converters.filesystems.xfs_old import FEATURES, SOURCE, old_images
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes

pytestmark = [pytest.mark.root, pytest.mark.slow, needs_root]


@pytest.mark.parametrize("name", FEATURES)
def test_equals_what_went_in(name: str) -> None:
    folder = old_images()
    with mounted(folder / SOURCE, "ext4") as root:
        expected, contents = kernel_entries(root), kernel_hashes(root)
    with opened(folder / name) as filesystem:
        assert not filesystem.needs_recovery
        entries = list(filesystem.walk())
        assert [_comparable(entry) for entry in entries] == [
            _comparable(entry) for entry in expected if entry.kind is not Kind.SOCKET
        ]
        assert reader_hashes(filesystem, entries) == contents


def _comparable(entry: Entry) -> Entry:
    """Without what another file system numbers otherwise; the root's time is of the unpacking."""
    nlink = 0 if entry.kind is Kind.DIRECTORY else entry.nlink
    return entry._replace(inode=0, nlink=nlink, mtime_ns=entry.mtime_ns if entry.path else 0)
