"""The whole look at a guest, on trees with much and with little in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from converters.errors import FilesystemError, NoLinuxError
from converters.filesystems.base import Entry
from converters.guest.facts import GuestFacts, Role
from converters.guest.inspect import inspect
from deploy.demo.guests import tiny
from tests.converters.guest.conftest import Plant
from tests.directory_filesystem import DirectoryFilesystem


@pytest.fixture
def small(tmp_path: Path) -> Path:
    tree = tmp_path / "tiny"
    tiny.populate(tree, "shop")
    return tree


def test_a_small_guest(small: Path) -> None:
    facts = inspect(DirectoryFilesystem(small))
    assert (facts.release.id, facts.release.version, facts.architecture) == ("debian", "12", "amd64")
    assert (facts.hostname, facts.init, facts.notes) == ("shop", "systemd", ())
    (service,) = facts.services
    assert (service.name, service.role) == ("web", Role.APPLICATION)
    assert service.command[0] == "/bin/busybox"
    assert [port.number for port in service.ports] == [tiny.PORT]


def test_only_what_is_needed_is_read(small: Path) -> None:
    fs = DirectoryFilesystem(small)
    inspect(fs)
    assert sum(1 for _ in fs.walk()) > 300
    before = DirectoryFilesystem(small)
    inspect(before)
    assert before.walked < 60  # /etc, for secrets, and the folders of units
    assert before.looked_up < 500


def test_facts_travel_as_json(small: Path) -> None:
    facts = inspect(DirectoryFilesystem(small))
    adapter = TypeAdapter(GuestFacts)
    assert adapter.validate_json(adapter.dump_json(facts)) == facts


def test_a_tree_that_is_no_linux(plant: Plant, tmp_path: Path) -> None:
    plant({"/Windows/System32/ntoskrnl.exe": "MZ"})
    with pytest.raises(NoLinuxError, match="neither /etc nor /usr"):
        inspect(DirectoryFilesystem(tmp_path))


def test_a_bare_tree_gives_notes(plant: Plant, tmp_path: Path) -> None:
    plant({"/usr/share/doc/x": "x"})
    facts = inspect(DirectoryFilesystem(tmp_path))
    assert (facts.release.id, facts.architecture, facts.init, facts.services) == ("linux", "", "", ())
    notes = " ".join(facts.notes)
    for word in ("distribution", "architecture", "init"):
        assert word in notes


class _Damaged(DirectoryFilesystem):
    """A tree in which one directory and one file cannot be read."""

    def lookup(self, path: bytes) -> Entry | None:
        if path == b"etc/hostname":
            raise FilesystemError("inode 12 has a wrong checksum")
        return super().lookup(path)


def test_damage_is_noted_and_the_rest_is_told(small: Path) -> None:
    facts = inspect(_Damaged(small))
    assert facts.hostname == ""
    assert facts.services[0].name == "web"
    assert facts.notes == (
        "/etc/hostname was passed over: inode 12 has a wrong checksum.",
        "/etc was listed in part: inode 12 has a wrong checksum.",
    )
