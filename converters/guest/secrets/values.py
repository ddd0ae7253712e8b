"""Where a guest's secrets are, and what becomes of them: values, never a secret's own text."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class SecretKind(StrEnum):
    """What a secret is for."""

    PRIVATE_KEY = "private-key"
    """PEM, OpenSSH's own form, PuTTY's."""
    SSH_HOST_KEY = "ssh-host-key"
    KEYSTORE = "keystore"
    """PKCS #12, JKS: keys behind a password."""
    KEYTAB = "keytab"
    """Kerberos keys of services (MIT krb5, "Keytab file format")."""
    PASSWORD = "password"
    """In the configuration of a daemon, or of an application."""
    PASSWORD_FILE = "password-file"
    """A file that holds nothing else: .pgpass, .netrc, htpasswd."""
    LOGIN_HASHES = "login-hashes"
    """shadow(5)."""
    CONNECTION_URL = "connection-url"
    """A URL with a user's password."""
    TOKEN = "token"
    """What an interface of a program takes for a log-in."""
    CLOUD_CREDENTIALS = "cloud-credentials"
    VARIABLE = "variable"
    """An environment variable of a service, by its name."""


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret of a guest."""

    kind: SecretKind
    path: str
    """The file that holds it; for a variable, the unit or file that sets it."""
    name: str = ""
    """Of the setting or variable, where it is one of several things in the file."""
    services: tuple[str, ...] = ()
    """Who uses it, as far as is known."""
    uid: int = 0
    gid: int = 0
    mode: int = 0
    """Permission bits of the file."""
    size: int = 0
    """Bytes of the file."""


@dataclass(frozen=True, slots=True)
class SecretMount:
    """A secret that a container gets from outside: the init puts it where it was, with its owner and mode."""

    name: str
    """Unique in the machine, of lower-case letters, digits, dots and dashes: a file's name, a key's."""
    path: str
    """Where the service expects it; empty for variables."""
    source: str
    """Where the container has to have it, readable for root alone."""


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file that is moved out of the image."""

    name: str
    """As in ``SecretMount``."""
    path: str
    uid: int
    gid: int
    mode: int
    services: tuple[str, ...] = ()
    """Who is known to use it."""


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret outside the image, on its way into a file beside the deployment files."""

    name: str
    """As in ``SecretMount``."""
    content: bytes = field(repr=False)
    """Never shown: no log and no error holds it."""
