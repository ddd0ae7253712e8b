"""What stands in a token file: a session cookie or a SAML token, and how each logs in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from orchestrator.errors import ConnectError

COOKIE_NAME = "vmware_soap_session"
_HINT = "give what `govc session.login -l` prints, or a bearer token as of `govc session.login -issue`"
_COOKIE = re.compile(rf'(?:{COOKIE_NAME}=)?"?(?P<value>[\w.+/=-]+)"?(?:;.*)?', re.ASCII)
_HOLDER_OF_KEY = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key"
"""Source: SAML 2.0 profiles, section 3: the holder signs each request with a key of its own."""


class Kind(StrEnum):
    """How a token logs in."""

    COOKIE = "cookie"
    SAML = "saml"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is sent."""

    kind: Kind
    text: SecretStr


def read(path: str) -> Token:
    """The token in a file. Raises ``ConnectError``, whose text never holds the token."""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConnectError(f"the token file {path} cannot be read: {reason}", _HINT) from None
    if text.startswith("<"):
        return Token(Kind.SAML, SecretStr(_assertion(text, path)))
    if text.startswith("cst-"):
        raise ConnectError(f"{path} holds a clone ticket, which serves for one login only", _HINT)
    if text.startswith("eyJ"):
        raise ConnectError(f"{path} holds a JSON web token, which vCenter's SOAP API does not take", _HINT)
    found = _COOKIE.fullmatch(text)
    if found is None:
        raise ConnectError(f"{path} holds neither a session cookie nor a SAML token", _HINT)
    return Token(Kind.COOKIE, SecretStr(found["value"]))


def log_in(token: Token, manager: Any, stub: Any) -> Any:
    """A session of our own by the token, as vCenter describes it; ``manager`` is its SessionManager.

    By a cookie, that session is cloned: it stays, and is its owner's to end. Raises vCenter's fault.
    """
    match token.kind:
        case Kind.COOKIE:
            stub.cookie = f"{COOKIE_NAME}={token.text.get_secret_value()}"
            try:
                ticket = manager.AcquireCloneTicket()
            finally:
                stub.cookie = ""
            return manager.CloneSession(ticket)
        case Kind.SAML:
            stub.samlToken = token.text.get_secret_value()
            try:
                return manager.LoginByToken()
            finally:
                stub.samlToken = None


def _assertion(text: str, path: str) -> str:
    """The assertion without what cannot stand inside of another document."""
    assertion = re.sub(r"^<\?xml[^>]*\?>\s*", "", text)
    if not re.match(r"<(\w+:)?Assertion\b", assertion):
        raise ConnectError(f"{path} holds XML that is no SAML assertion", _HINT)
    if _HOLDER_OF_KEY in assertion:
        raise ConnectError(
            f"{path} holds a holder-of-key token, whose requests must be signed; a bearer token is taken",
            "issue it without a certificate: govc session.login -u USER:PASSWORD@HOST -issue",
        )
    return assertion
