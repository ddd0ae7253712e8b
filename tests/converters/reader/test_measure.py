"""What directories hold, added up while the tree goes by."""

from __future__ import annotations

from converters.filesystems.base import Entry, Kind
from converters.reader.measure import Measure


def _entry(path: bytes, size: int, kind: Kind = Kind.FILE) -> Entry:
    return Entry(path, kind, 0o644, 0, 0, size, 0, 1, 1)


def test_files_below_a_directory_are_added_up() -> None:
    entries = [
        _entry(b"var/lib/mysql", 7, Kind.DIRECTORY),
        _entry(b"var/lib/mysql/a", 5),
        _entry(b"var/lib/mysql/sub/b", 6),
        _entry(b"var/lib/mysql-other", 100),
        _entry(b"var/lib/mysql/link", 9, Kind.SYMLINK),
        _entry("srv/ü".encode(), 3),
    ]
    measure = Measure(["/var/lib/mysql", "/srv", "/empty"])
    assert list(measure.counted(entries)) == entries
    assert measure.sizes == (11, 3, 0)


def test_nothing_to_measure() -> None:
    measure = Measure(())
    assert list(measure.counted([_entry(b"a", 1)])) == [_entry(b"a", 1)]
    assert measure.sizes == ()
