"""What a server says first, or answers to the shortest question of its protocol. Pure.

Sources: RFC 959, 1035, 1939, 2616, 3501, 4253, 4511, 5321; MySQL's client/server protocol (handshake);
PostgreSQL's frontend/backend protocol (SSLRequest); Redis's RESP; memcached's protocol.txt; AMQP 0-9-1
(protocol header); MQTT 3.1.1 (CONNECT); MS-SMB2 2.2.3 (negotiate); Erlang's distribution protocol (epmd).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

_LONGEST = 120
_TITLE = re.compile(rb"<title[^>]{0,100}>([^<]{0,200})", re.IGNORECASE)
_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})")


@dataclass(frozen=True, slots=True)
class Hello:
    """How to begin with a protocol."""

    name: str
    words: bytes = b""
    """What the client says first; empty: the server does."""
    ports: tuple[int, ...] = ()
    """Where it is usual."""
    programs: tuple[str, ...] = ()
    """Which programs speak it, by ``program_name``."""
    transport: str = "tcp"


def _dns(transport: str) -> Hello:
    """A question for the root's name servers, not to be passed on."""
    question = bytes.fromhex("0b5d 0000 0001 0000 0000 0000 00 0002 0001")
    framed = len(question).to_bytes(2) + question if transport == "tcp" else question
    return Hello("DNS", framed, (53,), ("named", "unbound", "dnsmasq"), transport)


_HTTP = Hello(
    "HTTP",
    b"GET / HTTP/1.0\r\nHost: localhost\r\nUser-Agent: orchestrate\r\n\r\n",
    (80, 3000, 3128, 8000, 8008, 8080, 8081, 8888, 9090, 9091, 9093, 9100, 9200, 15672),
    (
        *(
            "nginx",
            "apache",
            "httpd",
            "lighttpd",
            "haproxy",
            "squid",
            "prometheus",
            "grafana",
            "busybox httpd",
        ),
        *("tomcat-start.sh", "catalina.sh"),
    ),
)
_TLS = Hello(
    "TLS",
    # A ClientHello of TLS 1.2 with four suites and no extension: answered by a ServerHello or by an alert.
    bytes.fromhex("1603010031 0100002d 0303" + "5a" * 32 + "00 0006 c02f 009c 002f 01 00"),
    (443, 465, 636, 853, 990, 993, 995, 5671, 8443),
)


def _smb() -> bytes:
    """A negotiate request for SMB 2.0.2 and 2.1, behind the length that direct TCP puts first."""
    header = b"\xfeSMB" + (64).to_bytes(2, "little") + bytes(58)
    fields = b"".join(number.to_bytes(2, "little") for number in (36, 2, 1, 0))
    message = header + fields + bytes(4 + 16 + 8) + bytes.fromhex("02021002")
    return len(message).to_bytes(4) + message


HELLOS: tuple[Hello, ...] = (
    Hello("SSH", ports=(22,), programs=("sshd",)),
    Hello("FTP", ports=(21,), programs=("vsftpd", "proftpd", "pure-ftpd")),
    Hello("SMTP", ports=(25, 587), programs=("postfix", "exim4", "sendmail")),
    Hello("POP3", ports=(110,)),
    Hello("IMAP", ports=(143,)),
    Hello("MySQL", ports=(3306,), programs=("mariadbd", "mysqld", "mysqld_safe")),
    Hello(
        "PostgreSQL",
        bytes.fromhex("0000000804d2162f"),
        (5432,),
        ("postgres", "postmaster", "pgbouncer"),
    ),
    Hello("Redis", b"PING\r\n", (6379,), ("redis-server", "valkey-server")),
    Hello("memcached", b"version\r\n", (11211,), ("memcached",)),
    Hello("AMQP", b"AMQP\0\0\x09\x01", (5672,)),
    Hello("MQTT", bytes.fromhex("101000044d5154540402003c000474657374"), (1883,), ("mosquitto",)),
    Hello("SMB", _smb(), (445,), ("smbd",)),
    Hello("LDAP", bytes.fromhex("300c020101600702010304008000"), (389,), ("slapd",)),
    Hello("epmd", b"\0\x01n", (4369,), ("epmd",)),
    _dns("tcp"),
    _dns("udp"),
    _TLS,
    _HTTP,
)


