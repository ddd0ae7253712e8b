"""A converted guest in a real Docker Engine: pulled by digest, it does what the machine did."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import yaml
from docker.models.containers import Container

from converters.manifests.compose import compose
from converters.plan import MachineFacts
from converters.request import Converted
from deploy.demo import dockerd, guests
from deploy.demo.registry import registry
from tests.converters.conversions import request, run
from tests.waiting import until

pytestmark = [pytest.mark.root, pytest.mark.slow]

MACHINE = MachineFacts(name="web", vcpus=1, memory_mib=512, cpu_limit=0.5, memory_limit_mib=256)


@dataclass(frozen=True)
class Image:
    """A converted guest that the engine has pulled."""

    reference: str
    converted: Converted


@pytest.fixture(scope="module")
def image(engine: dockerd.Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with registry() as server:
        asked = request(server, "web", guests.web().raw, machine=MACHINE)
        converted = run(asked, tmp_path_factory.mktemp("scratch"))
        reference = f"{asked.target.repository}@{converted.digest}"
        engine.client.images.pull(reference)
        yield Image(reference, converted)


def page(url: str) -> str:
    """What a web server answers; nothing while it does not."""
    try:
        return httpx.get(url, trust_env=False, timeout=2).text
    except httpx.TransportError:
        return ""


def test_the_engine_sees_the_guest(engine: dockerd.Engine, image: Image) -> None:
    attributes = engine.client.images.get(image.reference).attrs
    assert image.reference in attributes["RepoDigests"]
    assert (attributes["Os"], attributes["Architecture"]) == ("linux", "amd64")
    assert attributes["RootFS"]["Layers"] == list(image.converted.diff_ids)
    assert attributes["Config"]["ExposedPorts"] == {"80/tcp": {}}


def test_it_answers_with_the_guests_own_page(engine: dockerd.Engine, image: Image) -> None:
    container = engine.client.containers.run(image.reference, detach=True)
    url = f"http://{engine.address(container)}/"
    until(lambda: guests.web().page in page(url), 30)
    assert "nginx" in httpx.get(url, trust_env=False).headers["Server"]
    container.remove(force=True)


def test_what_files_carry_arrives_in_the_container(engine: dockerd.Engine, image: Image) -> None:
    look = """
        od -An -tx1 /srv/odd/caf$(printf '\\351')
        stat -c %a /srv/odd/before-1970
        stat -c %s /srv/odd/sparse
        stat -c '%t:%T' /srv/odd/null
        test -p /srv/odd/fifo && echo fifo
        getcap /usr/bin/ping
    """
    said = engine.client.containers.run(image.reference, [look], entrypoint=["sh", "-c"], remove=True)
    assert said.splitlines() == [
        b" 63 61 66 e9 0a",
        b"4755",
        b"%d" % ((8 << 20) + 3),
        b"1:3",
        b"fifo",
        b"/usr/bin/ping cap_net_raw=ep",
    ]


def test_the_compose_file_runs_it(engine: dockerd.Engine, image: Image) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", 80)) == 0:
            pytest.skip("something on this machine has port 80")
    service = yaml.safe_load(compose(image.converted.plan, image.reference))["services"]["web"]
    container = start(engine, service)
    until(lambda: guests.web().page in page("http://127.0.0.1:80/"), 30)
    container.reload()
    limits = container.attrs["HostConfig"]
    assert (limits["NanoCpus"], limits["Memory"]) == (500_000_000, 256 << 20)
    assert limits["RestartPolicy"]["Name"] == "unless-stopped"
    assert container.exec_run("hostname").output == b"web\n"
    ended = container.attrs["State"]["Pid"]
    container.exec_run(["sh", "-c", "kill -TERM 1"])

    def came_back() -> bool:
        container.reload()
        return container.status == "running" and container.attrs["State"]["Pid"] != ended

    until(came_back, 30)
    container.remove(force=True)


def start(engine: dockerd.Engine, service: dict[str, Any]) -> Container:
    """Start a service of a compose file; a key that this does not know is an error."""
    words = {"image": "image", "container_name": "name", "hostname": "hostname", "platform": "platform"}
    words |= {"environment": "environment", "labels": "labels", "mem_limit": "mem_limit"}
    words |= {key: key for key in ("cap_add", "cap_drop", "cpu_shares", "security_opt", "sysctls")}
    arguments: dict[str, Any] = {}
    for key, value in service.items():
        match key:
            case "restart":
                arguments["restart_policy"] = {"Name": value}
            case "cpus":
                arguments["nano_cpus"] = round(value * 1_000_000_000)
            case "stop_grace_period" | "healthcheck":
                pass  # neither has a part in the start
            case "ports":
                pairs = [port.split(":") for port in value]
                arguments["ports"] = {f"{inside}/tcp": int(outside) for outside, inside in pairs}
            case _:
                arguments[words[key]] = value
    return engine.client.containers.run(detach=True, **arguments)
