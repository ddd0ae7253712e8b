"""Guests as people lay them out: units, types of partitions, names of hardware, /usr apart, subvolumes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from converters.disks.base import RawFile
from converters.errors import FilesystemError, NoLinuxError, UnsupportedError
from converters.filesystems.boot_mounts import MOST
from converters.filesystems.mounts import open_guest
from converters.filesystems.tree import MOST_NOTES, GuestTree
from converters.guest.facts import UnmountedVolume, VolumeRole
from tests.converters.filesystems.btrfs_images import make as make_btrfs
from tests.converters.filesystems.btrfs_images import subvolume
from tests.converters.filesystems.ext_images import debugfs, make
from tests.converters.filesystems.guest_disks import (
    IN_PROCESS,
    MIB,
    Part,
    Reading,
    fill,
    make_disk,
    rewrite,
    root_files,
)
from tests.converters.filesystems.test_boot_mounts import ETC, SYSTEMD, USR, mount
from tests.kernel import loop_device, mounted, needs_root

HOME, SRV, VAR = (
    "933ac7e1-2eb4-4f13-b844-0e14e2aef915",
    "3b8f8425-20e0-4f3b-907f-1a25a76f98e8",
    "4d21b016-b534-45c2-a9fb-5c16e091fd2d",
)
MACHINE = "0123456789abcdef0123456789abcdef\n"
VAR_OF_MACHINE = "c0c46eff-e386-4746-a2bd-0962cd326ea2"
"""What ``systemd-id128 machine-id --app-specific`` gives for the type and that machine."""
GENERATOR = {"usr/lib/systemd/system-generators/systemd-gpt-auto-generator": "ELF"}


def opened(scratch: Path, *disks: Path, root: str = "") -> GuestTree:
    return open_guest(
        [RawFile(str(disk)) for disk in disks], scratch, Reading((*IN_PROCESS.engines, "btrfs"), root)
    )


def read(tree: GuestTree, path: bytes) -> bytes:
    entry = tree.lookup(path)
    assert entry is not None
    return b"".join(tree.read(entry))


def test_units_labels_and_types_of_partitions(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    root = root_files(
        "LABEL=my\\040data /data ext4 noauto 0 0\ntmpfs /cache tmpfs mode=700 0 0\n"
        "/data/pub /export none rbind 0 0\n/data/pub/song /song none bind 0 0\n",
        **dict.fromkeys(("data", "export", "home", "srv", "opt/web", "mnt")),
        **SYSTEMD,
        **GENERATOR,
        **{
            "song": "",
            "cache/old": "",
            f"{ETC}/opt-web.mount": mount("PARTLABEL=web", "/opt/web"),
            f"{USR}/web.service": "[Unit]\nRequiresMountsFor=/data/x /opt/web\n[Service]\nExecStart=/w\n",
        },
    )
    make_disk(
        disk,
        [
            Part(16, "ext4", root),
            Part(8, "ext4", {"pub/song": "la", "pub/inner": None}, ("-L", "my data")),
            Part(8, "ext4", {"me": "home"}, table=f"type={HOME}"),
            Part(8, "ext4", {"no": ""}, table=f'type={SRV}, attrs="GUID:63"'),
            Part(8, "ext4", {"web": "web"}, table="name=web"),
            Part(8, "ext2", {}, ("-L", "old", "-U", "0f6f2a8a-7f7e-4c3c-9c52-111213141516")),
            Part(8, "ext4", {"other": ""}, table=f"type={VAR}"),
        ],
    )
    with opened(tmp_path, disk) as tree:
        assert [(point.path, point.device, point.role, point.bound) for point in tree.mounts] == [
            ("/", "disk 0 partition 1", VolumeRole.SYSTEM, ""),
            ("/data", "disk 0 partition 2", VolumeRole.DATA, ""),
            ("/export", "disk 0 partition 2", VolumeRole.DATA, "/data/pub"),
            ("/song", "disk 0 partition 2", VolumeRole.DATA, "/data/pub/song"),
            ("/opt/web", "disk 0 partition 5", VolumeRole.DATA, ""),
            ("/home", "disk 0 partition 3", VolumeRole.DATA, ""),
        ]
        assert tree.mounts[1].size == 8 * MIB
        assert read(tree, b"export/song") == read(tree, b"song") == b"la"
        assert read(tree, b"home/me") == b"home"
        assert [(entry.path, entry.mode) for entry in tree.walk(b"cache")] == [(b"cache", 0o700)]
        assert tree.unmounted[1] == UnmountedVolume(
            "disk 0 partition 6", "ext2", "0f6f2a8a-7f7e-4c3c-9c52-111213141516", "old", 8 * MIB
        )
        assert tree.notes == (
            "/cache begins empty at each boot (tmpfs): what lies beneath is left out.",
            "disk 0 partition 4 (ext4, 8.0 MiB) is mounted nowhere at boot, so it is not read.",
            "disk 0 partition 6 (ext2, label old, 8.0 MiB) is mounted nowhere at boot, so it is not read.",
            "disk 0 partition 7 (ext4, 8.0 MiB) is mounted nowhere at boot, so it is not read.",
        )


@pytest.mark.parametrize("masked", [False, True])
def test_a_partition_for_var_has_to_be_the_machines_own(tmp_path: Path, masked: bool) -> None:
    """Its UUID is made of the machine's; a link to /dev/null takes the generator away."""
    disk = tmp_path / "disk"
    files = root_files(
        "", **SYSTEMD, **GENERATOR, var=None, **{"etc/machine-id": "0123456789abcdef" * 2 + "\n"}
    )
    if masked:
        files["etc/systemd/system-generators/systemd-gpt-auto-generator"] = "-> /dev/null"
    table = f"type={VAR}, uuid={VAR_OF_MACHINE}"
    make_disk(disk, [Part(16, "ext4", files), Part(8, "ext4", {"own": ""}, table=table)])
    with opened(tmp_path, disk) as tree:
        assert (tree.lookup(b"var/own") is None) is masked


