"""The machines on which it is shown that containers serve what their machine did, and what each is asked.

One list for tests and benchmark. A question is words of a protocol, and a part of the answer that only the
machine's own content gives.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from converters import pipeline
from converters.disks import detect
from converters.manifests.compose import compose
from converters.outputs.client import RegistryAccess
from converters.outputs.registry import RegistryOutput
from converters.plan import MachineFacts
from converters.reader.parent import Reader
from converters.reading import Reading
from converters.request import Converted, Request, Target
from deploy.demo import guests
from deploy.demo.guests import backends, offices, releases
from deploy.demo.guests.stack import GREETING
from deploy.demo.guests.stack import PAGE as STACK_PAGE
from deploy.demo.registry import Registry
from orchestrator.verify.engine import Engine
from orchestrator.verify.verdict import Verification
from orchestrator.verify.watch import Up, verify

_ANSWER_SECONDS = 5.0
_START_SECONDS = 90.0
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Question:
    """What a service of a machine is asked, inside the network that its services share."""

    service: str
    port: int
    words: bytes
    wanted: bytes
    """Part of the answer; empty: none of a known form, being asked is enough."""
    user: str
    """Whose processes serve, on the machine and in the container."""
    transport: str = "tcp"


@dataclass(frozen=True, slots=True)
class Machine:
    """A guest, and what it is asked."""

    name: str
    disk: Callable[[], Path]
    questions: tuple[Question, ...]


@dataclass(slots=True)
class Examined:
    """What became of a machine."""

    machine: Machine
    converted: Converted
    verification: Verification = field(default_factory=lambda: Verification(""))
    answers: dict[Question, bytes] = field(default_factory=dict)
    users: dict[str, frozenset[str]] = field(default_factory=dict)
    """Names of those whose processes run, by service."""

    def answered(self, question: Question) -> bool:
        """Whether a question was answered with the machine's content."""
        return question.wanted in self.answers.get(question, b"") and question in self.answers


def page(path: str = "/", host: str = "localhost") -> bytes:
    """A request for a page."""
    return f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode()


