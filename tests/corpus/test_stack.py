"""A guest with nine services that work together: each in its own container, they answer as on the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import yaml
from docker.models.containers import Container

from converters.manifests.compose import compose
from converters.plan import SERVICE_LABEL
from converters.request import Converted
from deploy.demo import dockerd, guests
from deploy.demo.guests.stack import GREETING, PAGE
from deploy.demo.registry import registry
from tests.converters.conversions import request, run
from tests.corpus.compose import up

pytestmark = [pytest.mark.root, pytest.mark.slow]

SERVICES = {
    *("app", "haproxy", "mariadb", "memcached", "nginx", "oldapp", "php8.2-fpm", "postgresql@15-main"),
    "redis-server",
}
START = 60.0


@dataclass(frozen=True)
class Stack:
    """The guest's containers at work."""

    converted: Converted
    document: dict[str, Any]
    containers: Mapping[str, Container]
    address: str

    def page(self, port: int, path: str = "/") -> str:
        """What is answered by HTTP; the error's text while nothing is."""
        try:
            return httpx.get(f"http://{self.address}:{port}{path}", trust_env=False, timeout=5).text
        except httpx.TransportError as error:
            return repr(error)

    def said(self, service: str, *command: str) -> str:
        """What a command in a service's container says."""
        output = self.containers[service].exec_run([*command]).output
        assert isinstance(output, bytes)
        return output.decode()


@pytest.fixture(scope="module")
def stack(engine: dockerd.Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with registry() as server:
        asked = request(server, "stack", guests.stack().raw)
        converted = run(asked, tmp_path_factory.mktemp("scratch"))
        reference = f"{asked.target.repository}@{converted.digest}"
        document = yaml.safe_load(compose(converted.plan, reference, converted.services))
        for service in document["services"].values():
            engine.pull(service["image"])
        with up(engine, document) as containers:
            yield Stack(converted, document, containers, engine.address(containers["stack"]))


def test_every_service_is_a_container_of_the_same_layers(stack: Stack, engine: dockerd.Engine) -> None:
    assert {service.name for service in stack.converted.services} == SERVICES
    layers = {
        tuple(engine.client.images.get(service["image"]).attrs["RootFS"]["Layers"])
        for service in stack.document["services"].values()
    }
    assert layers == {stack.converted.diff_ids}
    assert not any(container.attrs["HostConfig"]["Privileged"] for container in stack.containers.values())


def test_each_has_the_capabilities_of_its_plan_and_no_other(stack: Stack) -> None:
    by_service = {one.labels.get(SERVICE_LABEL): one for one in stack.containers.values()}
    for service in stack.converted.plan.services:
        given = by_service[service.name].attrs["HostConfig"]
        assert service.privilege is not None
        wanted = {name.removeprefix("CAP_") for name in service.privilege.capabilities}
        assert (given["CapDrop"], set(given["CapAdd"] or ())) == (["ALL"], wanted), service.name
    assert not by_service["postgresql@15-main"].attrs["HostConfig"]["CapAdd"]


# memcached listens at localhost only, which is the same for all containers of the machine.
ASK_MEMCACHED = (
    "import socket; s = socket.create_connection(('127.0.0.1', 11211), 5);"
    " s.sendall(b'version\\r\\n'); print(s.recv(99).decode())"
)

ANSWERS: dict[str, Callable[[Stack], str]] = {
    "php8.2-fpm": lambda stack: stack.page(80, "/index.php"),
    "nginx": lambda stack: stack.page(80, "/app"),
    "app": lambda stack: stack.page(80, "/app"),
    "haproxy": lambda stack: stack.page(8080),
    "oldapp": lambda stack: stack.page(8081),
    "mariadb": lambda stack: stack.said("mariadb", "mariadb-admin", "ping"),
    "postgresql@15-main": lambda stack: stack.said(
        "postgresql-15-main", "pg_isready", "-h", "/run/postgresql"
    ),
    "redis-server": lambda stack: stack.said("redis-server", "redis-cli", "ping"),
    "memcached": lambda stack: stack.said("app", "python3", "-c", ASK_MEMCACHED),
}
WANTED = {
    "php8.2-fpm": PAGE,
    "nginx": GREETING,
    "app": GREETING,
    "haproxy": GREETING,
    "oldapp": "an old page",
    "mariadb": "mysqld is alive",
    "postgresql@15-main": "accepting connections",
    "redis-server": "PONG",
    "memcached": "VERSION",
}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_it_answers(stack: Stack, service: str) -> None:
    said = ""
    deadline = time.monotonic() + START
    while WANTED[service] not in said and time.monotonic() < deadline:
        said = ANSWERS[service](stack)
        time.sleep(0.2)
    logs = {key: container.logs(tail=10).decode() for key, container in stack.containers.items()}
    assert WANTED[service] in said, logs


@pytest.mark.parametrize(
    ("service", "user"),
    [
        ("app", "app"),
        ("mariadb", "mysql"),
        ("memcached", "memcache"),
        ("nginx", "www-data"),
        ("postgresql-15-main", "postgres"),
        ("redis-server", "redis"),
    ],
)
def test_they_run_as_the_machines_users(stack: Stack, service: str, user: str) -> None:
    assert user in stack.said(service, "sh", "-c", "stat -c %U /proc/[0-9]*").split()


def test_each_stops_by_itself_in_its_own_way(stack: Stack) -> None:
    for service, container in stack.containers.items():
        if service == "stack":
            continue
        began = time.monotonic()
        container.stop(timeout=60)
        container.reload()
        state = container.attrs["State"]
        assert time.monotonic() - began < 30, service
        assert state["ExitCode"] in (0, 143), (service, state, container.logs(tail=10).decode())
