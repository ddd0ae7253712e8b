"""What rpm has installed, whichever format its database has."""

from __future__ import annotations

from collections.abc import Iterator

from converters.guest.files import GuestFiles
from converters.guest.packages.rpm.berkeley import DatabaseError, berkeley_blobs
from converters.guest.packages.rpm.header import Header, HeaderError
from converters.guest.packages.rpm.ndb import ndb_blobs
from converters.guest.packages.rpm.sqlite import sqlite_blobs
from converters.guest.packages.values import Package, PackageFacts

_FOLDERS = ("/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm")
"""Of new systems, of all others, and of those that ostree keeps (rpm(8), rpm-ostree)."""
_FILES = ("rpmdb.sqlite", "Packages.db", "Packages")
"""SQLite, ndb, Berkeley DB; after a change of the format the old one stays as it was."""
_LIMIT = 256 << 20


def read_rpm(files: GuestFiles, paths: frozenset[str]) -> tuple[PackageFacts, dict[str, Package]] | None:
    """What rpm has installed, and who owns ``paths``; a damaged record is passed over with a note."""
    for folder in _FOLDERS:
        for name in _FILES:
            database = f"{folder}/{name}"
            content = files.content(database, _LIMIT)
            if content:
                return _read(files, database, content, paths)
    return None


def _read(
    files: GuestFiles, database: str, content: bytes, paths: frozenset[str]
) -> tuple[PackageFacts, dict[str, Package]]:
    basenames = {path.rpartition("/")[2].encode("utf-8", "surrogateescape") for path in paths}
    count, damaged = 0, 0
    owners: dict[str, Package] = {}
    try:
        for blob in _blobs(files, database, content):
            try:
                header = Header(blob)
            except HeaderError:
                damaged += 1
                continue
            package = header.package()
            if package is not None:
                count += 1
                owners |= dict.fromkeys(header.owned(paths, basenames), package)
    except DatabaseError as error:
        files.note(f"{database} was read in part, {count} packages: {error}.")
    if damaged:
        files.note(f"{database}: {damaged} damaged records were passed over.")
    return PackageFacts("rpm", database, count), owners


def _blobs(files: GuestFiles, database: str, content: bytes) -> Iterator[bytes]:
    if database.endswith(".sqlite"):
        return sqlite_blobs(content, files.content(f"{database}-wal", _LIMIT) or b"")
    if database.endswith(".db"):
        return ndb_blobs(content)
    return berkeley_blobs(content)
