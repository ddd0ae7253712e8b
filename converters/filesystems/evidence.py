"""Which of several root file systems a guest runs on: what their own files and a boot loader's say for each.

A second system, a disk that was cloned or one that an upgrade left behind, the root of a container: all look
like a root. Nothing here guesses: evidence that contradicts itself decides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from converters.errors import FilesystemError
from converters.filesystems.access import read_bytes, resolve
from converters.filesystems.base import Filesystem, Kind
from converters.filesystems.fstab import Line, parse
from converters.filesystems.place import Place, describe
from converters.guest.files import GuestFiles, printable
from converters.guest.identity import read_hostname
from converters.guest.release import read_release
from converters.volumes.base import Volume

FSTAB = b"etc/fstab"
FSTAB_LIMIT = 1 << 20

_ROOT_TYPES = (
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709",
    "44479540-f297-41b2-9af7-d131d5f0458a",
    "b921b045-1df0-41c3-af44-4c6f280d3fae",
)
"""GPT types of a root for x86-64, x86 and arm64 (Discoverable Partitions Specification)."""
_MODULES = (b"lib/modules", b"usr/lib/modules")
_WRITTEN = tuple(
    f"{folder}{name}".encode()
    for folder, names in (
        ("", ("run/utmp", "root/.bash_history", "etc")),
        ("etc/", ("mtab", "resolv.conf", "adjtime", "ld.so.cache")),
        ("var/", ("run/utmp", "lib/systemd/random-seed", "lib/random-seed", "lib/systemd/timesync/clock")),
        ("var/log/", ("wtmp", "lastlog", "messages", "syslog", "secure", "auth.log", "dmesg", "boot.log")),
    )
    for name in names
)
"""What a running system writes again and again, wherever its /var is."""
_JOURNAL = b"var/log/journal"
_MOST_JOURNALS = 1000
_APART_NS = 3600 * 10**9
"""Last writings that are nearer to each other say nothing: clocks differ, and a backup touches both."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file system that can be the root."""

    place: Place
    filesystem: Filesystem
    options: str = ""
    """Mount options that choose it: ``subvol=@``."""

    @property
    def name(self) -> str:
        """The volume in words, with its subvolume."""
        return f"{describe(self.place)} ({self.options})" if self.options else describe(self.place)

    def details(self) -> str:
        """What a person tells systems apart by: name, release, host, when it was last written."""
        files = GuestFiles(self.filesystem)
        release = read_release(files)
        written = last_written(self.filesystem)
        day = time.strftime("%Y-%m-%d", time.gmtime(written / 10**9)) if 0 < written < 1 << 62 else ""
        told = (
            f"{release.name} {release.version}".strip() if release is not None else "",
            printable(read_hostname(files)),
            f"last written {day}" if day else "",
        )
        about = ", ".join(filter(None, told))
        return f"{self.name} ({about})" if about else self.name


Leads = Callable[[Line, Candidate], bool]
"""Whether the source of a line is the place of a candidate."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The root, or None, and what speaks for it or keeps it from being known."""

    chosen: Candidate | None
    reason: str


def decide(candidates: Sequence[Candidate], kernel_roots: Iterable[Line], leads: Leads) -> Verdict:
    """Choose among several candidates.

    Args:
        kernel_roots: what boot loaders start, those of the first disk first.
    """
    left = _those(candidates, lambda candidate: names_itself(candidate, leads))
    if len(left) == 1:
        return Verdict(left[0], "its fstab names it")
    left = _those(left, lambda candidate: has_modules(candidate.filesystem))
    if len(left) == 1:
        return Verdict(left[0], "no other has a kernel's modules")
    votes = [
        (named, reason)
        for named, reason in (
            (_started(left, kernel_roots, leads), "the first disk's boot loader starts it"),
            (_those(left, _is_root_by_type), "its partition has the type of a root"),
            (_newest(left), "it was written to last"),
        )
        if len(named) < len(left)
    ]
    agreed = [candidate for candidate in left if all(candidate in named for named, _ in votes)]
    reasons = " and ".join(reason for _, reason in votes)
    if votes and len(agreed) == 1:
        return Verdict(agreed[0], reasons)
    said = "; ".join(f"{', '.join(one.name for one in named)}: {reason}" for named, reason in votes)
    return Verdict(None, said if not agreed else "")


def names_itself(candidate: Candidate, leads: Leads) -> bool:
    """Whether the entry for ``/`` in the fstab of a root leads back to it."""
    line = root_line(candidate.filesystem)
    return line is not None and leads(line, candidate)


def root_line(filesystem: Filesystem) -> Line | None:
    """The entry for ``/`` in a root's own fstab."""
    try:
        content = read_bytes(filesystem, FSTAB, FSTAB_LIMIT) or b""
    except FilesystemError:
        return None
    return next((line for line in parse(content)[0] if line.target == "/"), None)


def has_modules(filesystem: Filesystem) -> bool:
    """Whether a kernel's modules are there, as on each machine that boots, and in no container."""
    for path in _MODULES:
        folder = resolve(filesystem, path)
        if folder is not None and folder.kind is Kind.DIRECTORY:
            walk = filesystem.walk(folder.path)
            next(walk)
            if next(walk, None) is not None:
                return True
    return False


def last_written(filesystem: Filesystem) -> int:
    """When a running system last wrote here: nanoseconds since 1970, 0 when nothing tells."""
    times = [0]
    for path in _WRITTEN:
        entry = resolve(filesystem, path)
        if entry is not None:
            times.append(entry.mtime_ns)
    journal = resolve(filesystem, _JOURNAL)
    if journal is not None and journal.kind is Kind.DIRECTORY:
        for entry, _ in zip(filesystem.walk(journal.path), range(_MOST_JOURNALS), strict=False):
            times.append(entry.mtime_ns)
    return max(times)


def _those(candidates: Sequence[Candidate], holds: Callable[[Candidate], bool]) -> list[Candidate]:
    """The candidates for which something holds; all where it holds for none."""
    return [candidate for candidate in candidates if holds(candidate)] or list(candidates)


def _started(candidates: Sequence[Candidate], kernel_roots: Iterable[Line], leads: Leads) -> list[Candidate]:
    for line in kernel_roots:
        named = [candidate for candidate in candidates if leads(line, candidate)]
        if named:
            return named
    return list(candidates)


def _is_root_by_type(candidate: Candidate) -> bool:
    return isinstance(candidate.place, Volume) and candidate.place.partition_type in _ROOT_TYPES


def _newest(candidates: Sequence[Candidate]) -> list[Candidate]:
    times = [last_written(candidate.filesystem) for candidate in candidates]
    newest = max(times)
    return [one for one, written in zip(candidates, times, strict=True) if newest - written < _APART_NS]
