"""Reading a guest's /etc/fstab: every good line stays, whatever stands beside it."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.filesystems.fstab import Line, Tool, clean_path, parse, unquote
from converters.filesystems.places import find_volumes
from converters.filesystems.sources import SourceKind, source_kind

CASES = Path(__file__).parents[4] / "shared/cases/FSTAB-01/tests"
needs_cases = pytest.mark.skipif(
    not CASES.exists(), reason="the folder shared/cases is not beside the checkout"
)

BROKEN = b"""\
bug
UUID=d3a8f783-df75-4dc8-9163-975a891052c0 /     ext3    noatime,defaults 1 1
UUID=fef7ccb3-821c-4de8-88dc-71472be5946f /boot ext3    noatime,defaults 1 2
 UUID=1f2aa318-9c34-462e-8d29-260819ffd657 swap  swap    defaults        0 0
tmpfs\t\t/dev/shm tmpfs
devpts /dev/pts devpts gid=5,mode=620
a line of more words than an entry has
/dev/mapper/foo\t\t/home/foo/ ext4 noatime,defaults 1

server:/export /mnt/remote nfs noauto # with a comment
"""


def test_broken_lines_are_dropped_and_told() -> None:
    lines, notes = parse(BROKEN)
    assert [(line.target, line.type) for line in lines] == [
        ("/", "ext3"),
        ("/boot", "ext3"),
        ("swap", "swap"),
        ("/dev/shm", "tmpfs"),
        ("/dev/pts", "devpts"),
        ("/home/foo", "ext4"),
        ("/mnt/remote", "nfs"),
    ]
    assert lines[3].options == ("defaults",)
    assert lines[4].option("mode") == "620"
    assert notes == [
        "/etc/fstab line 1 is broken and was passed over: bug",
        "/etc/fstab line 7 is broken and was passed over: a line of more words than an entry has",
    ]


def test_numbers_that_are_none() -> None:
    """``mount -a`` drops such a line; systemd mounts it where it names a path. More fields are nobody's."""
    content = b"/dev/sdb1 /data ext4 defaults x 0\na b c d e f\n/dev/sdc1 /srv ext4 ro 0 -1 more of it\n"
    assert [line.target for line in parse(content)[0]] == ["/srv"]
    lines, notes = parse(content, Tool.SYSTEMD)
    assert [line.target for line in lines] == ["/data", "/srv"]
    assert notes == ["/etc/fstab line 2 is broken and was passed over: a b c d e f"]


@pytest.mark.parametrize(
    ("content", "source", "target"),
    [
        (b"\xef\xbb\xbf/dev/sda1 / ext4 defaults 0 1\r\n", "/dev/sda1", "/"),
        ("/dev/sda1 /a\u00a0b\u2003c ext4".encode(), "/dev/sda1", "/a\u00a0b\u2003c"),
        (b"LABEL=f\\303\\274r /data ext4", "LABEL=f\u00fcr", "/data"),
        (b"/dev/sda1 /caf\xe9\\351 ext4", "/dev/sda1", "/caf\udce9\udce9"),
        (b"\t /dev/sda1\t\t/a//b/./c/ \text4\n", "/dev/sda1", "/a/b/c"),
        (b"/dev/sda1 /a\x0bb ext4", "/dev/sda1", "/a\x0bb"),
        (b"/dev/disk/by-label/a\\x20b /data ext4", "/dev/disk/by-label/a\\x20b", "/data"),
    ],
)
def test_bytes_of_every_kind(content: bytes, source: str, target: str) -> None:
    """Only blanks, tabs and line feeds divide; octal escapes are bytes, whatever the encoding."""
    (line,), notes = parse(content)
    assert (line.source, line.target, notes) == (source, target, [])


def test_fields_without_end_are_no_entry() -> None:
    lines, notes = parse(b"/dev/sda1 /" + b"a/" * 5000 + b" ext4\n/dev/sdb1 /b ext4\n")
    assert [line.target for line in lines] == ["/b"]
    assert len(notes[0]) < 300


_FIELD = st.text(st.characters(codec="utf-8", exclude_characters=" \t\r\n\0"), min_size=1).filter(
    lambda text: not text.startswith(("#", "\ufeff"))
)


def _written(field: str) -> bytes:
    """As fstab-encode(8) writes it."""
    return "".join(f"\\{ord(char):03o}" if char in " \t\n\\\"'#," else char for char in field).encode()


