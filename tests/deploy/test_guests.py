"""The guests: partition tables, file systems and content, as util-linux and the kernel see them."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from deploy.demo import cache, guests
from deploy.demo.guests import dirty, tiny
from deploy.demo.guests.layout import Built
from tests.kernel import mounted, needs_root

ALL = {
    "web": guests.web,
    "db": guests.db,
    "legacy": guests.legacy,
    "small": guests.small,
    "windows": guests.windows,
    "garbage": guests.garbage,
}


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _table(disk: Path) -> list[tuple[int, int, str]]:
    """Offset, size and type of each partition, by sfdisk(8)."""
    table = json.loads(_output("sfdisk", "--json", str(disk)))["partitiontable"]
    return [(p["start"] * 512, p["size"] * 512, p["type"]) for p in table["partitions"]]


def _root(guest: guests.Guest) -> Built:
    return next(built for built in guest.partitions if built.mount == "/")


@pytest.mark.parametrize("name", ALL)
def test_the_exported_form_holds_the_same_disk(name: str) -> None:
    guest = ALL[name]()
    assert "identical" in _output("qemu-img", "compare", str(guest.raw), str(guest.vmdk))
    details = json.loads(_output("qemu-img", "info", "--output=json", str(guest.vmdk)))
    assert details["format-specific"]["data"]["create-type"] == "streamOptimized"


@pytest.mark.parametrize("name", ["web", "db", "legacy", "small"])
def test_file_systems_are_sound(name: str) -> None:
    guest = ALL[name]()
    checked = 0
    for built in guest.partitions:
        if built.type.startswith("ext"):
            _output("e2fsck", "-fn", f"{guest.raw}?offset={built.offset}")
            checked += 1
    assert checked == (2 if name == "db" else 1)


def test_partition_tables() -> None:
    web, db = guests.web(), guests.db()
    assert [(b.offset, b.size) for b in web.partitions] == [(o, s) for o, s, _ in _table(web.raw)]
    # The MBR's extended partition is in the table and holds no file system itself.
    assert [kind for _, _, kind in _table(db.raw)] == ["83", "5", "83", "82"]
    logical = [(o, s) for o, s, kind in _table(db.raw) if kind != "5"]
    assert [(b.offset, b.size) for b in db.partitions] == logical
    assert (
        _output("blkid", "--probe", "--output", "value", "--match-tag", "TYPE", str(guests.legacy().raw))
        == "ext3\n"
    )


@needs_root
@pytest.mark.root
def test_the_web_guest_has_what_a_copy_can_lose() -> None:
    web = guests.web()
    root = _root(web)
    with mounted(web.raw, "ext4", offset=root.offset, size=root.size) as tree:
        assert web.page in (tree / "var/www/html/index.html").read_text()
        assert (tree / "etc/systemd/system/multi-user.target.wants/nginx.service").is_symlink()
        assert (tree / "etc/shadow").stat().st_gid == 42
        assert "cap_net_raw" in _output("getcap", str(tree / "usr/bin/ping"))
        odd = tree / "srv/odd"
        assert (bytes(odd) + b"/caf\xe9", (odd / "hard-link").stat().st_nlink) == (
            next(p for p in map(bytes, odd.iterdir()) if b"caf" in p),
            2,
        )
        assert (odd / "sparse").stat().st_blocks * 512 < (odd / "sparse").stat().st_size
        assert (odd / "before-1970").stat().st_mtime == -1
        fstab = (tree / "etc/fstab").read_text()
        assert "LABEL=root\t/\text4" in fstab
        assert (tree / "etc/hostname").read_text() == "web\n"


@needs_root
@pytest.mark.root
def test_the_db_guest_keeps_its_data_on_another_partition() -> None:
    db = guests.db()
    root, data = (built for built in db.partitions if built.mount)
    with mounted(db.raw, "ext4", offset=root.offset, size=root.size) as tree:
        assert list((tree / "var").iterdir()) == [tree / "var/lost+found"] or not list(
            (tree / "var").iterdir()
        )
        assert "LABEL=data\t/var\text4" in (tree / "etc/fstab").read_text()
        assert (tree / "etc/systemd/system/multi-user.target.wants/redis-server.service").is_symlink()
    with mounted(db.raw, "ext4", offset=data.offset, size=data.size) as tree:
        assert (tree / "lib/redis").stat().st_mode & 0o777 == 0o750


@needs_root
@pytest.mark.root
def test_the_legacy_guest_starts_its_server_from_init_scripts() -> None:
    legacy = guests.legacy()
    with mounted(legacy.raw, "ext3") as tree:
        assert list((tree / "etc/rc2.d").glob("S*lighttpd"))
        assert (tree / "sbin/init").exists()
        assert not (tree / "lib/systemd/systemd").exists()


@needs_root
@pytest.mark.root
def test_the_busy_guest_has_a_journal_to_replay(tmp_path: Path) -> None:
    busy = guests.busy()
    root = _root(busy)
    assert "needs_recovery" in _output("dumpe2fs", "-h", f"{busy.raw}?offset={root.offset}")
    place = {"offset": root.offset, "size": root.size}
    with mounted(busy.raw, "ext4", options="ro,noload", **place) as tree:
        assert (tree / "etc/hostname").read_text() == "web\n"
        assert not (tree / "srv/new").exists()
    copy = tmp_path / "copy.raw"
    _output("cp", "--sparse=always", str(busy.raw), str(copy))
    with mounted(copy, "ext4", options="rw", **place) as tree:
        assert (tree / "etc/hostname").read_text() == f"{dirty.HOSTNAME}\n"
        assert len(list((tree / "srv/new").glob("[0-9]*"))) == dirty.NEW_FILES


def test_a_small_guest_is_made_in_seconds_and_serves_its_own_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    start = time.monotonic()
    guest = guests.small("one", payload=3 << 20)
    assert time.monotonic() - start < 15
    assert guest.vmdk.stat().st_size > 3 << 20  # the payload does not compress
    assert guest.page == tiny.page("one")
    assert guests.small("one", payload=3 << 20) == guest
    assert guests.small("two").raw != guest.raw


def test_disks_without_linux() -> None:
    windows, garbage = guests.windows(), guests.garbage()
    assert [(offset, kind) for offset, _, kind in _table(windows.raw)] == [(1 << 20, "7")]
    probe = ("blkid", "--probe", "--offset", str(1 << 20), "--output", "value", "--match-tag", "TYPE")
    assert _output(*probe, str(windows.raw)) == "ntfs\n"
    unknown = subprocess.run(["blkid", "--probe", str(garbage.raw)], capture_output=True, check=False)
    assert (unknown.returncode, unknown.stdout) == (2, b"")


def test_what_fails_while_being_made_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def fail(into: Path) -> None:
        (into / "half").touch()
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        cache.cached("thing", "key", fail)
    assert [path.name for path in (tmp_path / "orchestrate/thing").iterdir()] == [".lock"]
    made = cache.cached("thing", "key", lambda into: (into / "whole").touch())
    assert [path.name for path in made.iterdir()] == ["whole"]