def hello_for(number: int, transport: str, program: str, others: Collection[int] = ()) -> Hello | None:
    """What fits a port best: by its number, by the program, or HTTP; None for unknown UDP.

    A program speaks its protocol at the usual port, where that is among ``others``, its ports; else at any.
    """
    fitting = [hello for hello in HELLOS if hello.transport == transport]
    by_port = next((hello for hello in fitting if number in hello.ports), None)
    spoken = (hello for hello in fitting if program in hello.programs)
    by_program = next((hello for hello in spoken if not set(others) & set(hello.ports)), None)
    return by_port or by_program or (_HTTP if transport == "tcp" else None)


def is_expected(hello: Hello, program: str) -> bool:
    """Whether it would be a fault if a port of that program spoke another protocol, or none."""
    return program in hello.programs


def recognise(answer: bytes) -> tuple[str, str]:
    """The protocol of an answer, and the answer in few words; an unknown protocol is empty."""
    for name, read in _ANSWERS:
        if (words := read(answer)) is not None:
            return name, words
    return "", f"{len(answer)} bytes: {shown(answer)}" if answer else ""


def shown(data: bytes) -> str:
    """The first line of what was said, printable and short."""
    line = data.split(b"\n", 1)[0][:_LONGEST].decode("utf-8", "backslashreplace").strip()
    return "".join(character if character.isprintable() else "·" for character in line)


def _line(start: bytes) -> Callable[[bytes], str | None]:
    return lambda answer: shown(answer) if answer.startswith(start) else None


def _http(answer: bytes) -> str | None:
    status = _STATUS.match(answer)
    if status is None:
        return None
    title = _TITLE.search(answer)
    named = f", title {shown(title[1].strip())}" if title and title[1].strip() else ""
    return f"HTTP {status[1].decode()}{named}"


def _greeting(answer: bytes) -> str | None:
    """SMTP and FTP begin alike."""
    return shown(answer) if re.match(rb"[245]\d\d[ -]", answer) else None


def _mysql(answer: bytes) -> str | None:
    """The initial handshake, version 10, or an error that refuses this client."""
    if len(answer) < 6 or int.from_bytes(answer[:3], "little") + 4 != len(answer):
        return None
    if answer[4] == 10:
        return shown(answer[5:].split(b"\0")[0])
    return f"refuses: {shown(answer[7:])}" if answer[4] == 0xFF else None


def _postgresql(answer: bytes) -> str | None:
    return {b"S": "encrypts", b"N": "does not encrypt"}.get(answer)


def _dns_answer(answer: bytes) -> str | None:
    message = answer if answer[:2] == b"\x0b\x5d" else answer[2:]
    if len(message) < 12 or message[:2] != b"\x0b\x5d" or not message[2] & 0x80:
        return None
    return f"DNS answer, code {message[3] & 15}"


def _epmd(answer: bytes) -> str | None:
    return "epmd, port 4369" if answer[:4] == (4369).to_bytes(4) else None


_ANSWERS: tuple[tuple[str, Callable[[bytes], str | None]], ...] = (
    ("HTTP", _http),
    ("SSH", _line(b"SSH-")),
    ("FTP or SMTP", _greeting),
    ("IMAP", _line(b"* ")),
    ("POP3", _line(b"+OK")),
    (
        "Redis",
        lambda answer: shown(answer) if answer.startswith((b"+PONG", b"-NOAUTH", b"-DENIED")) else None,
    ),
    ("memcached", _line(b"VERSION ")),
    ("MySQL", _mysql),
    ("PostgreSQL", _postgresql),
    (
        "AMQP",
        lambda answer: "AMQP connection.start" if answer[:1] == b"\x01" and b"product" in answer else None,
    ),
    (
        "MQTT",
        lambda answer: f"CONNACK {answer[3]}" if answer[:2] == b"\x20\x02" and len(answer) == 4 else None,
    ),
    ("SMB", lambda answer: "SMB2 negotiates" if answer[4:8] == b"\xfeSMB" else None),
    ("LDAP", lambda answer: "LDAP bind answer" if answer[:1] == b"\x30" and b"\x61" in answer[:8] else None),
    ("TLS", lambda answer: "TLS answers" if answer[:2] in (b"\x16\x03", b"\x15\x03") else None),
    ("DNS", _dns_answer),
    ("epmd", _epmd),
)
