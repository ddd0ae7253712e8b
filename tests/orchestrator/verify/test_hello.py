"""Answers of servers are told apart, whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.verify.hello import HELLOS, hello_for, recognise

ANSWERS = [
    (b"HTTP/1.1 200 OK\r\n\r\n<html><TITLE>\n Welcome </TITLE>", "HTTP", "HTTP 200, title Welcome"),
    (b"HTTP/1.0 502 Bad Gateway\r\n\r\n", "HTTP", "HTTP 502"),
    (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "SSH", "SSH-2.0-OpenSSH_9.2p1 Debian-2"),
    (b"220 mail.example ESMTP\r\n", "FTP or SMTP", "220 mail.example ESMTP"),
    (b"* OK ready\r\n", "IMAP", "* OK ready"),
    (b"+OK POP3 ready\r\n", "POP3", "+OK POP3 ready"),
    (b"+PONG\r\n", "Redis", "+PONG"),
    (b"-NOAUTH Authentication required.\r\n", "Redis", "-NOAUTH Authentication required."),
    (b"VERSION 1.6.18\r\n", "memcached", "VERSION 1.6.18"),
    (b"\x0f\0\0\0\x0a10.11.6\0\1\2\3\4\5\6", "MySQL", "10.11.6"),
    (b"S", "PostgreSQL", "encrypts"),
    (b"N", "PostgreSQL", "does not encrypt"),
    (b"\x20\x02\0\x05", "MQTT", "CONNACK 5"),
    (b"\x15\x03\x01\0\x02\x02\x28", "TLS", "TLS answers"),
    (bytes.fromhex("0b5d 8180 0001 0000 0000 0000"), "DNS", "DNS answer, code 0"),
    (bytes.fromhex("000c 0b5d 8185 0001 0000 0000 0000"), "DNS", "DNS answer, code 5"),
    (bytes.fromhex("00001111") + b"name a at port 1\n", "epmd", "epmd, port 4369"),
    (b"something else", "", "14 bytes: something else"),
    (b"", "", ""),
]


@pytest.mark.parametrize(("answer", "protocol", "words"), ANSWERS)
def test_an_answer_is_recognised(answer: bytes, protocol: str, words: str) -> None:
    assert recognise(answer) == (protocol, words)


@given(st.binary(max_size=300))
def test_any_answer_gives_a_short_printable_line(answer: bytes) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n\r\n<title>", b"220 ", b"\x0a\0\0\0\x0a"):
        protocol, words = recognise(start + answer)
        assert len(words) < 800
        assert words.isprintable()
        assert protocol or not words or words.split()[1] == "bytes:"


@pytest.mark.parametrize(
    ("number", "transport", "program", "name"),
    [
        (80, "tcp", "", "HTTP"),
        (4711, "tcp", "postgres", "PostgreSQL"),
        (4711, "tcp", "something", "HTTP"),
        (53, "udp", "named", "DNS"),
        (443, "tcp", "nginx", "TLS"),
        (22, "tcp", "sshd", "SSH"),
    ],
)
def test_a_port_is_asked_in_its_protocol(number: int, transport: str, program: str, name: str) -> None:
    hello = hello_for(number, transport, program)
    assert hello is not None
    assert hello.name == name


def test_a_program_has_other_ports_beside_that_of_its_protocol() -> None:
    control, moved = hello_for(953, "tcp", "named", (53, 953)), hello_for(5353, "tcp", "named", (5353,))
    assert control is not None and moved is not None
    assert (control.name, moved.name) == ("HTTP", "DNS")


def test_unknown_datagram_servers_are_not_asked() -> None:
    assert hello_for(137, "udp", "nmbd") is None


def test_every_protocol_has_words_of_its_own() -> None:
    spoken = [hello.words for hello in HELLOS if hello.words]
    assert len(spoken) == len(set(spoken))
    assert {hello.name for hello in HELLOS if not hello.words} == {
        "SSH",
        "FTP",
        "SMTP",
        "POP3",
        "IMAP",
        "MySQL",
    }