def name_of(host: str) -> bytes:
    """A DNS question for a host's IPv4 address (RFC 1035, section 4)."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in host.split("."))
    return bytes.fromhex("0b5d 0100 0001 0000 0000 0000") + labels + bytes.fromhex("00 0001 0001")


def _address(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


OFFICE = Machine(
    "office",
    guests.office,
    (
        Question("apache2", 80, page(), offices.PAGE.encode(), "www-data"),
        Question("postfix@-", 25, b"", offices.MAIL.encode(), "postfix"),
        Question("named", 53, name_of("www.office.example"), _address(offices.ADDRESS), "bind", "udp"),
        Question("dovecot", 143, b"", offices.POST.encode(), "dovecot"),
        Question("vsftpd", 21, b"", offices.FILES.encode(), "root"),
        Question("squid", 3128, page("http://127.0.0.1:8090/"), offices.TALLY.encode(), "proxy"),
        Question("tally", 8090, page(), offices.TALLY.encode(), "tally"),
        Question("clock", 8095, page(), offices.CLOCK.encode(), "clock"),
    ),
)
STACK = Machine(
    "stack",
    lambda: guests.stack().raw,
    (
        Question("nginx", 80, page("/app"), GREETING.encode(), "www-data"),
        Question("php8.2-fpm", 80, page("/index.php"), STACK_PAGE.encode(), "www-data"),
        Question("app", 8000, page(), GREETING.encode(), "app"),
        Question("haproxy", 8080, page(), GREETING.encode(), "haproxy"),
        Question("oldapp", 8081, page(), b"an old page", "root"),
        Question("mariadb", 3306, b"", b"MariaDB", "mysql"),
        Question("postgresql@15-main", 5432, bytes.fromhex("0000000804d2162f"), b"S", "postgres"),
        Question("redis-server", 6379, b"PING\r\n", b"+PONG", "redis"),
        Question("memcached", 11211, b"version\r\n", b"VERSION", "memcache"),
    ),
)
BACKEND = Machine(
    "backend",
    guests.backend,
    (
        Question("tomcat10", 8080, page(), backends.PAGE.encode(), "tomcat"),
        Question("rabbitmq-server", 5672, b"AMQP\0\0\x09\x01", b"RabbitMQ", "rabbitmq"),
        Question("prometheus", 9090, page("/-/ready"), b"Prometheus", "prometheus"),
        Question(
            "mosquitto",
            1883,
            bytes.fromhex("101000044d5154540402003c000474657374"),
            b"\x20\x02\0\0",
            "mosquitto",
        ),
        Question("unbound", 53, name_of("www.backend.example"), _address(backends.ADDRESS), "unbound", "udp"),
        Question("smbd", 445, b"", b"", "root"),
    ),
)
ELEVEN = Machine(
    "eleven",
    guests.eleven,
    (
        Question("nginx", 80, page("/index.php"), releases.ELEVEN_PAGE.encode(), "www-data"),
        Question("php7.4-fpm", 80, page("/index.php"), releases.ELEVEN_PAGE.encode(), "www-data"),
        Question("mariadb", 3306, b"", b"MariaDB", "mysql"),
        Question("redis-server", 6379, b"PING\r\n", b"+PONG", "redis"),
    ),
)
THIRTEEN = Machine(
    "thirteen",
    guests.thirteen,
    (
        Question("apache2", 80, page("/index.php"), releases.THIRTEEN_PAGE.encode(), "www-data"),
        Question("haproxy", 8080, page("/index.php"), releases.THIRTEEN_PAGE.encode(), "haproxy"),
        Question("postgresql@17-main", 5432, bytes.fromhex("0000000804d2162f"), b"S", "postgres"),
        Question("redis-server", 6379, b"PING\r\n", b"+PONG", "redis"),
        Question("memcached", 11211, b"version\r\n", b"VERSION", "memcache"),
    ),
)
RUNLEVELS = Machine(
    "runlevels",
    guests.runlevels,
    (
        Question("nginx", 80, page(), releases.RUNLEVEL_PAGE.encode(), "www-data"),
        Question("postgresql", 5432, bytes.fromhex("0000000804d2162f"), b"S", "postgres"),
        Question("redis-server", 6379, b"PING\r\n", b"+PONG", "redis"),
        Question("memcached", 11211, b"version\r\n", b"VERSION", "memcache"),
        Question("ledgerd", 8081, page(), releases.OLD.encode(), "ledger"),
    ),
)
MACHINES: Mapping[str, Machine] = {
    machine.name: machine for machine in (STACK, OFFICE, BACKEND, ELEVEN, THIRTEEN, RUNLEVELS)
}


def examine(machine: Machine, engine: Engine, server: Registry, scratch: Path) -> Examined:
    """Convert a machine, start what came of it in ``engine``, and ask all its questions.

    Raises:
        ConvertError: there is no image.
    """
    converted, text = convert(machine, server, scratch)
    examined = Examined(machine, converted)

    def ask(services: Mapping[str, Up]) -> None:
        for question in machine.questions:
            if (up := services.get(question.service)) is not None:
                _ask(examined, up, question)
        for name, up in services.items():
            if up.container.ended() is not None:
                continue
            _, output, _ = up.container.run("sh", "-c", "stat -c %U /proc/[0-9]*")
            examined.users[name] = frozenset(output.decode().split())

    examined.verification = verify(engine, converted.plan, text, _START_SECONDS, while_up=ask)
    return examined


def convert(machine: Machine, server: Registry, scratch: Path) -> tuple[Converted, str]:
    """A machine's images in a registry, and its compose file."""
    request = Request(
        disks=(detect(str(machine.disk())),),
        machine=MachineFacts(name=machine.name),
        target=Target(f"{server.address}/vms/{machine.name}", ("latest",)),
        reading=Reading(engines=("ext2fs", "uml")),
    )
    with (
        Reader(request.disks, request.reading, scratch) as reader,
        RegistryOutput(request.target.repository, RegistryAccess(patience=5)) as output,
    ):
        converted = pipeline.convert(request, reader, output)
        published = pipeline.publish(converted, output)
    reference = f"{request.target.repository}@{published.digest}"
    return converted, compose(converted.plan, reference, converted.services)


def _ask(examined: Examined, up: Up, question: Question) -> None:
    """Until the answer is the machine's: one that is busy may be late."""
    for _ in range(_TRIES):
        if (answer := _answer(up, question)) is not None:
            examined.answers[question] = answer
        if examined.answered(question):
            break


def _answer(up: Up, question: Question) -> bytes | None:
    for socket in up.probe.sockets():
        if (socket.protocol, socket.port) == (question.transport, question.port):
            answer = up.probe.ask(socket, question.words, _ANSWER_SECONDS)
            if answer is not None:
                return answer
    return None
