"""Whether a file's content is a secret, or holds one: told by its form, and never repeated.

Sources: RFC 7468 (PEM), PROTOCOL.key of OpenSSH, RFC 7292 (PKCS #12), RFC 5208 (PKCS #8), MIT krb5 "Keytab
file format", manual pages and documentation of the programs whose settings are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from converters.guest.secrets.values import SecretKind

_LONGEST_LINE = 4096
_MOST_LINES = 20_000
MOST_NAMES = 20
"""Settings of one file that are told."""

_KEY_MARKS = (
    "PRIVATE KEY-----",
    "PRIVATE KEY BLOCK-----",
    "PuTTY-User-Key-File-",
    "-----BEGIN OpenVPN Static key V1-----",
)
_HINTS = (
    *("passw", "passphrase", "secret", "token", "apikey", "api_key", "api-key", "requirepass", "masterauth"),
    *("rootpw", "bindpw", "access_key", "accesskey", "private_key", "privatekey", "psk", "://", "pass="),
)
"""A line without any of these, in small letters, holds no setting that is known."""
_ENDING = (
    r"(?:password|passwd|passphrase|secret|token|api[_-]?key|(?:secret|access|auth|private)[_-]?key|psk"
    r"|bindpw|rootpw|requirepass|masterauth)"
)
_VALUE = r"[\"']?(?P<value>[^\s\"'#;,][^\"'\n]{0,500})"
_SETTING = re.compile(
    rf"[ \t]*(?:export[ \t]+|set[ \t]+|-[ \t]+)?[\"'$]?(?P<name>[\w.\-\[\]'\">]{{0,80}}?{_ENDING})"
    rf"[\"'\]]{{0,3}}[ \t]*(?:=>|:=|[=:])[ \t]*{_VALUE}",
    re.IGNORECASE,
)
_DIRECTIVE = re.compile(
    rf"[ \t]*(?P<name>requirepass|masterauth|bindpw|rootbindpw|rootpw|secret)[ \t]+{_VALUE}", re.IGNORECASE
)
"""Settings that blanks divide from their values: Redis, LDAP clients, slapd, BIND and ISC DHCP."""
_CONSTANT = re.compile(
    r"define\(\s{0,5}['\"](?P<name>[A-Za-z_]{0,60}(?:PASSWORD|PASSWD|SECRET|TOKEN|_KEY|_SALT))['\"]\s{0,5},"
    r"\s{0,5}['\"](?P<value>[^'\"\n]{1,200})"
)
_ATTRIBUTE = re.compile(
    r"\b(?P<name>[A-Za-z]{0,40}(?:[Pp]assword|[Pp]asswd|[a-z]Pass|[Ss]ecret))\s{0,5}=\s{0,5}"
    r"[\"'](?P<value>[^\"'\n]{1,200})"
)
_URL = re.compile(r"\b[a-z][a-z0-9+.\-]{1,20}://[^\s:/@'\"<>]{1,100}:(?P<value>[^\s@/'\"<>]{1,200})@")
_NOTHING = frozenset(
    (
        "none",
        "null",
        "nil",
        "no",
        "yes",
        "true",
        "false",
        "on",
        "off",
        "0",
        "1",
        "x",
        "*",
        "!",
        "prompt",
        "ask",
    )
)
_ELSEWHERE = ("$", "%(", "{{", "<", "/", "file:", "env:", "ENC[", "!vault", "@@")
"""How values begin that say where the secret is, or that somebody fills in."""
_TOKENS = ("token", "key")

VARIABLE = re.compile(rf"(?:[A-Z0-9_]{{0,80}}?(?:{_ENDING}|PWD|CREDENTIALS))", re.IGNORECASE)
"""Names of environment variables that hold secrets; a shell's own ``PWD`` is none."""


def key_kind(head: bytes) -> SecretKind | None:
    """What a file that begins so is, if it is a key or a store of keys."""
    if head[:4] in (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce"):
        return SecretKind.KEYSTORE
    if head[:2] in (b"\x05\x01", b"\x05\x02") and len(head) > 20:
        return SecretKind.KEYTAB
    if head[:1] == b"\x30":
        if b"\x02\x01\x03\x30" in head[:12]:
            return SecretKind.KEYSTORE
        if b"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48" in head[:20]:
            return SecretKind.PRIVATE_KEY
    return None


def is_private_key(text: str) -> bool:
    """Whether a text holds a private key in one of the forms that are text."""
    return any(mark in text for mark in _KEY_MARKS)


def settings(text: str) -> Iterator[tuple[SecretKind, str]]:
    """The settings of a configuration file that hold a secret, by name, each once."""
    found: dict[tuple[SecretKind, str], None] = {}
    lowered = text.lower()
    if not any(hint in lowered for hint in _HINTS):
        return
    for number, line in enumerate(text.splitlines()):
        if number >= _MOST_LINES or len(found) >= MOST_NAMES:
            break
        short = line[:_LONGEST_LINE]
        small = short.lower()
        if any(hint in small for hint in _HINTS) and not short.lstrip().startswith(("#", ";", "//")):
            found.update(dict.fromkeys(_of_line(short)))
    yield from found


def _of_line(line: str) -> Iterator[tuple[SecretKind, str]]:
    for match in (
        _SETTING.match(line),
        _DIRECTIVE.match(line),
        _CONSTANT.search(line),
        _ATTRIBUTE.search(line),
    ):
        if match is not None and is_value(match["value"]):
            name = re.split(r"[^\w.\-]+", match["name"].strip("'\"[]>-"))[-1]
            is_token = name.lower().endswith(_TOKENS)
            yield (SecretKind.TOKEN if is_token else SecretKind.PASSWORD), name
            return
    if (url := _URL.search(line)) is not None and is_value(url["value"]):
        yield SecretKind.CONNECTION_URL, ""


def is_value(written: str) -> bool:
    """Whether a value is a secret itself, and not a word for none or a place where it is."""
    value = written.strip().rstrip(";,").strip()
    return bool(value) and value.lower() not in _NOTHING and not value.startswith(_ELSEWHERE)


def variable_holds_secret(name: str, value: str) -> bool:
    """Whether an environment variable holds a secret: by its name, or a URL with a password in it."""
    named = VARIABLE.fullmatch(name) is not None and name not in ("PWD", "OLDPWD")
    url = _URL.search(value[:_LONGEST_LINE])
    return (named and is_value(value)) or (url is not None and is_value(url["value"]))


def has_hashes(text: str) -> bool:
    """Whether a file of shadow(5) holds the hash of any password."""
    fields = (line.split(":", 2)[1:2] for line in text.splitlines())
    return any(field and len(field[0]) >= 13 and field[0][0] not in "!*" for field in fields)