def test_usr_on_a_volume_of_its_own_is_there_before_its_units(tmp_path: Path) -> None:
    one = tmp_path / "disk"
    files = root_files(
        "/dev/sda1 / ext4\n/dev/sda2 /usr ext4 defaults 0 2\n", usr=None, data=None, bin="-> usr/bin"
    )
    del files["usr/bin/true"]
    files["sbin/init"] = "-> ../usr/lib/systemd/systemd"
    usr = {path.removeprefix("usr/"): text for path, text in SYSTEMD.items() if path.startswith("usr/")}
    usr["lib/systemd/system/data.mount"] = mount("/dev/sda3", "/data")
    usr["lib/systemd/system/local-fs.target"] = "[Unit]\nWants=data.mount\n"
    make_disk(one, [Part(16, "ext4", files), Part(8, "ext4", usr), Part(8, "ext4", {"payload": ""})], "dos")
    with opened(tmp_path, one) as tree:
        assert [(point.path, point.role) for point in tree.mounts] == [
            ("/", VolumeRole.SYSTEM),
            ("/usr", VolumeRole.SYSTEM),
            ("/data", VolumeRole.DATA),
        ]
        assert tree.notes == ()


def test_an_fstab_that_means_harm_costs_little(tmp_path: Path) -> None:
    """A thousand times /usr, bind mounts that double each other, and junk up to the limit of the file."""
    disk = tmp_path / "disk"
    fstab = "/dev/sda1 / ext4\n" + "/dev/sda1 /usr ext4\n" * 1000 + "/dev/sda1 /srv ext4 noauto\n"
    fstab += "".join(f"/ /b{number} none rbind\n" for number in range(20)) + "x\n" * 20_000
    files = root_files(fstab, usr=None, **{f"b{number}": None for number in range(20)})
    make_disk(disk, [Part(16, "ext4", files)], "dos")
    with opened(tmp_path, disk) as tree:
        assert len(tree.mounts) < MOST
        assert len(tree.notes) == MOST_NOTES + 1
        assert tree.notes[-1].endswith(" more remarks are left out.")


