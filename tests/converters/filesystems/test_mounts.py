"""Guests on real disks, put together as their fstab says."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from converters.disks.base import AbsentDisk, DiskSource, FilePart, ImageFile, PackedDisk, RawFile
from converters.errors import FilesystemError, NoLinuxError, UnsupportedError
from converters.filesystems.base import Entry, Kind
from converters.filesystems.mounts import open_guest
from converters.filesystems.tree import GuestTree
from converters.guest.facts import UnreadMount
from tests.converters.filesystems.guest_disks import (
    IN_PROCESS,
    MIB,
    Part,
    Reading,
    make_disk,
    rewrite,
    root_files,
)
from tests.kernel import kernel_entries, kernel_hashes, mounted, needs_root, reader_hashes


def paths(tree: GuestTree) -> list[bytes]:
    return [entry.path for entry in tree.walk()]


def text(tree: GuestTree, path: bytes) -> bytes:
    entry = tree.lookup(path)
    assert entry is not None
    return b"".join(tree.read(entry))


ROOT_MIB, BOOT_MIB, VAR_MIB = 32, 16, 24


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk with root, /boot and /var, the last with its journal not replayed yet; and an EFI partition."""
    folder = tmp_path_factory.mktemp("disk")
    path = folder / "disk.img"
    parts = [
        Part(
            ROOT_MIB, "ext4", root_files("", boot=None, **{"var/hidden": "no", "srv/link": "x", "zz": "end"})
        ),
        Part(BOOT_MIB, "ext2", {"vmlinuz": "kernel"}),
        Part(VAR_MIB, "ext4", {"lib/old": "old"}),
        Part(4, "vfat", {}),
    ]
    _, boot, _, efi = make_disk(path, parts)
    start = (1 + ROOT_MIB + BOOT_MIB) * MIB
    fstab = (
        f'/dev/sda1 / ext4 errors=remount-ro 0 1\nUUID="{boot}" /boot ext2 defaults 0 2\nbroken\n'
        f"UUID={efi} /boot/efi vfat umask=0077 0 1\n/dev/sda3 /var/ ext4 defaults 0 2\n"
        "UUID=1234 /data xfs defaults 0 0\n/dev/sdb1 swap swap sw 0 0\n/srv/paging none swap sw 0 0\n"
        "UUID=5 none swap sw 0 0\nnas:/x /net nfs defaults 0 0\n"
        "/srv /export none bind 0 0\ntmpfs /tmp tmpfs defaults 0 0\n/dev/sr0 /media/cd iso9660 noauto 0 0\n"
    )
    rewrite(path, MIB, fstab)
    copy = folder / "guest.img"
    with mounted(path, "ext4", offset=start, size=VAR_MIB * MIB, options="rw,dioread_lock") as root:
        with open(root / "lib/new", "w") as file:
            file.write("new")
            file.flush()
            os.fsync(file.fileno())
        subprocess.run(["cp", "--sparse=always", path, copy], check=True)
    path.unlink()
    return copy


@contextmanager
def by_the_kernel(disk: Path, copy: Path) -> Iterator[Path]:
    """The tree of ``disk`` as the kernel mounts a copy of it, journal replayed."""
    subprocess.run(["cp", "--sparse=always", disk, copy], check=True)
    with ExitStack() as stack:
        parts, offset = [], MIB
        for mib, fstype in ((ROOT_MIB, "ext4"), (BOOT_MIB, "ext2"), (VAR_MIB, "ext4")):
            mount = mounted(copy, fstype, offset=offset, size=mib * MIB, options="rw,noatime")
            parts.append(stack.enter_context(mount))
            offset += mib * MIB
        for part, name in zip(parts[1:], ("boot", "var"), strict=True):
            subprocess.run(["mount", "--bind", part, parts[0] / name], check=True)
            stack.callback(subprocess.check_call, ["umount", parts[0] / name])
        yield parts[0]
    copy.unlink()


def _without_device(entries: Sequence[Entry]) -> list[Entry]:
    return [entry._replace(device=0) for entry in entries]


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("format", ["raw", "qcow2", "gzip"])
def test_tree_over_three_volumes_is_the_kernels(disk: Path, tmp_path: Path, format: str) -> None:
    """Mounted roots in place of mount points, hidden entries gone, a journal replayed."""
    source: DiskSource = RawFile(str(disk))
    image = tmp_path / "image"
    if format == "qcow2":
        subprocess.run(["qemu-img", "convert", "-q", "-O", format, disk, image], check=True)
        source = ImageFile(str(image), format)
    if format == "gzip":
        with image.open("wb") as file:
            subprocess.run(["gzip", "-1", "-c", disk], check=True, stdout=file)
        source = PackedDisk((FilePart(str(image)),))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open_guest([source], scratch, IN_PROCESS) as tree:
        entries = list(tree.walk())
        hashes = reader_hashes(tree, entries)
        assert [(point.path, point.device, point.engine, point.recovered) for point in tree.mounts] == [
            ("/", "disk 0 partition 1", "ext2fs", False),
            ("/boot", "disk 0 partition 2", "ext2fs", False),
            ("/var", "disk 0 partition 3", "uml+ext2fs", True),
        ]
        assert tree.step_downs == ()
        assert tree.swap_files == ("/srv/paging",)
        assert [point.type for point in tree.mounts] == ["ext4", "ext2", "ext4"]
        assert text(tree, b"var/lib/new") == b"new"
        assert tree.lookup(b"var/hidden") is None
        assert [entry for entry in entries if (entry.path + b"/").startswith(b"var/")] == list(
            tree.walk(b"var")
        )
        for entry in entries:
            assert tree.lookup(entry.path) == entry
    assert [path.name for path in scratch.iterdir()] == [f"volume-0-{(1 + ROOT_MIB + BOOT_MIB) * MIB}.cow"]
    with by_the_kernel(disk, tmp_path / "copy") as root:
        assert _without_device(entries) == kernel_entries(root)
        assert hashes == kernel_hashes(root)
    assert len({(entry.device, entry.inode) for entry in entries}) == len(entries)


