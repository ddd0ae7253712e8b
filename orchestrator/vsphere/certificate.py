"""Until when a server's certificate is valid, also where nothing verifies it."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Any

_LOOK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Validity:
    """A certificate's end, as far as it can be told."""

    until: float | None
    """Seconds since 1970; None: it does not say, or it is over."""
    problem: str = ""
    """Why it is not valid now, in OpenSSL's words: expired, not yet valid."""


def validity(host: str, port: int) -> Validity:
    """Look at the certificate that a server shows. Raises ``OSError`` when it shows none.

    Python reads the fields of verified certificates alone: so this one is trusted as its own authority.
    """
    pem = ssl.get_server_certificate((host, port), timeout=_LOOK_SECONDS)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=pem)
    try:
        with (
            socket.create_connection((host, port), timeout=_LOOK_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host) as wrapped,
        ):
            shown: dict[str, Any] = wrapped.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return Validity(None, error.verify_message)
    end = shown.get("notAfter")
    return Validity(ssl.cert_time_to_seconds(end) if end else None)
