"""Logical volumes of each type that LVM makes, on four disks."""

from __future__ import annotations

from pathlib import Path

from tests.converters.volumes.builder import MIB, made

GROUP = "vg-a"
IN_PROCESS = {
    "mirror": "--type mirror -m 1 --mirrorlog core -L 8m",
    "logged-mirror": "--type mirror -m 1 -L 8m",
    "pair": "--type raid1 -m 1 -L 8m",
    "triple": "--type raid1 -m 2 -L 8m",
    "raid0": "--type raid0 -i 2 -I 64k -L 16m",
    "raid0-meta": "--type raid0_meta -i 3 -I 16k -L 24m",
}
"""Volumes, and what ``lvcreate`` is asked for."""
OTHERS = {
    "five": "--type raid5 -i 2 -I 64k -L 16m",
    "ten": "--type raid10 -i 2 -m 1 -L 16m",
    "snap": "",
    "thin": "",
    "thin-snap": "",
    "cached": "",
}
"""Volumes that are not read in process; those without words are made from others."""
DISKS = 4


def disks() -> Path:
    """The folder with the disks ``a`` to ``d``."""
    devices = [f"/dev/ubd{letter}" for letter in "abcd"[:DISKS]]
    lines = [f"lvm pvcreate -q {device}" for device in devices[:-1]]
    lines += [
        f"lvm pvcreate -q --metadatacopies 2 {devices[-1]}",
        f"lvm vgcreate {GROUP} {' '.join(devices)}",
    ]
    asked = {name: options for name, options in {**IN_PROCESS, **OTHERS}.items() if options}
    for name, options in asked.items():
        lines += [f"lvm lvcreate -y -W n -n {name} {options} {GROUP}", f"synced {GROUP}"]
        lines += ["lvm vgmknodes || true", f"fill /dev/{GROUP}/{name} {name}"]
    lines += [
        f"lvm lvextend -y -L 12m {GROUP}/pair",
        f"lvm lvextend -y -L 32m {GROUP}/raid0",
        f"synced {GROUP}",
        f"lvm lvcreate -y -n snap -s -L 8m {GROUP}/mirror",
        f"lvm lvcreate -y -T -L 24m -V 64m -n thin {GROUP}/pool",
        "lvm vgmknodes || true",
        f"fill /dev/{GROUP}/thin thin",
        f"lvm lvcreate -y -s -n thin-snap {GROUP}/thin",
        f"lvm lvchange -ay -K {GROUP}/thin-snap",
        f"lvm lvcreate -y -W n -n cached -L 16m {GROUP} {devices[0]}",
        "lvm vgmknodes || true",
        f"fill /dev/{GROUP}/cached uncached",
        f"lvm lvcreate -y --type cache-pool -L 12m -n fast {GROUP} {devices[1]}",
        f"lvm lvconvert -y --type cache --cachemode writeback --cachepool {GROUP}/fast {GROUP}/cached",
        "lvm vgmknodes || true",
        *_write("cached", "cached"),
        *_write("mirror", "mirrored"),
        "lvm vgchange -an",
    ]
    return made("lvm", [192 * MIB] * DISKS, "\n".join(lines))


def _write(volume: str, text: str) -> list[str]:
    """The file ``news`` with ``text`` in a volume."""
    return [f"mount -t ext4 /dev/{GROUP}/{volume} /mnt", f"echo {text} > /mnt/news", "umount /mnt"]
