"""The archive as other tar readers see it: Python's, GNU's, and Go's, which container engines use."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.base import Entry, Kind
from converters.image.pax import header
from converters.image.removals import RemovalTally
from converters.image.tar import tar_stream
from converters.process import MINIMAL_ENVIRONMENT
from tests.converters.image.gotar import GO, go_entries
from tests.converters.image.trees import MemoryTree
from tests.converters.image.trees import entry as made_up
from tests.kernel import kernel_entries, kernel_hashes, needs_root

CAPABILITY_V2 = bytes.fromhex("0100000200200000000000000000000000000000")
CAPABILITY_V3 = bytes.fromhex("010000030020000000000000000000000000000040420f00")
ACL = bytes.fromhex(
    "0200000001000600ffffffff020004000a3d0000040004ffffffffff10000600ffffffff20000400ffffffff"
)


def hard_tree() -> MemoryTree:
    """One of everything that a plain ustar header has no room for."""
    tree = MemoryTree()
    tree.add(b"", Kind.DIRECTORY)
    tree.add("straße".encode(), Kind.DIRECTORY, mode=0o1777)
    tree.add("straße/ü".encode(), content=b"utf-8 name")
    tree.add(b"latin-\xe9\xff", content=b"not utf-8")
    tree.add(b"new\nline = tab\t", content=b"x" * 512)
    tree.add(b"p" * 100, content=b"100 bytes")
    tree.add(b"p" * 101, content=b"101 bytes, no slash")
    tree.add(b"/".join([b"d" * 50] * 5), content=b"prefix and name")
    tree.add(b"/".join([b"e" * 255] * 8), content=b"longer than ustar")
    tree.add(b"/".join([b"f" * 50] * 4), Kind.DIRECTORY)
    tree.add(b"long-target", Kind.SYMLINK, target=b"t/" * 100 + b"t")
    tree.add(b"latin-target", Kind.SYMLINK, target=b"\xe9t\xe9")
    tree.add(b"large-owner", uid=2**32 - 2, gid=2_097_152)
    tree.add(b"fraction", mtime_ns=1_700_000_000_123_456_789)
    tree.add(b"before-1970", mtime_ns=-1_500_000_000)
    tree.add(b"after-2242", mtime_ns=(8**11) * 10**9 + 1)
    tree.add(b"v2", content=b"ping", mode=0o4755, xattrs=((b"security.capability", CAPABILITY_V2),))
    tree.add(b"v3", xattrs=((b"security.capability", CAPABILITY_V3), (b"user.a b", b"\x00\xff\n=")))
    tree.add(b"acl", xattrs=((b"system.posix_acl_access", ACL),))
    tree.add(b"null", Kind.CHARACTER, major=1, minor=3)
    tree.add(b"disk", Kind.BLOCK, major=4095, minor=1_048_575)
    tree.add(b"fifo", Kind.FIFO)
    tree.add(b"z-first", content=b"linked", nlink=3, inode=77)
    tree.add(b"z-second", content=b"linked", nlink=3, inode=77)
    tree.add(b"z-\xe9" + b"n" * 120, content=b"linked", nlink=3, inode=77)
    return tree


def name_in_tar(entry: Entry) -> bytes:
    if entry.kind is not Kind.DIRECTORY:
        return entry.path
    return entry.path + b"/" if entry.path else b"./"


def python_members(archive: bytes) -> dict[bytes, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as tar:
        return {os.fsencode(member.name): member for member in tar.getmembers()}


def assert_same(entry: Entry, member: tarfile.TarInfo) -> None:
    assert member.mode == entry.mode
    assert (member.uid, member.gid) == (entry.uid, entry.gid)
    assert exact_mtime(member) == entry.mtime_ns
    assert (member.devmajor, member.devminor) == (entry.major, entry.minor)
    xattrs = {key.removeprefix("SCHILY.xattr."): value for key, value in member.pax_headers.items()}
    for name, value in entry.xattrs:
        assert os.fsencode(xattrs[os.fsdecode(name)]) == value


def exact_mtime(member: tarfile.TarInfo) -> int:
    """Nanoseconds, from the record: tarfile's own number is a float."""
    if "mtime" not in member.pax_headers:
        return int(member.mtime) * 10**9
    whole, _, fraction = member.pax_headers["mtime"].lstrip("-").partition(".")
    size = int(whole) * 10**9 + int(fraction.ljust(9, "0") or 0)
    return -size if member.pax_headers["mtime"].startswith("-") else size


def test_python_reads_hard_cases_exactly() -> None:
    tree = hard_tree()
    members = python_members(tree.tar())
    assert len(members) == len(tree.entries)
    for entry in tree.entries:
        member = members[entry.path or b"."]
        assert_same(entry, member)
        if entry.kind is Kind.SYMLINK:
            assert os.fsencode(member.linkname) == entry.target
    assert [os.fsencode(m.linkname) for m in members.values() if m.islnk()] == [b"z-first", b"z-first"]


