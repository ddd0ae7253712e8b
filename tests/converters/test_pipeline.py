"""Whole conversions into a real registry: what is pulled is, entry by entry, what the kernel reads."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from converters.filesystems.base import Entry, Kind
from converters.request import Converted
from deploy.demo import guests
from deploy.demo.guests import dirty
from deploy.demo.guests.layout import Built
from deploy.demo.registry import Registry
from tests.converters import nasty
from tests.converters.conversions import request, run
from tests.images import Member, Pulled, Tree, kernel_tree, pull, pull_manifest, read_layer
from tests.kernel import KINDS, kernel_entries, kernel_hashes, mounted, needs_root

FORMATS = {kind: format for format, kind in KINDS.items()}


def convert_and_pull(
    server: Registry, name: str, disk: Path, scratch: Path, tmp_path: Path
) -> tuple[Converted, Pulled]:
    converted = run(request(server, name, disk), scratch)
    pulled = pull(server, f"vms/{name}", "latest", tmp_path)
    assert pull_manifest(server, f"vms/{name}", converted.digest) == pulled.manifest
    return converted, pulled


@contextmanager
def kernel_view(guest: guests.Guest, disk: Path, options: str = "ro,noload") -> Iterator[Tree]:
    """What an image must hold, from all file systems of a guest, mounted one by one and put together."""
    entries: list[Entry] = []
    hashes: dict[bytes, str] = {}
    for device, part in enumerate(part for part in guest.partitions if part.mount):
        with mounted(disk, part.type, offset=part.offset, size=part.size, options=options) as root:
            prefix = os.fsencode(part.mount.strip("/"))

            def whole(path: bytes, prefix: bytes = prefix) -> bytes:
                return b"/".join(filter(None, (prefix, path)))

            entries = [entry for entry in entries if not prefix or entry.path != prefix]
            entries += [
                entry._replace(path=whole(entry.path), device=device) for entry in kernel_entries(root)
            ]
            hashes |= {whole(path): digest for path, digest in kernel_hashes(root).items()}
    entries.sort(key=lambda entry: entry.path.split(b"/"))
    yield kernel_tree(entries, hashes)


def assert_same(found: Tree, wanted: Tree, converted: Converted) -> None:
    """Equal entry by entry and in the same order, but for the directories that the plan asked for."""
    added = {os.fsencode(item.path.strip("/")): item for item in converted.plan.directories}
    for path in [*found]:
        if path in added and path not in wanted:
            member, asked = found.pop(path), added[path]
            assert member == Member(
                Kind.DIRECTORY, asked.mode, asked.uid, asked.gid, 0, 0, b"", (0, 0), (), "", b""
            )
    assert converted.entries == len(found) + sum(path not in wanted for path in added)
    assert set(found) == set(wanted)
    for path, member in wanted.items():
        assert found[path] == member, path
    assert list(found) == list(wanted)


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("make", [guests.web, guests.db, guests.legacy], ids=["web", "db", "legacy"])
def test_real_guests(
    make: Callable[[], guests.Guest], server: Registry, scratch: Path, tmp_path: Path
) -> None:
    guest = make()
    converted, pulled = convert_and_pull(server, guest.name, guest.raw, scratch, tmp_path)
    with kernel_view(guest, guest.raw) as wanted:
        assert len(wanted) > 5000
        assert_same(read_layer(pulled.layer), wanted, converted)
    assert [mount.path for mount in converted.inspection.mounts] == [
        part.mount for part in guest.partitions if part.mount
    ]
    assert pulled.config["architecture"] == "amd64"
    assert not converted.inspection.step_downs


@needs_root
@pytest.mark.root
def test_a_guest_whose_journal_was_not_replayed(server: Registry, scratch: Path, tmp_path: Path) -> None:
    guest = guests.busy()
    before = guest.raw.stat().st_mtime_ns
    converted, pulled = convert_and_pull(server, "busy", guest.raw, scratch, tmp_path)
    assert guest.raw.stat().st_mtime_ns == before
    assert [(mount.engine, mount.recovered) for mount in converted.inspection.mounts] == [
        ("uml+ext2fs", True)
    ]
    copy = tmp_path / "replayed.raw"
    subprocess.run(["cp", "--sparse=always", guest.raw, copy], check=True)
    found = read_layer(pulled.layer)
    with kernel_view(guest, copy, options="rw,noatime") as wanted:
        assert_same(found, wanted, converted)
    assert sum(path.startswith(b"srv/new/") for path in found) == dirty.NEW_FILES + 1
    assert converted.inspection.guest.hostname == dirty.HOSTNAME


@needs_root
@pytest.mark.root
@pytest.mark.parametrize(
    "options",
    [(), ("-b", "1024", "-I", "128"), ("-O", "inline_data,ea_inode,metadata_csum_seed")],
    ids=["default", "small", "features"],
)
def test_everything_that_a_tree_can_hold(
    options: tuple[str, ...], server: Registry, scratch: Path, tmp_path: Path
) -> None:
    disk = nasty.build(tmp_path, *options)
    converted, pulled = convert_and_pull(server, "nasty", disk, scratch, tmp_path)
    found = read_layer(pulled.layer)
    guest = guests.Guest("nasty", disk, disk, (Built("/", "ext4", 0, disk.stat().st_size),))
    with kernel_view(guest, disk) as wanted:
        assert_same(found, wanted, converted)
    assert listed_by_gnu_tar(pulled.layer) == [as_gnu_tar_lists(*item) for item in found.items()]
    assert found[b"srv/odd/caf\xe9"].size == 4
    assert found[b"srv/odd/kernel-a"].sha256 and not found[b"srv/odd/kernel-a"].first_name
    assert found[b"srv/odd/kernel-b"].first_name == b"srv/odd/kernel-a"
    assert dict(found[b"srv/odd/attributes-too"].xattrs)[b"security.capability"]
    assert {removal.name for removal in converted.removals} >= {
        *("proc", "boot", "tmp", "pid-files", "login-records", "swap", "socket", "whiteout-name"),
        *("whiteout-device", "xattr security.selinux", "xattr form", "lost-found", "journal"),
    }


def listed_by_gnu_tar(path: Path) -> list[str]:
    """The lines of ``tar --list``, without times: GNU tar forgets the sign of the second before 1970."""
    command = ["tar", "--list", "--verbose", "--numeric-owner", "--quoting-style=escape", "--full-time"]
    done = subprocess.run([*command, "--file", path], env={"LC_ALL": "C"}, check=True, capture_output=True)
    fields = re.compile(r"(\S+) (\S+) +(\S+) (\S+) (\S+) +(.*)")
    found = [fields.fullmatch(line) for line in done.stdout.decode().splitlines()]
    return ["{0} {1} {2} {5}".format(*match.groups()) for match in found if match]


def as_gnu_tar_lists(path: bytes, member: Member) -> str:
    """The line for one name, without times."""
    mode = stat.filemode(stat.S_IMODE(member.mode) | FORMATS[member.kind])
    size, name, target = str(member.size), path or b".", b""
    if member.first_name:
        mode, size, target = "h" + mode[1:], "0", b" link to " + member.first_name
    elif member.kind is Kind.DIRECTORY:
        name += b"/"
    elif member.kind is Kind.SYMLINK:
        target = b" -> " + member.target
    elif member.kind in (Kind.CHARACTER, Kind.BLOCK):
        size = "{},{}".format(*member.device)
    return f"{mode} {member.uid}/{member.gid} {size} {_escaped(name + target)}"


def _escaped(name: bytes) -> str:
    special = {ord("\n"): "\\n", ord("\t"): "\\t", ord("\\"): "\\\\"}
    return "".join(
        special.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}") for byte in name
    )
