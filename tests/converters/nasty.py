"""A guest that holds everything an image can lose, get wrong or must leave out; the kernel writes it."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from pathlib import Path

from deploy.demo.guests import tiny
from tests.kernel import mounted

_CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
"""cap_net_raw, effective and permitted (linux/capability.h, VFS_CAP_REVISION_2)."""
_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, permissions, who)
    for tag, permissions, who in (
        (1, 6, 0xFFFFFFFF),
        (2, 4, 1234567),
        (4, 4, 0xFFFFFFFF),
        (16, 6, 0xFFFFFFFF),
        (32, 0, 0xFFFFFFFF),
    )
)
"""``user::rw-,user:1234567:r--,group::r--,mask::rw-,other::---`` (linux/posix_acl_xattr.h)."""
_DEVICES = (
    ("null", 0o020666, 1, 3),
    ("large", 0o060640, 3000, 1_000_000),
    ("whiteout", 0o020000, 0, 0),
)
_TIMES = (
    ("before-1970", -1),
    ("long-ago", -(1 << 31) * 1_000_000_000),
    ("nanoseconds", 1_600_000_000_123_456_789),
    ("after-2038", (1 << 33) * 1_000_000_000 + 1),
)
_LEFT_OUT = (
    *("proc/version", "sys/kernel", "dev/console", "run/daemon.sock.txt", "tmp/note", "var/tmp/x/y"),
    *("boot/vmlinuz-1", "boot/grub/grub.cfg", "lib/modules/1/ext4.ko", "usr/lib/firmware/chip.bin"),
    *("var/run/old/daemon.pid", "var/lock/lock", "var/cache/apt/archives/a.deb", "var/lib/apt/lists/index"),
    *(
        "var/cache/dnf/x",
        "var/cache/apk/x",
        "var/cache/pacman/pkg/x",
        "swapfile",
        "swapfile.1",
        "mnt/swapfile",
    ),
    *("var/lib/dhcp/dhclient.eth0.leases", "var/lib/NetworkManager/a.lease", "var/lib/dhcpcd5/x.lease"),
    *("srv/app/app.pid", "opt/a/b/c/d.pid", "usr/local/x.pid", "var/lib/mysql/mysql.sock.lock"),
    *("var/log/journal/id/system.journal", "var/crash/core", "var/spool/abrt/x", "var/lib/random-seed"),
    *("lost+found/#12", "srv/lost+found/#13", "srv/.wh.file", "srv/.wh.folder/inside"),
)
_EMPTIED = ("var/log/lastlog", "var/log/faillog")
_LIKE_THEM = (
    *("srv/app/pid", "etc/daemon.pid", "srv/proc/version", "usr/tmp/x", "var/lib/dhcp/dhcpd.leases"),
    *("srv/boot/vmlinuz", "home/swapfile", "var/log/lastlog.1", "usr/lib/modules-load.d/x.conf", "swap.d/x"),
)


def build(into: Path, *options: str) -> Path:
    """A whole-disk ext4 in the new file ``disk.raw``; needs root.

    Args:
        options: further ones of mke2fs(8).
    """
    disk = into / "disk.raw"
    with disk.open("xb") as file:
        file.truncate(96 << 20)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", *options, disk], check=True)
    with mounted(disk, "ext4", options="rw") as tree:
        os.rmdir(tree / "lost+found")  # noqa: PTH106 (the opposite of the next line)
        populate(tree)
    return disk


def populate(tree: Path) -> None:
    """Write everything below the empty folder ``tree``."""
    tiny.populate(tree, "nasty")
    (tree / "etc/fstab").write_text("# the disk is the root\n")
    for name in (*_LEFT_OUT, *_EMPTIED, *_LIKE_THEM):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}\n")
    (tree / "srv/app/large.pid").write_bytes(b"9" * 4097)
    (tree / "vmlinuz").symlink_to("boot/vmlinuz-1")
    (tree / "initrd.img").write_text("a file, not a link\n")
    odd = tree / "srv/odd"
    odd.mkdir()
    _names(odd)
    _links(tree, odd)
    _attributes(odd)
    for name, mode, major, minor in _DEVICES:
        os.mknod(odd / name, mode, os.makedev(major, minor))
    os.mkfifo(odd / "fifo", 0o622)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(odd / "socket"))
    _contents(odd)
    for name, nanoseconds in _TIMES:
        (odd / name).write_text(name)
        os.utime(odd / name, ns=(0, nanoseconds))


def _names(odd: Path) -> None:
    for name in (b"caf\xe9", b"\xff\xfe", b"new\nline", b"tab\t\x01\x7f", b" ", b"-rf", b"\\134", b"a" * 255):
        (odd / os.fsdecode(name)).write_bytes(name)
    (odd / "größe-❤").write_text("UTF-8")
    (odd / "link-latin1").symlink_to(os.fsdecode(b"to/caf\xe9"))
    (odd / "link-long").symlink_to("x/" * 300 + "end")
    (odd / "dangling").symlink_to("/nowhere")
    deep = odd
    for letter in "abcdef":
        deep /= letter * 90
    deep.mkdir(parents=True)
    (deep / os.fsdecode(b"deep\xe9")).write_text("deep")


def _links(tree: Path, odd: Path) -> None:
    """Hard links, the first name of some of which is left out."""
    os.link(tree / "boot/vmlinuz-1", odd / "kernel-a")
    os.link(tree / "boot/vmlinuz-1", odd / "kernel-b")
    os.link(tree / "tmp/note", odd / "only-name-left")
    (odd / "setuid").write_text("setuid")
    os.link(odd / "setuid", odd / "setuid-too")
    os.chown(odd / "setuid", 12, 34)
    (odd / "setuid").chmod(0o6755)
    os.link(odd / "dangling", odd / "dangling-too", follow_symlinks=False)
    os.mkfifo(odd / "fifo-linked")
    os.link(odd / "fifo-linked", odd / "fifo-linked-too")
    os.link(odd / "setuid", tree / os.fsdecode(b"srv/app/setuid-\xe9"))


def _attributes(odd: Path) -> None:
    (odd / "sticky").mkdir(mode=0o1777)
    (odd / "sticky").chmod(0o1777)
    (odd / "owned").write_text("owned")
    os.chown(odd / "owned", 4_000_000_000, 3_000_000_000)
    (odd / "attributes").write_text("attributes")
    for name, value in (
        ("security.capability", _CAPABILITY),
        ("security.selinux", b"system_u:object_r:etc_t:s0\0"),
        ("system.posix_acl_access", _ACL),
        ("user.binary", bytes(range(0, 256, 2))),
        ("user.caf\udce9", b"\xe9"),
        ("user.empty", b""),
        ("user.a=b", b"c"),
        ("trusted.overlay.opaque", b"y"),
        ("trusted.note", b"kept"),
    ):
        os.setxattr(odd / "attributes", name, value)
    os.link(odd / "attributes", odd / "attributes-too")
    (odd / "attribute-large").touch()
    os.setxattr(odd / "attribute-large", "user.large", b"v" * 700)
    os.setxattr(odd / "sticky", "user.note", b"on a directory")
    (odd / "plain-acl").mkdir()
    os.setxattr(odd / "plain-acl", "system.posix_acl_default", _ACL)


def _contents(odd: Path) -> None:
    (odd / "empty").write_bytes(b"")
    with (odd / "sparse").open("wb") as file:
        file.write(b"start")
        file.seek((20 << 20) + 123)
        file.write(b"end")
        file.truncate(21 << 20)
    (odd / "holes-only").touch()
    os.truncate(odd / "holes-only", 5 << 20)
    for size in (1, 511, 512, 513, 4095, 4096, 4097, 65537, (1 << 20) - 1, 1 << 20, (4 << 20) + 7):
        (odd / f"size-{size}").write_bytes(os.urandom(size))