@pytest.mark.skipif(GO is None, reason="no Go toolchain on PATH or in the virtual environment")
def test_go_reads_hard_cases_exactly(tmp_path: Path) -> None:
    tree = hard_tree()
    archive = tmp_path / "tree.tar"
    archive.write_bytes(tree.tar())
    found = {bytes.fromhex(item["name"]): item for item in go_entries(archive)}
    assert len(found) == len(tree.entries)
    for entry in tree.entries:
        item = found[name_in_tar(entry)]
        assert item["mode"] == entry.mode
        assert (item["uid"], item["gid"]) == (entry.uid, entry.gid)
        assert item["mtime"] == divmod(entry.mtime_ns, 10**9)[0]
        assert item["nanoseconds"] == divmod(entry.mtime_ns, 10**9)[1]
        assert (item["major"], item["minor"]) == (entry.major, entry.minor)
        xattrs = {bytes.fromhex(key): bytes.fromhex(value) for key, value in (item["xattrs"] or {}).items()}
        assert xattrs == dict(entry.xattrs)
        if entry.kind is Kind.SYMLINK:
            assert bytes.fromhex(item["link"]) == entry.target
        elif item["type"] == "0":
            assert bytes.fromhex(item["content"]) == tree.contents[entry.path]
    assert sum(item["type"] == "1" for item in found.values()) == 2


@pytest.mark.root
@needs_root
def test_gnu_tar_makes_the_same_tree_again(tmp_path: Path) -> None:
    source = tmp_path / "source"
    make_folder(source)

    def read(entry: Entry) -> list[bytes]:
        return [Path(os.fsdecode(os.fsencode(source) + b"/" + entry.path)).read_bytes()]

    archive = tmp_path / "tree.tar"
    archive.write_bytes(b"".join(tar_stream(kernel_entries(source), read, RemovalTally())))
    copy = tmp_path / "copy"
    copy.mkdir()
    words = ["tar", "-xp", "--numeric-owner", "--xattrs", "--xattrs-include=*", "-f", str(archive)]
    subprocess.run([*words, "-C", str(copy)], check=True, capture_output=True, env=MINIMAL_ENVIRONMENT)
    assert comparable(copy) == comparable(source)
    assert kernel_hashes(copy) == kernel_hashes(source)


def make_folder(top: Path) -> None:
    """A folder with what only root can make."""
    top.mkdir(mode=0o751)
    for name in (b"plain", b"\xe9\xff", "ü".encode(), b"n" * 200, b"setuid"):
        (top / os.fsdecode(name)).write_bytes(name * 1000)
    os.chown(top / "setuid", 2**31, 3_000_000)
    (top / "setuid").chmod(0o6755)
    os.setxattr(top / "plain", "security.capability", CAPABILITY_V2)
    os.setxattr(top / "plain", "user.binary", b"\x00\xff\n=")
    (top / "z-linked").hardlink_to(top / "setuid")
    (top / "z-capable").hardlink_to(top / "plain")
    (top / "link").symlink_to(os.fsdecode(b"\xe9" * 150))
    os.mknod(top / "device", 0o020600, os.makedev(240, 70_000))
    os.mkfifo(top / "fifo")
    (top / "sub").mkdir(0o700)
    os.utime(top / "sub", ns=(0, -1_500_000_001))
    os.utime(top / "plain", ns=(0, 4_000_000_000_123_456_789))


def comparable(top: Path) -> list[Entry]:
    """The entries with inode numbers replaced by the order of their first names."""
    numbers: dict[int, int] = {}
    return [
        entry._replace(inode=numbers.setdefault(entry.inode, len(numbers))) for entry in kernel_entries(top)
    ]


file_names = st.binary(min_size=1, max_size=120).map(lambda name: name.translate(None, b"\0/")).filter(bool)
paths = (
    st.lists(file_names, min_size=1, max_size=4)
    .map(b"/".join)
    .filter(lambda path: path[:1] != b"." and b"/." not in path)
)


@settings(max_examples=150, deadline=None)
@given(
    path=paths,
    target=st.binary(min_size=1, max_size=150).map(lambda name: name.translate(None, b"\0")).filter(bool),
    owner=st.tuples(st.integers(0, 2**32 - 2), st.integers(0, 2**32 - 2)),
    mtime_ns=st.integers(-(2**31) * 10**9, 2**34 * 10**9),
    mode=st.integers(0, 0o7777),
    value=st.binary(min_size=1, max_size=64),
)
def test_python_reads_any_entry_exactly(
    path: bytes, target: bytes, owner: tuple[int, int], mtime_ns: int, mode: int, value: bytes
) -> None:
    tree = MemoryTree()
    common: dict[str, Any] = {"uid": owner[0], "gid": owner[1], "mtime_ns": mtime_ns, "mode": mode}
    tree.add(path, content=value, xattrs=((b"user.x", value),), **common)
    tree.add(path + b".link", Kind.SYMLINK, target=target, **common)
    archive = tree.tar()
    members = python_members(archive)
    assert list(members) == [path, path + b".link"]
    assert_same(tree.entries[0], members[path])
    assert_same(tree.entries[1], members[path + b".link"])
    assert os.fsencode(members[path + b".link"].linkname) == target
    assert len(archive) % 512 == 0