@pytest.mark.root
@needs_root
def test_what_is_passed_over_is_told(disk: Path, tmp_path: Path) -> None:
    with open_guest([RawFile(str(disk))], tmp_path, IN_PROCESS) as tree:
        notes = tree.notes
    assert notes == (
        "/etc/fstab line 3 is broken and was passed over: broken",
        "/media/cd (/dev/sr0) is not mounted at boot, so it is not read.",
        "/data is not read: UUID=1234 is on none of the disks.",
        "/net is on the network (nas:/x) and not part of the guest's disks.",
        "/export does not show /srv: there is no /export.",
        "/boot/efi (disk 0 partition 4, vfat) is not read: images leave it out.",
    )


@pytest.mark.root
@needs_root
def test_dirty_volume_without_recovery_is_refused(disk: Path, tmp_path: Path) -> None:
    """Yesterday's files would come without an error: so it is one."""
    with pytest.raises(
        UnsupportedError, match=r"partition 3 .*uml: it is switched off; guestfs: it is switched off"
    ):
        open_guest([RawFile(str(disk))], tmp_path, Reading(("ext2fs",)))


def test_mbr_and_a_data_disk(tmp_path: Path) -> None:
    """A volume on a second disk, by the kernel's name; links on the way to the mount point stay inside."""
    one, two = tmp_path / "one.img", tmp_path / "two.img"
    fstab = "/dev/vda1 / ext4 defaults 0 1\n/dev/vdb1 /data/files ext4 defaults 0 2\n"
    files = root_files(fstab, **{"real/files": None, "data": "-> /real"})
    make_disk(one, [Part(16, "ext4", files)], "dos")
    make_disk(two, [Part(16, "ext3", {"payload": "data"})], "dos")
    with open_guest([RawFile(str(one)), RawFile(str(two))], tmp_path, IN_PROCESS) as tree:
        assert [(point.path, point.device) for point in tree.mounts] == [
            ("/", "disk 0 partition 1"),
            ("/real/files", "disk 1 partition 1"),
        ]
        assert text(tree, b"real/files/payload") == b"data"
        assert tree.lookup(b"data/files/payload") is None


def test_a_disk_that_was_left_out_keeps_its_place(tmp_path: Path) -> None:
    """The disk after it is still the third, and what was on it is told."""
    one, blank, three = tmp_path / "one.img", tmp_path / "blank", tmp_path / "three.img"
    fstab = (
        "/dev/sda1 / ext4 defaults 0 1\n/dev/sdb /srv ext4 defaults 0 2\n/dev/sdc1 /data ext4 defaults 0 2\n"
    )
    make_disk(one, [Part(16, "ext4", root_files(fstab, srv=None, data=None))], "dos")
    blank.write_bytes(bytes(MIB))
    make_disk(three, [Part(16, "ext4", {"payload": "data"})], "dos")
    sources: list[DiskSource] = [
        RawFile(str(one)),
        AbsentDisk(str(blank), "Hard disk 2", 1 << 40),
        RawFile(str(three)),
    ]
    with open_guest(sources, tmp_path, IN_PROCESS) as tree:
        assert [point.path for point in tree.mounts] == ["/", "/data"]
        assert text(tree, b"data/payload") == b"data"
        assert tree.unread == [UnreadMount("/srv", "/dev/sdb")]
        assert "/srv is not read: /dev/sdb is on none of the disks." in tree.notes


