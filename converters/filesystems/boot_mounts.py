"""What a guest mounts at boot: the entries of its fstab and its mount units, as its own tools take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from converters.filesystems.fstab import Line, Tool, parse
from converters.filesystems.mount_units import MountUnits
from converters.filesystems.sources import SourceKind, source_kind
from converters.guest.files import GuestFiles
from converters.guest.identity import detect_init

MOST = 1000
"""Mounts that are followed; a machine has some dozens."""


@dataclass(frozen=True, slots=True)
class BootMounts:
    """The entries of a guest by what becomes of them. The root\'s own is among none of them."""

    mounted: tuple[Line, ...]
    """In an order in which each finds what it needs: parents before children, sources before bind mounts."""
    skipped: tuple[Line, ...]
    """Not mounted at boot."""
    swap: tuple[Line, ...]
    notes: tuple[str, ...]


def boot_mounts(files: GuestFiles, fstab: bytes | None) -> BootMounts:
    """What boot mounts beside the root.

    Args:
        files: the root, with /usr already in place where that is a volume of its own.
        fstab: its content; None where there is none.
    """
    is_systemd = detect_init(files) == "systemd"
    tool = Tool.SYSTEMD if is_systemd else Tool.LIBMOUNT
    lines, notes = parse(fstab or b"", tool)
    swap = tuple(line for line in lines if line.type == "swap")
    lines = [line for line in lines if line.type != "swap" and line.target.startswith("/")]
    lines = _once(lines, tool, notes)
    if is_systemd:
        mounted, skipped = _by_systemd(files, lines, notes)
    else:
        mounted = [line for line in lines if "noauto" not in line.options]
        skipped = [line for line in lines if "noauto" in line.options]
    mounted = [line for line in mounted if line.target != "/"]
    if len(mounted) > MOST:
        notes.append(f"Of {len(mounted)} mounts the first {MOST} are looked at.")
    return BootMounts(tuple(_in_order(mounted[:MOST])), tuple(skipped), swap, tuple(notes))


def _once(lines: Sequence[Line], tool: Tool, notes: list[str]) -> list[Line]:
    """One entry a target: systemd takes the first, and of several by ``mount -a`` the last lies on top."""
    kept: dict[str, Line] = {}
    for line in lines:
        if line.target not in kept:
            kept[line.target] = line
            continue
        if tool is Tool.LIBMOUNT:
            kept[line.target] = line
        which = "later" if tool is Tool.LIBMOUNT else "first"
        notes.append(f"/etc/fstab mounts {line.target} twice; the {which} entry is followed.")
    return list(kept.values())


def _by_systemd(files: GuestFiles, lines: Sequence[Line], notes: list[str]) -> tuple[list[Line], list[Line]]:
    units = MountUnits(files)
    mounted, skipped = [], []
    for line in lines:
        decided = units.decide(line)
        if decided.note:
            notes.append(decided.note)
        if decided.starts:
            mounted.append(decided.line)
        elif not decided.note:
            skipped.append(decided.line)
    more, broken = units.others(frozenset(line.target for line in lines))
    notes += broken
    return [*mounted, *more], skipped


def _in_order(lines: Sequence[Line]) -> list[Line]:
    waiting = sorted(lines, key=lambda line: line.target.count("/"))
    ordered: list[Line] = []
    while waiting:
        targets = {line.target for line in waiting}
        ready = next((line for line in waiting if not targets & _needs(line)), waiting[0])
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def _needs(line: Line) -> set[str]:
    """Paths where another mount has to come first."""
    needed = set(_above(line.target))
    if source_kind(line) is SourceKind.BIND:
        needed |= {line.source, *_above(line.source)} - {line.target}
    return needed


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(2, len(parts))]