def test_plain_entries_take_one_block() -> None:
    assert len(header(made_up(b"usr/bin/true", size=10**9))) == 512
    assert len(header(made_up(b"d" * 99 + b"/" + b"f" * 100))) == 512


def test_size_beyond_octal_field_is_a_record() -> None:
    blocks = header(made_up(b"large", size=8**11))
    assert b"size=8589934592\n" in blocks
    assert tarfile.TarInfo.frombuf(blocks[-512:], "ascii", "strict").name == "large"


def test_hard_link_to_a_name_left_out_becomes_the_file() -> None:
    tree = MemoryTree()
    tree.add(b"tmp/first", content=b"shared", nlink=2, inode=5)
    tree.add(b"usr/second", content=b"shared", nlink=2, inode=5)
    kept = [entry for entry in tree.entries if not entry.path.startswith(b"tmp")]
    members = python_members(b"".join(tar_stream(kept, tree.read, RemovalTally())))
    assert members[b"usr/second"].isreg()
    assert tree.was_read == [b"usr/second"]


def test_one_inode_number_on_two_file_systems_is_two_files() -> None:
    tree = MemoryTree()
    tree.add(b"a", content=b"one", nlink=2, inode=5, device=0)
    tree.add(b"b", content=b"two", nlink=2, inode=5, device=1)
    assert all(member.isreg() for member in python_members(tree.tar()).values())


def test_hard_link_repeats_what_chown_would_clear() -> None:
    tree = MemoryTree()
    for name in (b"sudo", b"sudoedit"):
        tree.add(name, nlink=2, inode=5, mode=0o4755, xattrs=((b"security.capability", CAPABILITY_V2),))
    link = python_members(tree.tar())[b"sudoedit"]
    assert link.islnk()
    assert link.mode == 0o4755
    assert os.fsencode(link.pax_headers["SCHILY.xattr.security.capability"]) == CAPABILITY_V2


@pytest.mark.parametrize("content", [b"", b"short", b"much too long"])
def test_other_content_than_size_is_an_error(content: bytes) -> None:
    tree = MemoryTree()
    tree.add(b"etc/changing", content=content, size=8)
    with pytest.raises(FilesystemError, match="/etc/changing should have 8 bytes"):
        tree.tar()


def test_what_a_layer_cannot_hold_is_left_out_and_told() -> None:
    tree = MemoryTree()
    tree.add(b"srv/.wh.data", content=b"would delete data")
    tree.add(b"srv/.wh.dir", Kind.DIRECTORY)
    tree.add(b"srv/.wh.dir/inner", content=b"inner")
    tree.add(b"srv/a.wh.b", content=b"harmless")
    tree.add(b"srv/socket", Kind.SOCKET)
    tree.add(b"srv/whiteout", Kind.CHARACTER)
    local = ((b"security.selinux", b"label"), (b"trusted.overlay.opaque", b"y"), (b"user.kept", b"1"))
    tree.add(b"srv/labelled", xattrs=(*local, (b"user.x=y", b"1")))
    tally = RemovalTally()
    members = python_members(tree.tar(tally))
    assert list(members) == [b"srv/a.wh.b", b"srv/labelled"]
    assert [key for key in members[b"srv/labelled"].pax_headers if "xattr" in key] == [
        "SCHILY.xattr.user.kept"
    ]
    told = {removal.name: removal for removal in tally.removals()}
    assert told["whiteout-name"].paths == ("srv/.wh.data", "srv/.wh.dir")
    assert (told["whiteout-name"].entries, told["whiteout-name"].bytes) == (3, 22)
    assert told["socket"].paths == ("srv/socket",)
    assert told["whiteout-device"].paths == ("srv/whiteout",)
    assert told["xattr security.selinux"].entries == told["xattr form"].entries == 1


def test_size_guard_names_the_file_before_reading_it() -> None:
    tree = MemoryTree()
    tree.add(b"var/lib/sparse", size=10**12)
    with pytest.raises(UnsupportedError, match=r"/var/lib/sparse has 1000000000000 bytes.*limit"):
        b"".join(tar_stream(tree.entries, tree.read, RemovalTally(), largest_file=10**11))
    assert tree.was_read == []


def test_removals_travel_as_json() -> None:
    tally = RemovalTally()
    tally.add("rule", "reason", b"\xff", 3)
    (removal,) = tally.removals()
    assert json.loads(json.dumps(removal.paths)) == ["\\xff"]
