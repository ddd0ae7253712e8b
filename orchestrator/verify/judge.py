"""From what was seen of containers to a verdict. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from converters.guest.facts import Port
from orchestrator.verify.engine import Listening
from orchestrator.verify.hello import Hello, is_expected, recognise
from orchestrator.verify.verdict import Outcome, PortVerdict

_EMBEDDED_RESOLVER = "127.0.0.11"
"""Where an engine answers for names in its networks: no service's."""
FIRST_EPHEMERAL = 32768
"""UDP sockets above are a client's own (ip(7), ip_local_port_range)."""
_BEHIND = ("HTTP 502", "HTTP 503", "HTTP 504")
_MATCHES = {"FTP": "FTP or SMTP", "SMTP": "FTP or SMTP"}


def of_services(sockets: Iterable[Listening]) -> frozenset[Listening]:
    """Those that a service may be there for."""
    return frozenset(
        socket
        for socket in sockets
        if socket.host != _EMBEDDED_RESOLVER
        and not (socket.protocol == "udp" and socket.port >= FIRST_EPHEMERAL)
    )


def socket_of(port: Port, sockets: Iterable[Listening]) -> Listening | None:
    """The socket that is a port: the one that is reached most widely."""
    fitting = [one for one in sockets if (one.protocol, one.port) == (port.protocol, port.number)]
    return min(
        fitting, key=lambda one: (one.host.startswith("127.") or one.host == "::1", one.host), default=None
    )


def judge_port(
    port: Port, program: str, socket: Listening | None, hello: Hello | None, answer: bytes | None, wanted: str
) -> PortVerdict:
    """A port's verdict.

    Args:
        program: of the service, by ``program_name``.
        socket: None when nobody listens.
        hello: what was asked; None: nothing.
        answer: None when nobody took the connection.
        wanted: what the running machine answered, as ``recognise`` words it; empty when that is not known.
    """
    if socket is None:
        return PortVerdict(port.number, port.protocol, Outcome.FAILS, "nobody listens")
    if hello is None:
        return PortVerdict(port.number, port.protocol, Outcome.LISTENS, "a socket is bound")
    if answer is None:
        return PortVerdict(port.number, port.protocol, Outcome.FAILS, "no answer")
    protocol, said = recognise(answer)
    words = f"{protocol}: {said}" if protocol and protocol not in said else said
    return PortVerdict(port.number, port.protocol, *_outcome(hello, program, protocol, words, wanted))


def _outcome(hello: Hello, program: str, protocol: str, words: str, wanted: str) -> tuple[Outcome, str]:
    if wanted and words != wanted:
        return Outcome.DIFFERS, f"{words or 'nothing'}; the machine: {wanted}"
    if not protocol:
        return Outcome.LISTENS, words or "takes connections, says nothing"
    if not wanted and words.startswith(_BEHIND):
        return Outcome.DIFFERS, f"{words}: what stands behind it does not answer"
    if is_expected(hello, program) and protocol != _MATCHES.get(hello.name, hello.name):
        return Outcome.DIFFERS, f"{words}, in place of {hello.name}"
    return Outcome.ANSWERS, words


def is_final(verdict: PortVerdict, hello: Hello | None, program: str) -> bool:
    """Whether waiting longer would change nothing."""
    match verdict.outcome:
        case Outcome.ANSWERS:
            return True
        case Outcome.LISTENS:
            return hello is None or not is_expected(hello, program)
        case _:
            return False
