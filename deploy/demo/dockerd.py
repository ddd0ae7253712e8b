"""A Docker Engine of our own, apart from one that the machine may run: its own data, socket and bridge."""

from __future__ import annotations

import ipaddress
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import docker
from docker.models.containers import Container

from converters import process
from converters.process import ProcessError
from deploy.demo import service

_START_SECONDS = 60.0
_STOP_SECONDS = 25.0
_NETWORKS = ipaddress.IPv4Network("10.213.0.0/16")
"""Of these each engine takes one of 256 addresses."""


class EngineUnavailableError(ProcessError):
    """No Docker Engine can be started here; the message says why."""

    kind = "engine-unavailable"


class Engine:
    """A running Docker Engine behind a unix socket."""

    def __init__(self, socket: Path) -> None:
        self.home = socket.parent
        """The folder of everything that is its own."""
        self.socket = socket
        self.client = docker.DockerClient(base_url=f"unix://{socket}", version="auto", timeout=120)

    def environment(self) -> dict[str, str]:
        """The variable with which the ``docker`` command uses this engine."""
        return {"DOCKER_HOST": f"unix://{self.socket}"}

    def close(self) -> None:
        """Remove all containers, without the ten seconds that stopping one may take, and end connections."""
        for container in self.client.containers.list(all=True):
            container.remove(force=True)
        self.client.close()

    def pull(self, reference: str) -> None:
        """Fetch an image.

        Raises:
            ProcessError: the registry does not give it, or the engine cannot use it.
        """
        for line in self.client.api.pull(reference, stream=True, decode=True):
            if "error" in line:
                raise ProcessError(f"the engine cannot pull {reference}: {line['error']}")

    def address(self, container: Container) -> str:
        """IP address at which this machine reaches a container."""
        container.reload()
        return str(container.attrs["NetworkSettings"]["IPAddress"])


@contextmanager
def running(*insecure_registries: str) -> Iterator[Engine]:
    """A Docker Engine; plain HTTP is right for registries on loopback, and for those named.

    It runs in process and mount namespaces of its own: when it ends, however it ends, the kernel ends its
    containers too. It leaves the firewall alone: containers reach this machine and each other, nothing else.

    Raises:
        EngineUnavailableError: not root, not installed, or it does not start.
    """
    if os.geteuid() != 0:
        raise EngineUnavailableError("a Docker Engine needs root")
    for program in ("dockerd", "containerd", "runc", "ip"):
        if shutil.which(program) is None:
            raise EngineUnavailableError(
                f"`{program}` is not installed", "install the Debian package docker.io"
            )
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="orchestrate-engine-")))
        try:
            bridge, network = stack.enter_context(_bridge())
            # There containerd writes its stacks; the engine asks for them when it is slow to answer.
            environment = {**process.MINIMAL_ENVIRONMENT, "TMPDIR": str(home)}
            command = _command(home, bridge, network, insecure_registries)
            child = stack.enter_context(process.running(command, env=environment, patience=_STOP_SECONDS))
            socket = home / "docker.sock"
            service.wait_until(child, socket.exists, _START_SECONDS)
            engine = Engine(socket)
            stack.callback(engine.close)
        except (ProcessError, docker.errors.DockerException) as error:
            raise EngineUnavailableError(f"no Docker Engine can be started here: {error}") from error
        yield engine


def _command(home: Path, bridge: str, network: str, insecure: tuple[str, ...]) -> list[str]:
    return [
        *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *("dockerd", "--host", f"unix://{home}/docker.sock", "--log-level=warn"),
        *("--data-root", f"{home}/data", "--exec-root", f"{home}/exec", "--pidfile", f"{home}/dockerd.pid"),
        *("--bridge", bridge, "--fixed-cidr", network),
        *("--iptables=false", "--ip-masq=false", "--ip-forward=false"),
        *(f"--insecure-registry={registry}" for registry in insecure),
    ]


@contextmanager
def _bridge() -> Iterator[tuple[str, str]]:
    """A network bridge that exists for as long as this process, and its network."""
    _remove_stale_bridges()
    name = f"orch{os.getpid()}"
    network = _free_network()
    _ip("link", "add", name, "type", "bridge")
    try:
        _ip("address", "add", f"{network[1]}/{network.prefixlen}", "dev", name)
        _ip("link", "set", name, "up")
        yield name, str(network)
    finally:
        _ip("link", "delete", name)


def _free_network() -> ipaddress.IPv4Network:
    """One of ``_NETWORKS`` that no interface has; engines that start at once begin to look apart."""
    taken = process.run(["ip", "-4", "-oneline", "address"]).stdout.decode()
    networks = list(_NETWORKS.subnets(new_prefix=24))
    first = os.getpid() % len(networks)
    free = (one for one in networks[first:] + networks[:first] if f"{one[1]}/" not in taken)
    found = next(free, None)
    if found is None:
        raise ProcessError(f"every network of {_NETWORKS} is in use")
    return found


def _remove_stale_bridges() -> None:
    """Bridges of processes that were killed."""
    for path in Path("/sys/class/net").glob("orch*"):
        owner = path.name.removeprefix("orch")
        if owner.isdigit() and not Path("/proc", owner).exists():
            _ip("link", "delete", path.name)


def _ip(*arguments: str) -> None:
    process.run(["ip", *arguments])
