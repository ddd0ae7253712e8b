"""A guest made without network in a second: busybox serves a page."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from converters import process
from deploy.demo.guests import layout
from deploy.demo.guests.debian import as_root

BUSYBOX = Path("/bin/busybox")
"""Debian's busybox-static."""
PORT = 8080
_APPLETS = ("sh", "ls", "cat", "httpd", "sleep", "ps", "wget")
_FILES = 300

_UNIT = f"""[Unit]
Description=Small web server
After=network.target

[Service]
ExecStart=/bin/busybox httpd -f -p {PORT} -h /srv/www
Restart=always

[Install]
WantedBy=multi-user.target
"""


def page(name: str) -> str:
    """What its web server answers."""
    return f"hello from {name}"


def partitions(payload: int) -> layout.Layout:
    """Its disk: large enough for ``payload`` bytes more."""
    size = 24 + payload // layout.MIB * 11 // 10
    root = layout.Partition(size, mount="/", uuid="7e0b3f62-1c9d-4a58-9e20-4e5f6a7b8c01")
    return layout.Layout("gpt", (root,))


def build(into: Path, name: str, payload: int) -> Path:
    """Write its disk image into the folder ``into``; gives the image's path."""
    tree = into / "tree"
    populate(tree, name, payload)
    disk = into / "disk.raw"
    plan = partitions(payload)
    layout.write_table(disk, plan)
    (built,), _ = layout.place(plan)
    process.run(as_root(layout.filesystem_command(disk, plan.partitions[0], built, tree)))
    shutil.rmtree(tree)
    return disk


def populate(tree: Path, name: str, payload: int = 0) -> None:
    """Write its files into the new folder ``tree``."""
    for folder in ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "usr/share/doc", "srv/www", "var/log"):
        (tree / folder).mkdir(parents=True)
    (tree / "tmp").chmod(0o1777)
    shutil.copy(BUSYBOX, tree / "bin/busybox")
    for applet in _APPLETS:
        (tree / "bin" / applet).symlink_to("busybox")
    texts = {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
        'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\n',
        "etc/hostname": f"{name}\n",
        "etc/fstab": "UUID=7e0b3f62-1c9d-4a58-9e20-4e5f6a7b8c01 / ext4 defaults 0 1\n",
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
        "etc/group": "root:x:0:\n",
        "srv/www/index.html": page(name) + "\n",
    }
    for path, text in texts.items():
        (tree / path).write_text(text)
    units = tree / "etc/systemd/system"
    (units / "multi-user.target.wants").mkdir(parents=True)
    (units / "web.service").write_text(_UNIT)
    (units / "multi-user.target.wants/web.service").symlink_to("/etc/systemd/system/web.service")
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    for number in range(_FILES):
        (tree / f"usr/share/doc/{number:03d}.txt").write_text(f"{name} {number}\n" * 20)
    if payload:
        (tree / "srv/payload").write_bytes(random.Random(name).randbytes(payload))