def test_disks_by_the_names_of_their_hardware(tmp_path: Path) -> None:
    """As older SUSE systems have it. The entry for / tells which disk is which, as far as one is left."""
    disks = [tmp_path / name for name in ("one", "two", "three")]
    fstab = (
        "/dev/disk/by-id/scsi-36000aaa-part1 / ext3 acl 1 1\n"
        "/dev/disk/by-id/scsi-36000aaa-part2 /home ext3 acl 1 2\n"
        "/dev/disk/by-id/scsi-36000bbb-part1 /data ext3 acl 1 2\n"
    )
    make_disk(
        disks[0],
        [Part(16, "ext3", root_files(fstab, data=None, home=None)), Part(8, "ext3", {"me": ""})],
        "dos",
    )
    make_disk(disks[1], [Part(8, "ext4", {"payload": "two"})], "dos")
    make_disk(disks[2], [Part(8, "ext3", {"payload": "three"})], "dos")
    with opened(tmp_path, *disks[:2]) as tree:
        assert [(point.path, point.device) for point in tree.mounts] == [
            ("/", "disk 0 partition 1"),
            ("/home", "disk 0 partition 2"),
            ("/data", "disk 1 partition 1"),
        ]
    with opened(tmp_path, *disks) as tree:
        assert [point.path for point in tree.mounts] == ["/", "/home"]
        assert [mount.source for mount in tree.unread] == ["/dev/disk/by-id/scsi-36000bbb-part1"]
        assert (
            "/dev/disk/by-id/scsi-36000bbb-part1 names a disk by its hardware; "
            "it can be disk 1 partition 1, disk 2 partition 1." in tree.notes
        )


def test_a_person_says_which_root_in_any_words(tmp_path: Path) -> None:
    """Two systems that name nothing: refused with both, then chosen by every name a volume has."""
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    files = root_files("", **{"etc/hostname": "one"})
    other = {**files, "etc/hostname": "two"}
    uuid, _ = make_disk(disk, [Part(8, "ext4", files, ("-L", "first")), Part(8, "ext4", other)])
    with pytest.raises(UnsupportedError) as raised:
        opened(tmp_path, disk)
    assert "disk 0 partition 1 (test, one, last written 20" in raised.value.message
    for wanted in (
        "0:1",
        f"UUID={uuid}",
        f'UUID="{uuid}"',
        "LABEL=first",
        "/dev/sda1",
        f"/dev/disk/by-uuid/{uuid}",
    ):
        with opened(tmp_path, disk, root=wanted) as tree:
            assert read(tree, b"etc/hostname") == b"one"
    for wanted in ("UUID=none", "first", "/dev/vg/root", "0:7", "", "nas:/x"):
        with pytest.raises((NoLinuxError, UnsupportedError)):
            opened(tmp_path, disk, root=wanted)
    subprocess.run(["cp", "--sparse=always", disk, copy], check=True)
    with pytest.raises(
        UnsupportedError, match=r"several volumes are LABEL=first \(say one of them: 0:1, 1:1\)"
    ):
        opened(tmp_path, disk, copy, root="LABEL=first")


def test_boot_loader_of_the_first_disk_decides(tmp_path: Path) -> None:
    """A system that was left on the second disk names itself as well."""
    disks = [tmp_path / name for name in ("old", "new")]
    for disk in disks:
        grub = {"grub/grub.cfg": f"menuentry x {{\n linux /v root=LABEL={disk.name}\n}}\n"}
        fstab = f"LABEL={disk.name} / ext4\n"
        parts = [Part(8, "ext2", grub), Part(8, "ext4", root_files(fstab), ("-L", disk.name))]
        make_disk(disk, parts, "dos")
    for order in (disks, disks[::-1]):
        with opened(tmp_path, *order) as tree:
            assert read(tree, b"etc/fstab") == f"LABEL={order[0].name} / ext4\n".encode()
            assert tree.notes[0].endswith("was taken: the first disk's boot loader starts it.")
    rewrite(disks[1], 9 * MIB, "LABEL=elsewhere / ext4\n")
    with opened(tmp_path, *disks[::-1]) as tree:
        assert read(tree, b"etc/fstab") == b"LABEL=old / ext4\n"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_journal_on_another_disk_is_named(tmp_path: Path, is_there: bool) -> None:
    """With changes that wait in it; without any, nothing is missing. Here it is damaged, or away."""
    one, data, journal = tmp_path / "one", tmp_path / "data", tmp_path / "journal"
    fstab = "/dev/sda1 / ext4\n/dev/sdb /data ext4 defaults 0 2\n"
    make_disk(one, [Part(16, "ext4", root_files(fstab, data=None))], "dos")
    make(data, "-t", "ext4", "-O", "^has_journal")
    identifier = "0f6f2a8a-7f7e-4c3c-9c52-111213141516"
    make(journal, "-O", "journal_dev", "-b", "4096", "-U", identifier)
    debugfs(data, "feature has_journal", f"set_super_value journal_uuid {identifier}")
    disks = (one, data, journal) if is_there else (one, data)
    with opened(tmp_path, *disks) as tree:
        assert [point.path for point in tree.mounts] == ["/", "/data"]
    debugfs(data, "feature needs_recovery")
    with open(journal, "r+b") as file:
        file.seek(4096)
        file.write(bytes(8192))
    place = "on disk 2" if is_there else "on none of the disks"
    with pytest.raises(FilesystemError, match=f"a device of its own, UUID={identifier}, {place}"):
        opened(tmp_path, *disks)


