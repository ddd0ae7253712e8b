"""What was seen of a port, and the verdict on it."""

from __future__ import annotations

import pytest

from converters.guest.facts import Port
from orchestrator.verify.engine import Listening
from orchestrator.verify.hello import hello_for
from orchestrator.verify.judge import is_final, judge_port, of_services, socket_of
from orchestrator.verify.verdict import Outcome, PortVerdict, ServiceVerdict, Verification, worst

WEB = Port(80, "tcp", "test")
SOCKET = Listening("tcp", "0.0.0.0", 80)


def judged(answer: bytes | None, program: str = "nginx", wanted: str = "", port: Port = WEB) -> PortVerdict:
    return judge_port(port, program, SOCKET, hello_for(port.number, port.protocol, program), answer, wanted)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\n", Outcome.ANSWERS),
        (b"HTTP/1.1 404 Not Found\r\n", Outcome.ANSWERS),
        (b"HTTP/1.1 502 Bad Gateway\r\n", Outcome.DIFFERS),
        (b"+PONG\r\n", Outcome.DIFFERS),
        (b"", Outcome.LISTENS),
        (None, Outcome.FAILS),
    ],
)
def test_a_web_server(answer: bytes | None, outcome: Outcome) -> None:
    assert judged(answer).outcome is outcome


def test_the_running_machine_knows_better() -> None:
    bad = b"HTTP/1.1 502 Bad Gateway\r\n"
    assert judged(bad, wanted="HTTP 502").outcome is Outcome.ANSWERS
    found = judged(b"HTTP/1.1 200 OK\r\n\r\n<title>Default page</title>", wanted="HTTP 200, title Shop")
    assert found.outcome is Outcome.DIFFERS
    assert found.said == "HTTP 200, title Default page; the machine: HTTP 200, title Shop"


def test_any_protocol_will_do_where_none_is_known() -> None:
    assert judged(b"+PONG\r\n", program="something").outcome is Outcome.ANSWERS


def test_nobody_listens() -> None:
    verdict = judge_port(WEB, "nginx", None, hello_for(80, "tcp", "nginx"), None, "")
    assert (verdict.outcome, verdict.said) == (Outcome.FAILS, "nobody listens")


@pytest.mark.parametrize(
    ("answer", "program", "final"),
    [
        (b"HTTP/1.1 200 OK\r\n", "nginx", True),
        (b"HTTP/1.1 503 No server\r\n", "haproxy", False),
        (b"", "nginx", False),
        (b"", "something", True),
        (None, "something", False),
    ],
)
def test_what_is_waited_for(answer: bytes | None, program: str, final: bool) -> None:
    assert is_final(judged(answer, program), hello_for(80, "tcp", program), program) is final


def test_sockets_that_are_no_services() -> None:
    kept = Listening("udp", "0.0.0.0", 53)
    others = {Listening("udp", "0.0.0.0", 40000), Listening("tcp", "127.0.0.11", 40001)}
    assert of_services({kept, *others}) == {kept}


def test_the_widest_socket_is_asked() -> None:
    local, wide = Listening("tcp", "127.0.0.1", 80), Listening("tcp", "172.18.0.2", 80)
    assert socket_of(WEB, [local, wide]) == wide
    assert socket_of(WEB, [local]) == local
    assert socket_of(Port(80, "udp", "test"), [local, wide]) is None


def test_sockets_are_reached_where_they_listen() -> None:
    assert Listening("tcp", "::", 80).reached_at == ("127.0.0.1:80", "[::1]:80")
    assert Listening("tcp", "::1", 80).reached_at == ("[::1]:80",)
    assert Listening("tcp", "10.0.0.1", 80).reached_at == ("10.0.0.1:80",)


def test_the_worst_port_decides() -> None:
    assert worst([Outcome.ANSWERS, Outcome.FAILS, Outcome.LISTENS]) is Outcome.FAILS
    assert worst([]) is Outcome.RUNS


def test_a_verification_in_a_sentence() -> None:
    services = (ServiceVerdict("nginx", Outcome.ANSWERS), ServiceVerdict("app", Outcome.FAILS))
    assert Verification("web", services).sentence() == "verified: 1 of 2 services serve; app fails"
    assert not Verification("web", services).good
    assert Verification("web", services[:1]).good
    assert Verification("web", error="no engine").sentence() == "not verified: no engine"
    assert not Verification("web", error="no engine").good