def test_several_roots(tmp_path: Path) -> None:
    """Two systems on a disk: the one whose fstab names it is taken; a person may choose the other."""
    path = tmp_path / "disk.img"
    files = root_files("/dev/sda2 / ext4 defaults 0 1\n")
    make_disk(path, [Part(16, "ext4", files), Part(16, "ext4", {**files, "chosen": ""})])
    with open_guest([RawFile(str(path))], tmp_path, IN_PROCESS) as tree:
        assert tree.lookup(b"chosen") is not None
        assert tree.notes == (
            "Of disk 0 partition 1, disk 0 partition 2, all with a root file system, "
            "disk 0 partition 2 was taken: its fstab names it.",
            "disk 0 partition 1 (ext4, 16.0 MiB) is mounted nowhere at boot, so it is not read.",
        )
    with open_guest([RawFile(str(path))], tmp_path, Reading(IN_PROCESS.engines, "0:1")) as tree:
        assert tree.lookup(b"chosen") is None
    for start in (1, 17):
        rewrite(path, start * MIB, "/dev/sda1 / ext4 defaults 0 1\n")
    with open_guest([RawFile(str(path))], tmp_path, IN_PROCESS) as tree:
        assert tree.lookup(b"chosen") is None
    rewrite(path, MIB, "# nothing says where\n")
    with pytest.raises(UnsupportedError) as raised:
        open_guest([RawFile(str(path))], tmp_path, IN_PROCESS)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert raised.value.message == (
        "several volumes hold a Linux root file system: "
        f"disk 0 partition 1 (test, last written {today}), disk 0 partition 2 (test, last written {today})"
    )
    assert "DISK:PARTITION, UUID=…" in raised.value.hint
    with pytest.raises(NoLinuxError, match=r"no volume 3:1 \(for .* 0:1 \(ext4\), 0:2 \(ext4\)\)"):
        open_guest([RawFile(str(path))], tmp_path, Reading(IN_PROCESS.engines, "3:1"))


def test_no_linux_names_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    make_disk(path, [Part(16, "ext4", {"files/of": "data"}), Part(4, "vfat", {})])
    with pytest.raises(NoLinuxError) as raised:
        open_guest([RawFile(str(path))], tmp_path, IN_PROCESS)
    assert raised.value.message == (
        "no Linux root file system: disk 0 partition 1 holds ext4 without a Linux system in it (etc, and bin "
        "or usr); disk 0 partition 2 holds vfat"
    )


def test_swap_windows_and_encryption_are_named(tmp_path: Path) -> None:
    swap, ntfs, luks = (tmp_path / name for name in ("swap", "ntfs", "luks"))
    for path in (swap, ntfs, luks):
        with open(path, "wb") as file:
            file.truncate(32 * MIB)
    subprocess.run(["mkswap", swap], check=True, capture_output=True)
    subprocess.run(["mkfs.ntfs", "-q", "-F", ntfs], check=True, capture_output=True)
    with pytest.raises(NoLinuxError, match="disk 0 holds swap; disk 1 holds ntfs"):
        open_guest([RawFile(str(swap)), RawFile(str(ntfs))], tmp_path, IN_PROCESS)
    luks.write_bytes(b"LUKS\xba\xbe\x00\x01" + b"aes".ljust(32, b"\0") + bytes(32 * MIB))
    with pytest.raises(UnsupportedError, match=r"crypto_LUKS.*not opened: the hash .*cryptsetup luksDump"):
        open_guest([RawFile(str(luks))], tmp_path, IN_PROCESS)


def test_root_that_cannot_be_read_is_no_missing_root(tmp_path: Path) -> None:
    """A damaged root is damage, and not "no Linux"."""
    path = tmp_path / "disk.img"
    make_disk(path, [Part(16, "ext4", root_files(""))])
    with open(path, "r+b") as file:
        file.seek(MIB + 2048)
        file.write(bytes(1024))  # the descriptors of block groups
    with pytest.raises(FilesystemError, match="disk 0 partition 1 holds ext4"):
        open_guest([RawFile(str(path))], tmp_path, IN_PROCESS)


@pytest.mark.parametrize(("option", "fails"), [("nofail", False), ("defaults", True)])
def test_volume_that_cannot_be_read(tmp_path: Path, option: str, fails: bool) -> None:
    """Only what the guest would start without may be missing."""
    path = tmp_path / "disk.img"
    fstab = f"/dev/sda2 /data xfs {option} 0 2\n"
    make_disk(path, [Part(16, "ext4", root_files(fstab, data=None)), Part(320, "xfs", {})])
    if fails:
        with pytest.raises(UnsupportedError, match=r"partition 2 \(xfs\) cannot be read"):
            open_guest([RawFile(str(path))], tmp_path, Reading(("ext2fs",)))
        return
    with open_guest([RawFile(str(path))], tmp_path, Reading(("ext2fs",))) as tree:
        assert [entry.path for entry in tree.walk(b"data")] == [b"data"]
        unseen, note = tree.notes
        assert unseen.startswith("Not looked at for a root: disk 0 partition 2 (xfs) cannot be read")
        assert note.startswith(
            "/data is not read, and the guest starts without it (nofail): disk 0 partition 2"
        )


def test_root_without_fstab(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    files = root_files("")
    del files["etc/fstab"]
    make_disk(path, [Part(16, "ext4", files)])
    with open_guest([RawFile(str(path))], tmp_path, IN_PROCESS) as tree:
        assert tree.type == "ext4"
        assert {entry.kind for entry in tree.walk()} == {Kind.DIRECTORY, Kind.FILE}
        assert tree.notes == ("There is no /etc/fstab.",)