@given(st.lists(st.tuples(_FIELD, _FIELD, _FIELD, _FIELD), max_size=5), st.lists(st.binary(max_size=30)))
def test_good_lines_stay_whatever_stands_between_them(
    entries: list[tuple[str, str, str, str]], others: list[bytes]
) -> None:
    """What is written with escapes comes back; what is no entry changes nothing and never raises."""
    good = [b" ".join(map(_written, entry)) for entry in entries]
    junk = [b"#" + other.replace(b"\n", b"") for other in others]
    lines, _ = parse(b"\n".join([line for pair in zip_longest(good, junk, fillvalue=b"") for line in pair]))
    assert [(line.source, line.type) for line in lines] == [
        (unquote(source), type) for source, _, type, _ in entries
    ]
    for line, entry in zip(lines, entries, strict=True):
        assert line.target == clean_path(entry[1])


@given(st.binary())
def test_no_content_raises(content: bytes) -> None:
    for tool in Tool:
        lines, notes = parse(content, tool)
        assert len(lines) + len(notes) <= 2 * (content.count(b"\n") + 1)
        for line in lines:
            source_kind(line)
            find_volumes(line, [])


def test_empty_options_are_left_out_and_told() -> None:
    lines, notes = parse(b"srv:/nfs /NFS nfs ,nofail,noatime 0 0\n/dev/sda1 / ext4 defaults 0 1\n")
    assert lines[0].options == ("nofail", "noatime")
    assert lines[1] == Line("/dev/sda1", "/", "ext4", ("defaults",))
    assert notes == ["/etc/fstab line 1 has an empty option: ,nofail,noatime"]


@pytest.mark.parametrize("source", ['UUID="86b3-01"', "UUID='86b3-01'", "UUID=86b3-01", '"UUID=86b3-01"'])
def test_quotes_around_a_tag_change_nothing(source: str) -> None:
    (line,), _ = parse(f"{source} /mnt/d ext4 defaults 0 2".encode())
    assert line.tag == ("UUID", "86b3-01")


def test_octal_escapes() -> None:
    (line,), _ = parse(rb"LABEL=my\040disk /mnt/a\040b\134c ext4 defaults,context=\042a,b\042,ro 0 0")
    assert line.tag == ("LABEL", "my disk")
    assert line.target == "/mnt/a b\\c"
    assert line.options == ("defaults", 'context="a,b"', "ro")
    assert line.option("context") == "a,b"
    assert line.option("missing") == ""


@needs_cases
def test_comments_blanks_and_missing_fields_of_libmount() -> None:
    """The entries that util-linux's own test expects of this file."""
    expected = (CASES / "expected/libmount/tabfiles-parse-fstab-full").read_text()
    wanted = []
    for block in expected.split("------ fs:\n")[1:]:
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        target = fields["target"].rstrip("/") or "/"
        wanted.append((fields["source"], target, fields["fstype"], fields.get("optstr", "")))
    lines, notes = parse((CASES / "ts/libmount/files/fstab.comment").read_bytes())
    assert [(line.source, line.target, line.type, ",".join(line.options)) for line in lines] == wanted
    assert notes == []
    assert len(wanted) == 11


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        (b"UUID=1 /a ext4 defaults", SourceKind.VOLUME),
        (b"/dev/mapper/vg-a /a xfs _netdev", SourceKind.VOLUME),
        (b"/dev/sdb1 /a ntfs-3g defaults", SourceKind.VOLUME),
        (b"/srv /a none bind", SourceKind.BIND),
        (b"/srv /a none defaults,rbind,x-systemd.requires=b.mount", SourceKind.BIND),
        (b"tmpfs /a tmpfs size=1G", SourceKind.EMPTY),
        (b"none /a cgroup defaults", SourceKind.KERNEL),
        (b"hugetlbfs /a hugetlbfs mode=1770", SourceKind.KERNEL),
        (b"nas:/x /a nfs4 defaults", SourceKind.NETWORK),
        (b"//nas/x /a cifs credentials=/etc/c", SourceKind.NETWORK),
        (b"nas:/x /a auto defaults", SourceKind.NETWORK),
        (b"me@host: /a fuse.sshfs defaults", SourceKind.NETWORK),
        (b"LABEL=a:b /a auto defaults", SourceKind.VOLUME),
        (b"/srv/cd.iso /a iso9660 loop,ro", SourceKind.FILE),
        (b"overlay /a overlay lowerdir=/b:/c", SourceKind.OTHER),
        (b"tank/data /a zfs defaults", SourceKind.OTHER),
        (b"/mnt/* /a fuse.mergerfs defaults", SourceKind.OTHER),
    ],
)
def test_what_a_source_is(written: bytes, kind: SourceKind) -> None:
    (line,), _ = parse(written)
    assert source_kind(line) is kind
