"""Which of several roots is taken, and why; or that nothing decides."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from converters.filesystems.boot_config import kernel_root
from converters.filesystems.evidence import Candidate, decide, has_modules, last_written
from converters.filesystems.fstab import Line
from converters.volumes.base import Content, Volume
from tests.converters.filesystems.guest_disks import Files, fill, root_files
from tests.directory_filesystem import DirectoryFilesystem

OLD, NEW = 1_600_000_000, 1_700_000_000
MODULES: Files = {"lib/modules/6.1/modules.dep": ""}
NAMED: Files = {"etc/fstab": "/dev/sda1 / ext4\n"}
ROOT_TYPE = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"


def candidate(root: Path, number: int, files: Files, written: int = OLD, type: str = "") -> Candidate:
    """A root on partition ``number`` of disk 0 with an fstab that names none, last written at ``written``."""
    folder = root / str(number)
    folder.mkdir()
    fill(folder, {**root_files("/dev/sda9 / ext4\n"), "var/log/wtmp": "", **files})
    for path in folder.rglob("*"):
        os.utime(path, (written, written), follow_symlinks=False)
    place = Volume(0, 0, 1 << 30, number, Content("ext4"), partition_type=type)
    return Candidate(place, DirectoryFilesystem(folder))


def leads(line: Line, to: Candidate) -> bool:
    assert isinstance(to.place, Volume)
    return line.source == f"/dev/sda{to.place.number}"


def root(source: str) -> Line:
    return Line(source, "/", "auto", ())


@pytest.mark.parametrize(
    ("first", "second", "kernel", "chosen", "reason"),
    [
        (
            ({"etc/fstab": "/dev/sda1 / ext4\n"}, OLD, ""),
            (MODULES, NEW, ROOT_TYPE),
            "2",
            1,
            "its fstab names it",
        ),
        ((MODULES, OLD, ""), ({}, NEW, ROOT_TYPE), "2", 1, "no other has a kernel's modules"),
        (({}, OLD, ""), ({}, OLD, ""), "2", 2, "the first disk's boot loader starts it"),
        (({}, OLD, ROOT_TYPE), ({}, OLD, ""), "", 1, "its partition has the type of a root"),
        (({}, NEW, ""), ({}, OLD, ""), "", 1, "it was written to last"),
        (
            (MODULES, OLD, ""),
            (MODULES, NEW, ""),
            "2",
            2,
            "the first disk's boot loader starts it and it was written to last",
        ),
        (({}, OLD, ""), ({}, OLD + 3599, ""), "", None, ""),
        (
            ({}, OLD, ""),
            ({}, NEW, ""),
            "1",
            None,
            "disk 0 partition 1: the first disk's boot loader starts it; "
            "disk 0 partition 2: it was written to last",
        ),
    ],
)
def test_what_decides(
    tmp_path: Path,
    first: tuple[Files, int, str],
    second: tuple[Files, int, str],
    kernel: str,
    chosen: int | None,
    reason: str,
) -> None:
    candidates = [candidate(tmp_path, number, *said) for number, said in ((1, first), (2, second))]
    lines = [root("UUID=nowhere"), *([root(f"/dev/sda{kernel}")] if kernel else [])]
    verdict = decide(candidates, lines, leads)
    assert verdict.reason == reason
    assert verdict.chosen is (None if chosen is None else candidates[chosen - 1])


def test_clones_that_both_name_themselves_are_left_to_other_evidence(tmp_path: Path) -> None:
    """Equal UUIDs: the entry for / leads to both; a third root that nothing names is out."""
    fstab: Files = {"etc/fstab": "LABEL=root / ext4\n"}
    candidates = [
        candidate(tmp_path, 1, fstab),
        candidate(tmp_path, 2, fstab, NEW),
        candidate(tmp_path, 3, {}, NEW + 10**7),
    ]
    verdict = decide(candidates, [], lambda line, to: line.source == "LABEL=root")
    assert verdict.chosen is candidates[1]
    assert verdict.reason == "it was written to last"


def test_details_tell_systems_apart(tmp_path: Path) -> None:
    files: Files = {"etc/os-release": 'ID=debian\nVERSION_ID="12"\n', "etc/hostname": "web1\n"}
    one = candidate(tmp_path, 1, files, NEW)
    assert one.details() == "disk 0 partition 1 (debian 12, web1, last written 2023-11-14)"
    assert has_modules(one.filesystem) is False
    assert last_written(DirectoryFilesystem(tmp_path / "1" / "var")) == 0


@pytest.mark.parametrize(
    ("files", "source", "options"),
    [
        ({}, "", ()),
        (
            {
                "boot/grub/grub.cfg": "set root='hd0,msdos1'\nsearch --set=root --fs-uuid 9\n"
                "menuentry 'Debian' {\n\tlinux /boot/vmlinuz root=UUID=1-2 ro quiet\n}\n"
                "menuentry 'Old (on /dev/sdb1)' {\n linux /vmlinuz root=/dev/sdb1\n}\n"
            },
            "UUID=1-2",
            (),
        ),
        ({"grub2/grub.cfg": "linux16 /vmlinuz-3.10 root=/dev/mapper/vg-root ro"}, "/dev/mapper/vg-root", ()),
        ({"grub2/grub.cfg": 'linuxefi /v "root=LABEL=a b"'}, "LABEL=a b", ()),
        (
            {
                "loader/entries/a-0-rescue.conf": "title R\noptions root=UUID=rescue",
                "loader/entries/b-5.14.conf": "options root=UUID=bls ro rootflags=subvol=root,ro\n",
                "grub2/grub.cfg": "linux /x root=${rootdev}\n",
            },
            "UUID=bls",
            ("subvol=root", "ro"),
        ),
        (
            {
                "grub2/grubenv": "# GRUB Environment Block\nsaved_entry=x\nkernelopts=root=/dev/vg/r ro\n",
                "loader/entries/a.conf": "options $kernelopts $tuned_params\n",
            },
            "/dev/vg/r",
            (),
        ),
        (
            {"boot/grub/menu.lst": "# kopt=root=/dev/hda9 ro\n kernel /v root=/dev/sda2\n"},
            "/dev/sda2",
            (),
        ),
        ({"extlinux/extlinux.conf": "LABEL l\n  LINUX /v\n  APPEND root=PARTUUID=7 rw\n"}, "PARTUUID=7", ()),
        ({"boot/grub/grub.cfg": "\0" * 2000}, "", ()),
    ],
)
def test_what_boot_loaders_start(tmp_path: Path, files: Files, source: str, options: tuple[str, ...]) -> None:
    fill(tmp_path, files)
    found = kernel_root(DirectoryFilesystem(tmp_path))
    assert (found.line.source if found else "", found.line.options if found else ()) == (source, options)
