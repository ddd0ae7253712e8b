"""How to reach one vCenter: the forms of ``GOVC_URL`` that people have, and what is trusted. No pyvmomi."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from orchestrator.errors import UsageError

PRODUCT = "orchestrate"
_DIGESTS = {40: "sha1", 64: "sha256"}


@dataclass(frozen=True, slots=True)
class VCenterSettings:
    """Address, credentials and trust. No ``repr`` shows the password. ``parse`` reads what people write."""

    host: str
    port: int
    path: str
    username: str
    password: SecretStr = field(repr=False)
    insecure: bool = False
    ca_files: tuple[str, ...] = ()
    """PEM files, beside none of the system's: who names a CA trusts that one alone."""
    thumbprint: str = ""
    """SHA-1 or SHA-256 of vCenter's certificate in hex, without colons; trusted in place of a CA."""
    call_timeout: float = 120.0
    """Seconds without a byte after which a call counts as lost."""
    token_file: str = ""
    """File with a session cookie or a SAML token, in place of name and password; read at each login."""

    @property
    def url(self) -> str:
        """Without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}{self.path}"

    @classmethod
    def parse(
        cls,
        url: str,
        username: str = "",
        password: SecretStr | None = None,
        *,
        insecure: bool = False,
        ca_file: str = "",
        thumbprint: str = "",
        call_timeout: float = 120.0,
        token_file: str = "",
    ) -> VCenterSettings:
        """Read ``host``, ``host:port``, ``https://user:password@host/sdk`` and the like, as ``govc`` does.

        ``username`` and ``password`` win over the URL's, and ``token_file`` over both. ``ca_file`` is a list
        separated as ``PATH`` is.
        Raises ``UsageError``, whose text never holds the URL's credentials.
        """
        try:
            parts = urlsplit(url.strip() if "://" in url else f"https://{url.strip()}")
            port = parts.port or 443
        except ValueError as error:
            raise UsageError("the vCenter URL cannot be read", _URL_HINT) from error
        if parts.query or parts.fragment or "@" in parts.path:
            # An unescaped ``/``, ``?`` or ``#`` in the password ends the host part too early.
            raise UsageError("the vCenter URL holds characters that must be escaped", _ESCAPE_HINT)
        if parts.scheme != "https":
            raise UsageError(
                f"the vCenter URL begins with {parts.scheme}://, vCenter speaks https", _URL_HINT
            )
        if not parts.hostname:
            raise UsageError("no vCenter host is given", _URL_HINT)
        user = username or unquote(parts.username or "")
        secret = password or SecretStr(unquote(parts.password or ""))
        if not token_file and (not user or not secret.get_secret_value()):
            missing = "password" if user else "user name"
            hint = "set GOVC_USERNAME and GOVC_PASSWORD, or give --token-file"
            raise UsageError(f"no {missing} for {parts.hostname}", hint)
        return cls(
            host=parts.hostname,
            port=port,
            path=parts.path if parts.path not in ("", "/") else "/sdk",
            username=user,
            password=secret,
            insecure=insecure,
            ca_files=tuple(name for name in ca_file.split(os.pathsep) if name),
            thumbprint=_thumbprint(thumbprint),
            call_timeout=call_timeout,
            token_file=token_file,
        )


_ESCAPE_HINT = (
    "give user name and password by GOVC_USERNAME and GOVC_PASSWORD, or percent-encode them in the URL"
)
_URL_HINT = "give a host name, or https://HOST:PORT/sdk, with --vcenter or GOVC_URL"


_PREFIX = re.compile(r"^\s*sha-?(1|256)\s*(fingerprint)?\s*[:=]", re.IGNORECASE)
"""What ``openssl x509 -fingerprint`` and vSphere's pages write before the digits."""


def _thumbprint(text: str) -> str:
    digits = re.sub(r"[:\s-]", "", _PREFIX.sub("", text)).lower()
    if digits and (len(digits) not in _DIGESTS or not re.fullmatch("[0-9a-f]+", digits)):
        raise UsageError(
            f"{text!r} is no certificate thumbprint", "give the SHA-256 or SHA-1 in hex, such as AB:CD:…"
        )
    return digits


def digest_name(thumbprint: str) -> str:
    """``hashlib``'s name of the digest that a normalised thumbprint is."""
    return _DIGESTS[len(thumbprint)]
