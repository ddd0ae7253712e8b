"""What becomes of each secret: it stays in the image, or is moved out of it. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

from converters.guest.secrets.values import HeldFile, Secret, SecretKind
from converters.hardening import Hardening, Secrets

SOURCES = "/.orchestrate/secrets"
"""Where containers have the secrets that they are given, for the init to put in their places."""
LARGEST = 1 << 20
"""Bytes of a file that can be moved out: a Secret of Kubernetes holds no more."""

_LONGEST_NAME = 40
_MOST_TOLD = 8
_HOMES = ("/root/", "/home/")
_WORDS: Mapping[SecretKind, str] = {
    SecretKind.PRIVATE_KEY: "Private keys",
    SecretKind.SSH_HOST_KEY: "SSH host keys",
    SecretKind.KEYSTORE: "Key stores",
    SecretKind.KEYTAB: "Kerberos keytabs",
    SecretKind.PASSWORD: "Passwords in configuration",
    SecretKind.PASSWORD_FILE: "Password files",
    SecretKind.LOGIN_HASHES: "Hashes of log-in passwords",
    SecretKind.CONNECTION_URL: "URLs with passwords",
    SecretKind.TOKEN: "Tokens",
    SecretKind.CLOUD_CREDENTIALS: "Cloud credentials",
    SecretKind.VARIABLE: "Variables of services",
}


def held_files(secrets: Iterable[Secret], hardening: Hardening) -> tuple[HeldFile, ...]:
    """The files that are moved out of the image, by path; none unless that was asked for."""
    if hardening.secrets is not Secrets.EXTRACT:
        return ()
    found: dict[str, HeldFile] = {}
    for secret in secrets:
        if not is_chosen(secret, hardening) or not _can_be_held(secret):
            continue
        services = found[secret.path].services if secret.path in found else ()
        found[secret.path] = HeldFile(
            file_name(secret.path),
            secret.path,
            secret.uid,
            secret.gid,
            secret.mode,
            tuple(sorted({*services, *secret.services})),
        )
    return tuple(found[path] for path in sorted(found))


def is_chosen(secret: Secret, hardening: Hardening) -> bool:
    """Whether a secret's kind or path is among those to be moved out."""
    return hardening.secrets is Secrets.EXTRACT and (
        not hardening.extract
        or any(one == secret.kind or fnmatchcase(secret.path, one) for one in hardening.extract)
    )


def _can_be_held(secret: Secret) -> bool:
    """Whether the file can be named exactly, and fits where secrets are kept."""
    return 0 < secret.size <= LARGEST and "\\x" not in secret.path and ":" not in secret.path


def is_for(held: HeldFile, service: str) -> bool:
    """Whether a service gets a file back: those that are known to use it, else all, as on the machine.

    What lies in a person's home is nobody's unless somebody is known to use it.
    """
    return service in held.services if held.services else not held.path.startswith(_HOMES)


def file_name(text: str) -> str:
    """A name for a secret that is a file's name and a key of a Secret alike, unique by a digest."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[-_LONGEST_NAME:].strip("-")
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".lstrip("-")


def told(secrets: Iterable[Secret], held: Iterable[HeldFile], hardening: Hardening) -> Iterator[str]:
    """What a person should know, a sentence for each kind: where they are, and what became of them."""
    moved = {one.path for one in held}
    grouped: dict[tuple[SecretKind, bool], dict[str, None]] = {}
    for secret in secrets:
        if secret.kind is SecretKind.SSH_HOST_KEY and secret.path not in moved:
            continue  # a clean-up rule has them, and the report's table of removals
        is_moved = secret.path in moved or (
            secret.kind is SecretKind.VARIABLE and is_chosen(secret, hardening)
        )
        users = f" ({', '.join(secret.services)})" if secret.services else ""
        name = f" {secret.name}" if secret.name else ""
        grouped.setdefault((secret.kind, is_moved), {})[f"{secret.path}{name}{users}"] = None
    for (kind, is_moved), places in sorted(grouped.items()):
        what = "were moved out of the image" if is_moved else "are in the image"
        listed = list(places)
        more = f", and {len(listed) - _MOST_TOLD} more" if len(listed) > _MOST_TOLD else ""
        yield f"{_WORDS[kind]} {what}: {', '.join(listed[:_MOST_TOLD])}{more}."
    if any(not is_moved for _, is_moved in grouped) and hardening.secrets is Secrets.REPORT:
        yield "Whoever can pull the image can read them; `--secrets extract` moves them out."
