"""Which ESXi hosts can be reached from here, where they serve the disks of an export lease."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

NFC_PORT = 443
"""Where an ESXi host serves the disks of an export lease, over TLS; 902 is for other transports."""
_CONNECT_SECONDS = 3.0
_SECONDS = 15.0
"""For all hosts: 1,000 that drop every packet take four rounds of connections."""
_CONNECTIONS = 256


@dataclass(frozen=True, slots=True)
class Reach:
    """What came of connecting to hosts; one that is not named here can be reached."""

    problems: Mapping[str, str]
    """By host, why it cannot be reached."""
    untried: frozenset[str] = frozenset()
    """Those for which there was no time."""


def reach(hosts: Sequence[str], seconds: float = _SECONDS) -> Reach:
    """Connect to each host as a download would, many at a time; what is not found out in time stays open."""
    if not hosts:
        return Reach({})
    # Whom a download trusts the lease says, which is not there yet: here it matters that TLS is spoken.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    pool = ThreadPoolExecutor(min(_CONNECTIONS, len(hosts)), thread_name_prefix="reach")
    try:
        tried = {pool.submit(_problem, host, context): host for host in hosts}
        done, late = wait(tried, timeout=seconds)
    finally:
        # A resolver that does not answer cannot be interrupted; nobody waits for it.
        pool.shutdown(wait=False, cancel_futures=True)
    problems = {tried[future]: future.result() for future in done}
    return Reach(
        {host: problems[host] for host in hosts if problems.get(host)},
        frozenset(tried[future] for future in late),
    )


def _problem(host: str, context: ssl.SSLContext) -> str:
    """Why a host cannot be reached; empty when it can."""
    try:
        with (
            socket.create_connection((host, NFC_PORT), timeout=_CONNECT_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return ""
    except socket.gaierror:
        return "its name cannot be resolved"
    except TimeoutError:
        return f"no answer within {_CONNECT_SECONDS:g} s"
    except ssl.SSLError as error:
        return f"port {NFC_PORT} answers, but not with TLS: {error.reason or error}"
    except (OSError, UnicodeError) as error:  # UnicodeError: a name that no resolver takes
        return getattr(error, "strerror", None) or str(error)