@pytest.mark.root
@needs_root
def test_a_journal_on_another_disk_is_replayed(tmp_path: Path) -> None:
    """What it holds of a busy file system is there, as its own kernel would show it."""
    one, data, journal = tmp_path / "one", tmp_path / "data", tmp_path / "journal"
    make_disk(one, [Part(16, "ext4", root_files("LABEL=data /data ext4\n", data=None))], "dos")
    make(data, "-t", "ext4", "-b", "4096", "-O", "^has_journal", "-L", "data", size=64 << 20)
    with ExitStack() as stack:
        outside = stack.enter_context(loop_device(make(journal, "-O", "journal_dev", "-b", "4096")))
        device = stack.enter_context(loop_device(data))
        subprocess.run(["tune2fs", "-J", f"device={outside}", device], check=True, capture_output=True)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="orchestrate-mount-"))
        subprocess.run(["mount", "-t", "ext4", "-o", "dioread_lock", device, folder], check=True)
        stack.callback(subprocess.check_call, ["umount", folder])
        for number in range(50):
            with open(Path(folder, f"{number}"), "w") as file:
                file.write(f"new {number}")
                file.flush()
                os.fsync(file.fileno())
        for path in (data, journal):
            subprocess.run(["cp", "--sparse=always", path, path.with_suffix(".busy")], check=True)
    with opened(tmp_path, one, data.with_suffix(".busy"), journal.with_suffix(".busy")) as tree:
        assert [(point.path, point.engine, point.recovered) for point in tree.mounts] == [
            ("/", "ext2fs", False),
            ("/data", "uml-reader", True),
        ]
        assert [read(tree, b"data/%d" % number) for number in range(50)] == [
            b"new %d" % number for number in range(50)
        ]
        assert "disk 2" in tree.step_downs[0].reason


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("name", ["root", "@", "odd/place"])
def test_a_root_in_a_subvolume(tmp_path: Path, name: str) -> None:
    """Fedora's and Ubuntu's way: nothing of a system at the top, one device mounted many times (C07)."""
    boot, disk = tmp_path / "boot", make_btrfs(tmp_path / "disk")
    make_disk(
        boot, [Part(8, "ext2", {"grub2/grub.cfg": f"linux /v root=/dev/sdb rootflags=subvol={name}\n"})]
    )
    fstab = f"/dev/sdb / btrfs subvol={name} 0 0\n" + "".join(
        f"/dev/sdb /{path} btrfs subvol=/@{path.replace('/', '-')} 0 0\n" for path in ("var/log", "home")
    )
    with mounted(disk, "btrfs", options="rw") as top:
        (top / name).parent.mkdir(exist_ok=True)
        for made in (name, "@var-log", "@home"):
            subvolume("create", top / made)
            (top / made / "own").write_text(made)
        fill(top / name, root_files(fstab, **{"var/log": None, "home": None}))
        subvolume("snapshot", top / name, top / "before-upgrade")
    with opened(tmp_path, boot, disk) as tree:
        assert [(point.path, point.subvolume, point.role) for point in tree.mounts] == [
            ("/", f"subvol={name}", VolumeRole.SYSTEM),
            ("/home", "subvol=/@home", VolumeRole.DATA),
            ("/var/log", "subvol=/@var-log", VolumeRole.SYSTEM),
        ]
        assert read(tree, b"own") == name.encode()
        assert read(tree, b"var/log/own") == b"@var-log"
        assert len({entry.device for entry in tree.walk()}) == 3
        assert [volume.device for volume in tree.unmounted] == ["disk 0 partition 1"]
    with opened(tmp_path, boot, disk, root="/dev/sdb") as tree:
        assert read(tree, b"own") == name.encode()
