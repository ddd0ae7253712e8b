"""Paths inside a guest: links stay inside, oversized and strange things count as absent, with a note."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.errors import FilesystemError
from converters.filesystems.access import read_bytes, resolve
from converters.guest.files import TEXT_LIMIT, printable
from tests.converters.guest.conftest import Plant
from tests.directory_filesystem import DirectoryFilesystem


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("/etc/a", "/usr/lib/file"),
        ("/etc/b", "../usr/lib/file"),
        ("/etc/c", "../../../../../usr/lib/file"),
        ("/etc/d", "/lib/file"),
        ("/etc/e", "./../lib/./file"),
    ],
)
def test_links_stay_in_the_guest(plant: Plant, link: str, target: str) -> None:
    files = plant({"/usr/lib/file": "here", "/lib": "-> usr/lib", link: f"-> {target}"})
    assert files.text(link) == "here"
    assert files.real_path(link) == "/usr/lib/file"


def test_a_link_to_the_hosts_own_file_leads_nowhere(plant: Plant) -> None:
    files = plant({"/etc/passwd": "-> /proc/self/status", "/etc/round": "-> round"})
    assert files.text("/etc/passwd") is None
    assert files.text("/etc/round") is None
    assert files.link_target("/etc/passwd") == "/proc/self/status"


def test_lookup_goes_through_directories_only(plant: Plant, tmp_path: Path) -> None:
    plant({"/etc/file": "x"})
    fs = DirectoryFilesystem(tmp_path)
    assert resolve(fs, b"etc/file/below") is None
    assert resolve(fs, b"") == fs.lookup(b"")


def test_content_beyond_the_limit_is_refused(plant: Plant, tmp_path: Path) -> None:
    files = plant({"/etc/large": "x" * (TEXT_LIMIT + 1)})
    with pytest.raises(FilesystemError, match="1048577 bytes"):
        read_bytes(DirectoryFilesystem(tmp_path), b"etc/large", TEXT_LIMIT)
    assert files.text("/etc/large") is None
    assert files.text("/etc/large") is None
    assert len(files.notes) == 1
    assert files.notes[0].startswith("/etc/large was passed over")


def test_names_that_are_not_utf8(plant: Plant, tmp_path: Path) -> None:
    files = plant({"/etc/x/a": "1"})
    (tmp_path / "etc/x" / "caf\udce9").write_text("2")
    assert files.names("/etc/x") == ["a", "caf\udce9"]
    assert files.text("/etc/x/caf\udce9") == "2"
    assert printable("/etc/x/caf\udce9") == "/etc/x/caf\\xe9"
