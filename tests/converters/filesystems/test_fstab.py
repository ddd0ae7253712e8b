"""Reading a guest's /etc/fstab: every good line stays, whatever stands beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.filesystems.fstab import Line, parse

CASES = Path(__file__).parents[4] / "shared/cases/FSTAB-01/tests"
needs_cases = pytest.mark.skipif(
    not CASES.exists(), reason="the folder shared/cases is not beside the checkout"
)

BROKEN = """\
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


def test_empty_options_are_left_out_and_told() -> None:
    lines, notes = parse("srv:/nfs /NFS nfs ,nofail,noatime 0 0\n/dev/sda1 / ext4 defaults 0 1\n")
    assert lines[0].options == ("nofail", "noatime")
    assert lines[1] == Line("/dev/sda1", "/", "ext4", ("defaults",))
    assert notes == ["/etc/fstab line 1 has an empty option: ,nofail,noatime"]


@pytest.mark.parametrize("source", ['UUID="86b3-01"', "UUID='86b3-01'", "UUID=86b3-01", '"UUID=86b3-01"'])
def test_quotes_around_a_tag_change_nothing(source: str) -> None:
    (line,), _ = parse(f"{source} /mnt/d ext4 defaults 0 2")
    assert line.tag == ("UUID", "86b3-01")


def test_octal_escapes() -> None:
    (line,), _ = parse(r"LABEL=my\040disk /mnt/a\040b\134c ext4 defaults,context=\042a,b\042,ro 0 0")
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
    lines, notes = parse((CASES / "ts/libmount/files/fstab.comment").read_text())
    assert [(line.source, line.target, line.type, ",".join(line.options)) for line in lines] == wanted
    assert notes == []
    assert len(wanted) == 11
