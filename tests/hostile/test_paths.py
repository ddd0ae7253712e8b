"""Guests whose links and tables name files of the machine that reads them: none is opened."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.converters.filesystems.guest_disks import MIB, Part, make_disk, root_files
from tests.hostile.watching import Outcome, read, untouched

SECRET = "a-secret-of-the-machine"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A folder of this machine with a secret, and a disk image that holds it too."""
    folder = tmp_path / "host"
    (folder / "tree").mkdir(parents=True)
    for name in ("secret", "tree/secret"):
        (folder / name).write_text(f"ID={SECRET}\nroot:{SECRET}:0:0::/:/bin/sh\n")
    image = folder / "image"
    image.touch()
    mke2fs = ["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-d", str(folder / "tree"), str(image), "8M"]
    subprocess.run(mke2fs, check=True, capture_output=True)
    return folder


def outcome(guest: Path, host: Path, scratch: Path) -> Outcome:
    with untouched(host, *host.rglob("*")):
        found = read(guest, scratch)
    assert found.error is None
    assert SECRET.encode() not in found.archive
    assert SECRET not in repr(found.inspection)
    return found


def test_links_out_of_the_tree(host: Path, scratch: Path, tmp_path: Path) -> None:
    up = "../" * 40
    links = {
        "etc/os-release": f"-> {host}/secret",
        "etc/fstab": f"-> {up}{str(host)[1:]}/secret",
        "etc/hostname": f"-> {host}/secret",
        "etc/passwd": "-> /proc/self/environ",
        "etc/group": f"-> /proc/self/root{host}/secret",
        "etc/shadow": f"-> /proc/self/fd/../cwd/{up}{str(host)[1:]}/secret",
        "etc/systemd": f"-> {host}/tree",
        "etc/nginx": f"-> {up}{str(host)[1:]}/tree",
        "var/lib/dpkg": f"-> {host}/tree",
        "etc/init.d": f"-> {host}",
        "etc/crontab": "-> /dev/zero",
        "srv/round": "-> round",
    }
    disk = tmp_path / "disk"
    files = {"usr/lib/os-release": "ID=test\n", "usr/bin/true": "#!", "bin": "-> usr/bin"}
    make_disk(disk, [Part(32, "ext4", {**files, **links})])
    members = outcome(disk, host, scratch).members
    for name, target in links.items():
        assert members[name].linkname == target.removeprefix("-> ")


def test_an_fstab_of_the_machines_own_files(host: Path, scratch: Path, tmp_path: Path) -> None:
    device = Path("/proc/self/mounts").read_text().split()[0]
    fstab = f"""/dev/sda1 / ext4 defaults 0 1
{host}/image /data ext4 loop 0 0
{host}/tree /srv/host none bind 0 0
/../../..{host}/tree /srv/up none bind 0 0
{device} /mnt ext4 nofail 0 0
overlay /opt overlay lowerdir=/,upperdir={host}/tree,workdir={host} 0 0
LABEL=../..{host}/image /media ext4 nofail 0 0
UUID=../..{host}/image ../..{host} ext4 nofail 0 0
/srv/link/secret /srv/file none bind 0 0
/dev/disk/by-id/../../..{host}/image /a ext4 nofail 0 0
{"x" * 5000} /b ext4 defaults 0 0
"""
    more = {"srv/link": f"-> {host}/tree", "data": None, "mnt": None, "opt": None}
    disk = tmp_path / "disk"
    make_disk(disk, [Part(32, "ext4", root_files(fstab, **more))])
    found = outcome(disk, host, scratch)
    assert found.inspection is not None
    assert [mount.path for mount in found.inspection.mounts if not mount.bound] == ["/"]


def test_devices_and_powers_are_data(scratch: Path, tmp_path: Path) -> None:
    """They come out of the archive as they were put in; nothing but pipes and files is made on the way."""
    disk = tmp_path / "disk"
    make_disk(disk, [Part(32, "ext4", root_files("/dev/sda1 / ext4 defaults 0 1\n"))])
    commands = [
        "mknod null c 1 3",
        "mknod disk b 8 0",
        "mknod pipe p",
        "set_inode_field /usr/bin/true mode 0107777",
    ]
    words = ["/sbin/debugfs", "-w", "-f", "-", f"{disk}?offset={MIB}"]
    subprocess.run(words, input="\n".join(commands).encode(), check=True, capture_output=True)
    found = read(disk, scratch)
    members = found.members
    assert found.error is None
    assert members["usr/bin/true"].mode == 0o7777
    assert members["null"].ischr()
    assert (members["disk"].isblk(), members["disk"].devmajor) == (True, 8)
    assert members["pipe"].isfifo()
