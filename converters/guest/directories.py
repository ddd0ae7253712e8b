"""Directories below /run that a guest makes at each boot, which its daemons expect and an image lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable

from converters.guest.accounts import Accounts
from converters.guest.facts import Directory
from converters.guest.files import GuestFiles, printable
from converters.guest.plain_paths import plain_path
from converters.guest.services.words import split_words

_TMPFILES = ("/etc/tmpfiles.d", "/run/tmpfiles.d", "/usr/local/lib/tmpfiles.d", "/usr/lib/tmpfiles.d")
_LOCKS_MODE = 0o1777
"""/run/lock is open to every daemon; the boot makes it without a line in a file."""
_VOLATILE = re.compile(r"/(?:var/)?run/")
_MACHINE_ONLY = (
    "systemd",
    "x11",
    "static-nodes",
    "credstore",
    "provision",
    "home",
    "journal-nocow",
)
"""tmpfiles.d files of systemd itself: they are for the machine."""


def tmpfiles_directories(files: GuestFiles, accounts: Accounts) -> tuple[Directory, ...]:
    """What ``d`` and ``D`` lines of tmpfiles.d(5) make below /run; of files of one name the first counts."""
    chosen: dict[str, str] = {}
    for folder in _TMPFILES:
        for name in files.names(folder):
            if name.endswith(".conf") and not name.startswith(_MACHINE_ONLY):
                chosen.setdefault(name, f"{folder}/{name}")
    found = [
        directory
        for _, path in sorted(chosen.items())
        for line in (files.text(path) or "").splitlines()
        if (directory := _from_line(line, path, accounts))
    ]
    return tuple(found)


def _from_line(line: str, path: str, accounts: Accounts) -> Directory | None:
    fields = [*split_words(line), "-", "-", "-", "-"]
    if line.lstrip().startswith("#") or fields[0].rstrip("!-+=~^$") not in ("d", "D"):
        return None
    name, mode, user, group = plain_path(fields[1]), *fields[2:5]
    uid, gid = accounts.uid(user) if user != "-" else 0, accounts.gid(group) if group != "-" else 0
    if not _VOLATILE.match(name) or "%" in name or uid is None or gid is None:
        return None
    octal = mode.lstrip("~:")
    return Directory(
        _below_run(name), int(octal, 8) if re.fullmatch("[0-7]+", octal) else 0o755, uid, gid, printable(path)
    )


def merged(directories: Iterable[Directory]) -> tuple[Directory, ...]:
    """One entry a path, the first said, with the parents that nobody names, parents before children.

    They become entries of a layer: a path that is not plain is none.
    """
    found: dict[str, Directory] = {}
    for directory in directories:
        if plain_path(directory.path) != directory.path:
            continue
        found.setdefault(directory.path, directory)
    for directory in list(found.values()):
        above = directory.path.rpartition("/")[0]
        while above not in ("", "/run"):
            mode = _LOCKS_MODE if above == "/run/lock" else 0o755
            found.setdefault(above, Directory(above, mode, 0, 0, directory.source))
            above = above.rpartition("/")[0]
    return tuple(found[path] for path in sorted(found))


def _below_run(path: str) -> str:
    return "/" + path.lstrip("/").removeprefix("var/")
