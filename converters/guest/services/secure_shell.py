"""Whether a guest's SSH daemon does more than let people log in (sshd_config(5), sshd(8)).

Somebody's log-in has `docker exec` in a container's place; file drops, repositories and tunnels have nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from converters.guest.accounts import Accounts, User
from converters.guest.files import GuestFiles, printable

_CONFIGURATION = "/etc/ssh/sshd_config"
_MOST_FILES = 64
_MOST_LINES = 20_000
_MOST_USERS = 200
_MOST_REASONS = 8
_FIRST_PERSON = 500
"""The lowest number of a person's account on old distributions; newer ones begin at 1000."""

_SHELLS: Mapping[str, str] = {
    "git-shell": "a Git repository",
    "gitolite-shell": "Git repositories",
    "gitlab-shell": "Git repositories",
    "svnserve": "a Subversion repository",
    "rssh": "restricted file transfer",
    "scponly": "restricted file transfer",
    "scponlyc": "restricted file transfer",
    "sftp-server": "file transfer",
    "mysecureshell": "restricted file transfer",
    "rrsync": "restricted rsync",
    "lshell": "a restricted shell",
    "rbash": "a restricted shell",
}
"""Shells that are no log-in, and what they serve."""
_ONLY_LOGIN = frozenset(
    {
        *("passwordauthentication", "pubkeyauthentication", "permitrootlogin", "authenticationmethods"),
        *("kbdinteractiveauthentication", "challengeresponseauthentication", "gssapiauthentication"),
        *(
            "permitemptypasswords",
            "maxauthtries",
            "maxsessions",
            "banner",
            "loglevel",
            "allowusers",
            "denyusers",
        ),
        *(
            "allowgroups",
            "denygroups",
            "permittty",
            "authorizedkeysfile",
            "rekeylimit",
            "setenv",
            "acceptenv",
        ),
        *("clientaliveinterval", "clientalivecountmax", "trustedusercakeys", "authorizedprincipalsfile"),
        *("hostbasedauthentication", "kerberosauthentication", "ipqos", "pubkeyacceptedkeytypes"),
        "pubkeyacceptedalgorithms",
    }
)
"""Settings of a ``Match`` block that tell how somebody logs in, and nothing else."""
_COMMAND = re.compile(r'(?:^|,)(?:command="([^"\n]{0,200})|(tunnel|permitlisten|permitopen)=)', re.MULTILINE)
_BY_PERSONS = re.compile(r"(?:\S*/)?(?:bash|sh|zsh|true|false|nologin|echo)\b")
_TERMINAL = re.compile(r"^Terminal\s*=\s*true\s*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Setting:
    key: str
    """In lower case."""
    value: str
    source: str
    match: str = ""
    """The condition of the ``Match`` block it stands in."""


@dataclass(slots=True)
class _Reading:
    """How much of a configuration was read: ``Include`` may go round."""

    files: int = 0
    lines: int = 0
    seen: set[str] = field(default_factory=set)
    """Files and patterns."""


def beyond_logins(files: GuestFiles, accounts: Accounts) -> tuple[str, ...]:
    """What the daemon serves beside log-ins, each with the file that says so; nothing: log-ins only."""
    settings = list(_settings(files, _CONFIGURATION, _Reading(), "", 0))
    reasons = dict.fromkeys((*_configured(settings), *_windows(files, settings), *_users(files, accounts)))
    return tuple(islice(reasons, _MOST_REASONS))


def _settings(files: GuestFiles, path: str, reading: _Reading, match: str, depth: int) -> Iterator[_Setting]:
    if path in reading.seen or reading.files >= _MOST_FILES or depth > 8:
        return
    reading.seen.add(path)
    reading.files += 1
    for line in (files.text(path) or "").splitlines():
        reading.lines += 1
        if reading.lines > _MOST_LINES:
            return
        key, value = _key_and_value(line)
        if key == "match":
            match = "" if value.lower() == "all" else value
        elif key == "include":
            for pattern in value.split():
                if pattern in reading.seen:
                    continue
                reading.seen.add(pattern)
                for included in _included(files, pattern.strip('"')):
                    yield from _settings(files, included, reading, match, depth + 1)
        elif key:
            yield _Setting(key, value, path, match)


def _key_and_value(line: str) -> tuple[str, str]:
    """``Key value``, ``Key=value`` and quoted values are the same."""
    line = line.strip()
    if not line or line.startswith("#"):
        return "", ""
    key, _, value = line.replace("=", " ", 1).partition(" ")
    return key.strip().lower(), " ".join(value.split()).strip('"')


def _included(files: GuestFiles, pattern: str) -> list[str]:
    path = pattern if pattern.startswith("/") else f"/etc/ssh/{pattern}"
    folder, _, name = path.rpartition("/")
    if "*" not in name:
        return [path]
    before, _, after = name.partition("*")
    return [
        f"{folder}/{found}"
        for found in files.names(folder)[:_MOST_FILES]
        if found.startswith(before) and found.endswith(after.rpartition("*")[2])
    ]


def _configured(settings: list[_Setting]) -> Iterator[str]:
    for setting in settings:
        where = f"for {setting.match}, {setting.source}" if setting.match else setting.source
        value = setting.value.lower()
        match setting.key:
            case "chrootdirectory" if value != "none":
                yield f"file transfer in a directory of its own, {setting.value} ({where})"
            case "forcecommand" if "internal-sftp" in value or "sftp-server" in value:
                yield f"file transfer only ({where})"
            case "forcecommand" if value != "none":
                yield f"a fixed command, `{setting.value}` ({where})"
            case "permittunnel" if value not in ("no", ""):
                yield f"tunnels between networks ({where})"
            case "gatewayports" if value in ("yes", "clientspecified"):
                yield f"ports that clients open for everybody ({where})"
            case "subsystem" if not value.startswith("sftp "):
                yield f"the subsystem {setting.value} ({where})"
            case _ if setting.match and setting.key not in _ONLY_LOGIN and value not in ("no", "none"):
                yield f"a rule of its own, {setting.key} {setting.value} ({where})"
            case _:
                pass


def _windows(files: GuestFiles, settings: list[_Setting]) -> Iterator[str]:
    """X11 over SSH counts where there is something to show: distributions switch it on for everybody."""
    on = next((one for one in settings if one.key == "x11forwarding" and not one.match), None)
    if on is None or on.value.lower() != "yes" or not files.is_file("/usr/bin/xauth"):
        return
    folder = "/usr/share/applications"
    for name, _ in files.some_below(folder, 100):
        text = files.text(f"{folder}/{name}") if name.endswith(".desktop") else None
        if text is not None and not _TERMINAL.search(text):
            yield f"programs with windows over X11 ({on.source}, {folder}/{printable(name)})"
            return


def _users(files: GuestFiles, accounts: Accounts) -> Iterator[str]:
    for user in list(accounts.users.values())[:_MOST_USERS]:
        shell = user.shell.rpartition("/")[2]
        if shell in _SHELLS:
            yield f"{_SHELLS[shell]} for the user {printable(user.name)} (/etc/passwd)"
        if (user.uid == 0 or user.uid >= _FIRST_PERSON or shell == "git-shell") and user.home.startswith("/"):
            yield from _keys(files, user)


def _keys(files: GuestFiles, user: User) -> Iterator[str]:
    """Keys that run one command, or open tunnels."""
    path = f"{user.home.rstrip('/')}/.ssh/authorized_keys"
    for line in (files.text(path) or "").splitlines()[:_MOST_LINES]:
        found = None if line.lstrip().startswith("#") else _COMMAND.search(line)
        if found is None or (found[1] and _BY_PERSONS.match(found[1])):
            continue
        what = f"a key that runs `{found[1]}`" if found[1] is not None else f"a key for tunnels ({found[2]})"
        yield f"{what} ({printable(path)})"
        return
