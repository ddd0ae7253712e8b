"""rpm's databases: made by rpm itself in the formats it writes, and real ones of all formats."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.guest.facts import Role, Service
from converters.guest.files import GuestFiles
from converters.guest.packages.find import read_packages
from converters.guest.packages.rpm.berkeley import DatabaseError, berkeley_blobs
from converters.guest.packages.rpm.header import Header, HeaderError
from converters.guest.packages.rpm.ndb import ndb_blobs
from converters.guest.packages.rpm.read import read_rpm
from converters.guest.packages.rpm.sqlite import sqlite_blobs
from converters.guest.packages.values import Package, ServicePackage
from tests.directory_filesystem import DirectoryFilesystem

SPEC = """\
Name: {name}
Version: 1.2
Release: 3.el9
{epoch}
Summary: x
License: x
BuildArch: noarch
%description
x
%install
mkdir -p %{{buildroot}}/usr/lib/systemd/system
echo x > %{{buildroot}}/usr/lib/systemd/system/{name}.service
%files
/usr/lib/systemd/system/{name}.service
"""
FILES = {"sqlite": "rpmdb.sqlite", "ndb": "Packages.db"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """Two small packages, one of them with an epoch."""
    if shutil.which("rpmbuild") is None:
        pytest.skip("rpmbuild is not here: apt-get install rpm")
    top = tmp_path_factory.mktemp("rpmbuild")
    for name, epoch in (("billing", "Epoch: 2"), ("shop", "")):
        spec = top / f"{name}.spec"
        spec.write_text(SPEC.format(name=name, epoch=epoch), encoding="utf-8")
        command = ["rpmbuild", "-bb", "--quiet", "--define", f"_topdir {top}", str(spec)]
        subprocess.run(command, check=True, capture_output=True)
    yield sorted(top.glob("RPMS/noarch/*.rpm"))


def in_ndb(blobs: list[bytes]) -> bytes:
    """A database of rpm's own format, which Debian's rpm does not write: a page of slots, then the blobs."""
    slots, body = b"", b""
    for index, blob in enumerate(blobs, 1):
        offset, blocks = (4096 + len(body)) // 16, (len(blob) + 16 + 12 + 15) // 16
        slots += b"Slot" + struct.pack("<3I", index, offset, blocks)
        whole = b"BlbS" + struct.pack("<3I", index, 1, len(blob)) + blob
        body += whole + bytes(blocks * 16 - len(whole) - 12) + struct.pack("<2I", 0, len(blob)) + b"BlbE"
    head = b"RpmP" + struct.pack("<4I", 0, 1, 1, len(blobs) + 1) + bytes(12)
    free = b"Slot" + bytes(12)
    return (head + slots + free * 300)[:4096] + body


@pytest.fixture(params=FILES)
def guest(request: pytest.FixtureRequest, packages: list[Path], tmp_path: Path) -> tuple[str, Path]:
    """A format, and a tree into which rpm has installed the packages with a database of that format."""
    define = ["--define", "_db_backend sqlite", "--define", "_dbpath /var/lib/rpm"]
    command = ["rpm", "--root", str(tmp_path), *define, "--nodeps", "-i", *map(str, packages)]
    subprocess.run(command, check=True, capture_output=True)
    if request.param == "ndb":
        written = tmp_path / "var/lib/rpm/rpmdb.sqlite"
        blobs = list(sqlite_blobs(written.read_bytes()))
        written.with_name(FILES["ndb"]).write_bytes(in_ndb(blobs))
        written.unlink()
    return request.param, tmp_path


def test_what_rpm_has_installed(guest: tuple[str, Path]) -> None:
    backend, tree = guest
    unit = "/usr/lib/systemd/system/billing.service"
    services = (Service("billing", unit, Role.APPLICATION, "", ()),)
    files = GuestFiles(DirectoryFilesystem(tree))
    facts = read_packages(files, services)
    assert facts is not None
    assert (facts.manager, facts.count, facts.source) == ("rpm", 2, f"/var/lib/rpm/{FILES[backend]}")
    assert facts.owners == (ServicePackage("billing", Package("billing", "2:1.2-3.el9", "noarch")),)
    assert files.notes == ()


def test_a_damaged_database_gives_what_is_whole_or_a_note(guest: tuple[str, Path]) -> None:
    backend, tree = guest
    content = (tree / "var/lib/rpm" / FILES[backend]).read_bytes()

    @settings(max_examples=60)
    @given(st.integers(0, len(content) - 1), st.binary(min_size=1, max_size=64), st.booleans())
    def damaged(at: int, noise: bytes, cut: bool) -> None:
        other = content[:at] + noise + (b"" if cut else content[at + len(noise) :])
        try:
            for blob in sqlite_blobs(other) if backend == "sqlite" else ndb_blobs(other):
                Header(blob).package()
        except (DatabaseError, HeaderError):
            pass

    damaged()


def test_a_transaction_that_is_in_the_log_only(tmp_path: Path) -> None:
    path = tmp_path / "rpmdb.sqlite"
    database = sqlite3.connect(path)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA wal_autocheckpoint = 0")
        database.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        for number in range(40):
            database.execute("INSERT INTO Packages (blob) VALUES (?)", (bytes([number]) * 5000,))
            database.commit()
        content, log = path.read_bytes(), (tmp_path / "rpmdb.sqlite-wal").read_bytes()
    finally:
        database.close()
    assert list(sqlite_blobs(content)) == []
    assert list(sqlite_blobs(content, log)) == [bytes([number]) * 5000 for number in range(40)]
    without_the_last = list(sqlite_blobs(content, log[:-1]))
    assert without_the_last == [bytes([number]) * 5000 for number in range(39)]
    assert list(sqlite_blobs(content, b"x" * 100)) == []


def test_a_view_in_place_of_the_table_is_not_asked(tmp_path: Path) -> None:
    path = tmp_path / "rpmdb.sqlite"
    database = sqlite3.connect(path)
    database.execute(
        "CREATE VIEW Packages AS WITH RECURSIVE"
        " c(blob) AS (SELECT 1 UNION ALL SELECT blob FROM c) SELECT * FROM c"
    )
    database.commit()
    database.close()
    assert list(sqlite_blobs(path.read_bytes())) == []


@pytest.mark.parametrize("read", [sqlite_blobs, ndb_blobs, berkeley_blobs])
def test_what_is_no_database(read: object) -> None:
    for content in (b"", b"x" * 5000):
        with pytest.raises(DatabaseError):
            list(read(content))  # type: ignore[operator]


@pytest.mark.parametrize(
    "blob", [b"", b"x" * 7, b"\0" * 100, b"\xff" * 100, b"\0\0\0\1\0\0\0\x7f" + bytes(16)]
)
def test_what_is_no_header(blob: bytes) -> None:
    with pytest.raises(HeaderError):
        Header(blob)


@given(st.binary(max_size=300))
def test_any_blob_is_read(blob: bytes) -> None:
    entries = len(blob) // 20
    head = entries.to_bytes(4, "big") + (len(blob) - 16 * entries).to_bytes(4, "big")
    try:
        header = Header(head + blob)
    except HeaderError:
        return
    header.package()
    list(header.owned({"/a/b"}, {b"b"}))


def test_a_real_database_of_sqlite(cases: Path) -> None:
    database = cases / "RPM-01/pkg/testdata/cbl-mariner-2.0/rpmdb.sqlite"
    table = (cases / "RPM-01/expected_cbl-mariner-2.0.tsv").read_text(encoding="utf-8").splitlines()[1:]
    expected = {
        (name, f"{epoch + ':' if epoch not in ('0', '') else ''}{version}-{release}", architecture)
        for name, epoch, version, release, architecture, *_ in (line.split("\t") for line in table)
    }
    found = [Header(blob).package() for blob in sqlite_blobs(database.read_bytes())]
    packages = [package for package in found if package is not None]
    assert len(packages) == len(expected) == 129
    assert {
        (package.name, package.version.removeprefix("0:"), package.architecture) for package in packages
    } == expected


def test_a_real_database_of_berkeley_db(cases: Path, tmp_path: Path) -> None:
    content = (cases / "RPM-01/pkg/testdata/libuuid/Packages").read_bytes()
    (tmp_path / "var/lib/rpm").mkdir(parents=True)
    (tmp_path / "var/lib/rpm/Packages").write_bytes(content)
    path = "/usr/lib64/libuuid.so.1"
    found = read_rpm(GuestFiles(DirectoryFilesystem(tmp_path)), frozenset({path}))
    assert found is not None
    facts, owners = found
    assert facts.count == 1
    assert owners == {path: Package("libuuid", "2.32.1-42.el8_8", "x86_64")}
    for at in range(0, len(content), 997):
        try:
            for blob in berkeley_blobs(content[:at] + b"\xff" * 8 + content[at + 8 :]):
                Header(blob).package()
        except (DatabaseError, HeaderError):
            pass


def test_real_odd_ones(cases: Path) -> None:
    empty = cases / "RPM-03/internal/rpm/sqlite/testdata/no_packages.sqlite"
    assert list(sqlite_blobs(empty.read_bytes())) == []
    blob = (cases / "RPM-01/pkg/testdata/blob.bin").read_bytes()
    bare, with_magic = Header(blob).package(), Header(b"\x8e\xad\xe8\x01\0\0\0\0" + blob).package()
    assert bare == with_magic == Package("publicsuffix-list-dafsa", "20210518-2.fc35", "noarch")
