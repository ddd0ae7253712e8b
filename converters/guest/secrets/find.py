"""Finds a guest's secrets where they usually are: a few thousand names and small files, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from converters.filesystems.base import Entry, Kind
from converters.guest.accounts import Accounts
from converters.guest.facts import Service
from converters.guest.files import GuestFiles, printable
from converters.guest.secrets.content import (
    has_hashes,
    is_private_key,
    key_kind,
    settings,
    variable_holds_secret,
)
from converters.guest.secrets.places import (
    APPLICATION_FILES,
    APPLICATIONS,
    HOME,
    HOME_NEEDS,
    KEY_ENDINGS,
    NOT_BELOW,
    NOT_IN_ETC,
    SYSTEM,
)
from converters.guest.secrets.users import Users
from converters.guest.secrets.values import Secret, SecretKind

_LARGEST = 256 << 10
"""Bytes of the largest file that is looked into."""
_MOST_FILES = 3000
_MOST_BYTES = 16 << 20
_MOST_ENTRIES = 5000
"""Names that are looked at below the folders of applications, and below /etc."""
_MOST_HOMES = 200
_MOST_SECRETS = 1000
_HOST_KEY = re.compile(r"/etc/(?:ssh/ssh_host_\w{1,40}_key|dropbear/dropbear_\w{1,40}_host_key)")
_KEY_PATH = re.compile(r"/[\w./@+-]{1,400}\.(?:key|pem|p12|pfx|jks|keystore|keytab)\b")


def find_secrets(files: GuestFiles, accounts: Accounts, services: Sequence[Service]) -> tuple[Secret, ...]:
    """The secrets of a guest by path and name, each with its services; ``files`` notes what was left out."""
    return _Search(files, accounts, services).found()


class _Search:
    """One look through a guest."""

    def __init__(self, files: GuestFiles, accounts: Accounts, services: Sequence[Service]) -> None:
        self._files, self._accounts, self._services = files, accounts, services
        self._users = Users(services, accounts)
        self._secrets: dict[tuple[str, SecretKind, str], Secret] = {}
        self._looked: set[bytes] = set()
        self._bytes = 0
        self._is_over = False

    def found(self) -> tuple[Secret, ...]:
        self._variables()
        self._system()
        self._homes()
        self._configuration()
        self._applications()
        if self._is_over:
            self._files.note(
                "Not every file was looked through for secrets: there are too many in the usual places."
            )
        return tuple(self._secrets[key] for key in sorted(self._secrets))

    def _variables(self) -> None:
        """Variables of services that are secrets themselves, and the files that set them."""
        for service in self._services:
            for name, value in service.environment:
                if variable_holds_secret(name, value):
                    self._add(
                        SecretKind.VARIABLE,
                        service.unit,
                        self._files.entry(service.unit),
                        name,
                        (service.name,),
                    )

    def _system(self) -> None:
        for path, kind in SYSTEM.items():
            entry = self._files.entry(path)
            if kind is SecretKind.LOGIN_HASHES and path.startswith("/etc/"):
                if entry is not None and has_hashes(self._text(path, entry)):
                    self._add(kind, path, entry)
            elif entry is not None and entry.size:
                self._add(kind, path, entry)

    def _homes(self) -> None:
        homes = sorted({user.home for user in self._accounts.users.values() if user.home.count("/") >= 1})
        for home in homes[:_MOST_HOMES]:
            if home.strip("/") in ("", "bin", "sbin", "dev", "nonexistent") or not self._files.is_directory(
                home
            ):
                continue
            for name, kind in HOME.items():
                path = f"{home.rstrip('/')}/{name}"
                entry = self._files.entry(path)
                if entry is None or entry.kind is not Kind.FILE or not entry.size:
                    continue
                words = HOME_NEEDS.get(name, ())
                if not words or any(word in self._text(path, entry) for word in words):
                    self._add(kind, path, entry)
            for name, entry in self._files.first_below(f"{home.rstrip('/')}/.ssh", _MOST_HOMES).items():
                self._look(f"{home.rstrip('/')}/.ssh/{name}", entry)

    def _configuration(self) -> None:
        """Everything small in /etc but what is known to hold none, and the keys that it names elsewhere."""
        named: dict[str, None] = {}
        for name, entry in self._below("/etc"):
            path = f"/etc/{name}"
            if name.partition("/")[0] in NOT_IN_ETC or path.startswith(NOT_BELOW) or path in SYSTEM:
                continue
            if _HOST_KEY.fullmatch(path):
                self._add(SecretKind.SSH_HOST_KEY, path, entry)
                continue
            text = self._look(path, entry)
            if any(ending in text for ending in KEY_ENDINGS):
                for found in _KEY_PATH.findall(text):
                    named[found] = None
                    self._users.named(found, path)
        for service in self._services:
            named.update(dict.fromkeys(_KEY_PATH.findall(" ".join(service.command))))
        for path in list(named)[:_MOST_HOMES]:
            if (there := self._files.entry(path)) is not None:
                self._look(path, there)

    def _applications(self) -> None:
        places = [*APPLICATIONS, *(service.working_directory for service in self._services)]
        for place in dict.fromkeys(places):
            if place.count("/") < 1 or place.rstrip("/") in (
                "",
                "/etc",
                "/usr",
                "/var",
                "/var/lib",
                "/root",
                "/run",
            ):
                continue
            for name, entry in self._below(place):
                base = name.rpartition("/")[2]
                if base in APPLICATION_FILES or base.endswith(KEY_ENDINGS) or base.startswith(".env"):
                    self._look(f"{place.rstrip('/')}/{name}", entry)

    def _below(self, place: str) -> Iterator[tuple[str, Entry]]:
        entries = self._files.first_below(place, _MOST_ENTRIES)
        self._is_over = self._is_over or len(entries) == _MOST_ENTRIES
        return iter(entries.items())

    def _look(self, path: str, entry: Entry) -> str:
        """Look into a file; gives its text, so that other files it names can be looked for."""
        if entry.kind is not Kind.FILE or not 0 < entry.size <= _LARGEST or entry.path in self._looked:
            return ""
        if len(self._looked) >= _MOST_FILES or self._bytes + entry.size > _MOST_BYTES:
            self._is_over = True
            return ""
        if (kind := key_kind(self._files.head(path))) is not None:
            self._looked.add(entry.path)
            self._add(kind, path, entry)
            return ""
        text = self._text(path, entry)
        if is_private_key(text):
            self._add(SecretKind.PRIVATE_KEY, path, entry)
        elif path.endswith("htpasswd"):
            self._add(SecretKind.PASSWORD_FILE, path, entry)
        else:
            for setting, name in settings(text):
                self._add(setting, path, entry, name)
        return text

    def _text(self, path: str, entry: Entry) -> str:
        if entry.size > _LARGEST:
            return ""
        self._looked.add(entry.path)
        self._bytes += entry.size
        return self._files.text(path) or ""

    def _add(
        self,
        kind: SecretKind,
        path: str,
        entry: Entry | None,
        name: str = "",
        services: Iterable[str] = (),
    ) -> None:
        if len(self._secrets) >= _MOST_SECRETS:
            self._is_over = True
            return
        # Where the file is, not a link to it: that is what a layer holds.
        real = path if entry is None else "/" + entry.path.decode("utf-8", "surrogateescape")
        shown = printable(real)
        found = Secret(
            kind=kind,
            path=shown,
            name=printable(name),
            services=tuple(sorted({*services, *self._users.of(path), *self._users.of(real)})),
            uid=entry.uid if entry else 0,
            gid=entry.gid if entry else 0,
            mode=entry.mode if entry else 0,
            size=entry.size if entry else 0,
        )
        self._secrets.setdefault((shown, kind, found.name), found)
