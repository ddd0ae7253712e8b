"""Users and groups of a guest (passwd(5), group(5))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from converters.guest.files import GuestFiles


@dataclass(frozen=True, slots=True)
class User:
    """A line of /etc/passwd."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str


class Accounts:
    """Who is who on a guest, by its local files; directory services are not asked."""

    def __init__(self, files: GuestFiles) -> None:
        self.users: Mapping[str, User] = dict(_users(files))
        self._groups = dict(_groups(files))

    def uid(self, user: str) -> int | None:
        """The number of a user given by name or number."""
        if user.isdecimal():
            return int(user)
        return self.users[user].uid if user in self.users else None

    def gid(self, group: str) -> int | None:
        """The number of a group given by name or number."""
        return int(group) if group.isdecimal() else self._groups.get(group)

    def primary_gid(self, user: str) -> int | None:
        """The number of a user's own group, the user given by name or number."""
        found = self._find(user)
        return found.gid if found else None

    def home(self, user: str) -> str:
        """A user's home, ``/`` when it has none."""
        found = self._find(user)
        return found.home if found and found.home else "/"

    def _find(self, user: str) -> User | None:
        return self.users.get(user) or next(
            (one for one in self.users.values() if str(one.uid) == user), None
        )


def _users(files: GuestFiles) -> list[tuple[str, User]]:
    users = []
    for fields in _lines(files, "/etc/passwd", 7):
        name, _, uid, gid, _, home, shell = fields
        if uid.isdecimal() and gid.isdecimal():
            users.append((name, User(name, int(uid), int(gid), home, shell)))
        else:
            files.note(f"/etc/passwd: user {name} without a number was passed over.")
    return users


def _groups(files: GuestFiles) -> list[tuple[str, int]]:
    return [(name, int(gid)) for name, _, gid, _ in _lines(files, "/etc/group", 4) if gid.isdecimal()]


def _lines(files: GuestFiles, path: str, count: int) -> list[list[str]]:
    """Fields of the lines that are accounts; lines of NIS (``+@netgroup``) stand for another machine's."""
    lines = []
    for line in (files.text(path) or "").splitlines():
        if line.startswith(("+", "-")):
            files.note(f"{path} names accounts of a directory service ({line.split(':')[0]}): passed over.")
        elif line.count(":") == count - 1:
            lines.append(line.split(":"))
    return lines
