"""Whom to trust as vCenter: a CA, one pinned certificate, or, when told so, anyone."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import ssl
from typing import Any

from orchestrator.errors import ConnectError, UsageError
from orchestrator.vsphere.settings import VCenterSettings, digest_name

_LOOK_SECONDS = 10.0


def context(settings: VCenterSettings) -> ssl.SSLContext:
    """The TLS context for ``settings``. Raises ``UsageError`` when a CA file cannot be read."""
    made = ssl.create_default_context() if not settings.ca_files else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for name in settings.ca_files:
        try:
            made.load_verify_locations(cafile=name)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"the CA file {name} cannot be used: {error}",
                "give PEM certificates with --ca-file or GOVC_TLS_CA_CERTS",
            ) from error
    if settings.insecure or settings.thumbprint:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


class Connection(http.client.HTTPSConnection):
    """Compares the certificate with the pinned thumbprint, if there is one, before a byte is sent.

    pyvmomi's own ``thumbprint`` argument switches verification off on the context that later connections
    share, so it checks only the first.
    """

    def __init__(self, *args: Any, thumbprint: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._thumbprint = thumbprint
        self._answer: http.client.HTTPResponse | None = None

    def connect(self) -> None:
        super().connect()
        if not self._thumbprint:
            return
        found = _digest(self.sock.getpeercert(True) or b"", self._thumbprint)
        if found != self._thumbprint:
            self.close()
            raise ConnectError(
                f"the certificate of {self.host}:{self.port} is not the pinned one: expected is"
                f" {colons(self._thumbprint)}, found {colons(found)}",
                "if vCenter's certificate was replaced, give the new --thumbprint; else someone is between",
            )

    def getresponse(self) -> http.client.HTTPResponse:
        self._answer = super().getresponse()
        return self._answer

    def close(self) -> None:
        """Close the answer, too: pyvmomi leaves one that it cannot use unread, and so the socket open."""
        super().close()
        if self._answer is not None:
            self._answer.close()


def sha1_thumbprint(settings: VCenterSettings) -> str:
    """The SHA-1 of vCenter's certificate as vSphere writes it, once the certificate is found to be trusted.

    Raises:
        ConnectError: it is not the pinned one.
        OSError: no connection, or not trusted.
    """
    connection = Connection(
        settings.host,
        settings.port,
        timeout=_LOOK_SECONDS,
        context=context(settings),
        thumbprint=settings.thumbprint,
    )
    with contextlib.closing(connection):
        connection.connect()
        certificate = connection.sock.getpeercert(True) or b""
    return colons(hashlib.sha1(certificate, usedforsecurity=False).hexdigest())


def untrusted(settings: VCenterSettings, error: ssl.SSLCertVerificationError) -> ConnectError:
    """What to say of a certificate that does not verify, with the thumbprint that it has."""
    try:
        pem = ssl.get_server_certificate((settings.host, settings.port), timeout=_LOOK_SECONDS)
        seen = colons(hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest())
    except (OSError, ValueError):
        seen = "(not readable)"
    return ConnectError(
        f"the certificate of {settings.host}:{settings.port} is not trusted: {error.verify_message};"
        f" its SHA-256 thumbprint is {seen}",
        "give the CA's certificate with --ca-file (GOVC_TLS_CA_CERTS), or --thumbprint with that value once"
        " you have compared it with vCenter's, or trust anyone with --insecure (GOVC_INSECURE)",
    )


def colons(digits: str) -> str:
    """A thumbprint as vSphere writes it: ``AB:CD:…``."""
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)).upper()


def _digest(certificate: bytes, like: str) -> str:
    return hashlib.new(digest_name(like), certificate).hexdigest()
