"""``RuntimeDirectory=``: what systemd makes below /run before it starts a service (systemd.exec(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from converters.guest.accounts import Accounts
from converters.guest.facts import Directory
from converters.guest.files import printable
from converters.guest.plain_paths import plain_path
from converters.guest.services.unit_tree import Unit
from converters.guest.services.words import split_words


def runtime_directories(units: Iterable[Unit], accounts: Accounts) -> tuple[Directory, ...]:
    """The directories of started services, each owned by the service's user."""
    return tuple(directory for unit in units for directory in _of_unit(unit, accounts))


def _of_unit(unit: Unit, accounts: Accounts) -> Iterator[Directory]:
    user = unit.settings.last("Service", "User", "root")
    group = unit.settings.last("Service", "Group")
    uid = accounts.uid(user)
    gid = accounts.gid(group) if group else accounts.primary_gid(user)
    written = unit.settings.last("Service", "RuntimeDirectoryMode")
    mode = int(written, 8) if re.fullmatch("[0-7]{1,4}", written) else 0o755
    for value in unit.settings.all("Service", "RuntimeDirectory"):
        for word in split_words(value):
            # systemd's own are for the machine; a specifier in a name is rare enough to be left alone.
            path = plain_path(f"/run/{word.partition(':')[0]}")
            if "%" in word or word.startswith("systemd") or path in ("", "/run"):
                continue
            if uid is not None and gid is not None:
                yield Directory(path, mode, uid, gid, printable(unit.path))
