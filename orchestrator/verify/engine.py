"""A container engine by its API; the only home of Python's ``docker`` package in the product.

Whatever is made here is removed when its block ends, however it ends. What outlives that, because the process
was killed, carries the moment after which nobody wants it any more: the next verification removes it.
"""

from __future__ import annotations

import io
import os
import socket
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container

from converters import init
from converters.outputs.auth import Credentials
from orchestrator.errors import OrchestratorError

EXPIRES = "io.orchestrate.verify.expires"
"""Label with the time, in seconds since 1970, after which a container, network or volume is nobody's."""
PROBE = "/.orchestrate-probe"
"""The static init under another name, in a container of its own: it asks from inside a network name space."""
_CALL_SECONDS = 120
_CONNECT_SECONDS = 10
_USUAL = "unix:///var/run/docker.sock"
_USUAL_PORT = 2375
_LOG_LINES = 20
_LONGEST_LINE = 300


class VerifyError(OrchestratorError):
    """There is no verdict: the engine cannot be reached, or refuses what the compose file asks for."""

    kind = "verify"


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that somebody listens on."""

    protocol: str
    host: str
    port: int

    @property
    def reached_at(self) -> tuple[str, ...]:
        """Where it is reached from inside its name space, as ``ADDRESS:PORT``, the likeliest first."""
        match self.host:
            case "0.0.0.0":
                hosts: tuple[str, ...] = ("127.0.0.1",)
            case "::":  # for IPv4 too, unless its program said otherwise; and IPv6 may be off
                hosts = ("127.0.0.1", "[::1]")
            case host:
                hosts = (f"[{host}]" if ":" in host else host,)
        return tuple(f"{host}:{self.port}" for host in hosts)


class Engine:
    """A container engine; one thread uses it."""

    def __init__(self, url: str, credentials: Credentials | None = None) -> None:
        """Nothing is connected yet.

        Args:
            url: ``unix:///path`` or ``tcp://host:port``; empty: ``DOCKER_HOST``'s, or the usual socket.
            credentials: of the registry that images are pulled from; None: anonymous.
        """
        self._url = url or os.environ.get("DOCKER_HOST") or _USUAL
        self._credentials = credentials
        self._expires = "0"

    def __enter__(self) -> Self:
        with told(f"no container engine answers at {self._url}"):
            _require(self._url)
            self._client = docker.DockerClient(base_url=self._url, version="auto", timeout=_CALL_SECONDS)
            self._cpus = int(self._client.info()["NCPU"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def cpus(self) -> int:
        """Processors of its machine; it refuses containers that want more."""
        return self._cpus

    def begin(self, seconds: float) -> None:
        """Remove what killed verifications left, and mark what is made from now on as ours for so long."""
        with told("leftovers of an earlier verification cannot be removed"):
            self._remove_expired(time.time())
        self._expires = str(int(time.time() + seconds))

    @contextmanager
    def image(self, reference: str) -> Iterator[None]:
        """An image that the engine has; one that it had not before is removed again."""
        with told(f"the engine cannot pull {reference}", "it has to reach the registry, and to trust it"):
            try:
                self._client.images.get(reference)
                pulled = False
            except ImageNotFound:
                self._pull(reference)
                pulled = True
        try:
            yield
        finally:
            if pulled:
                # Another verification may use the same layers, or this very image; the engine then refuses.
                with suppress(DockerException, OSError):
                    self._client.images.remove(reference, noprune=False)

    @contextmanager
    def network(self, name: str) -> Iterator[str]:
        """A network of its own, from which nothing outside is reached."""
        with told(f"the engine makes no network {name}"):
            network = self._client.networks.create(
                name, driver="bridge", internal=True, labels=self._labels()
            )
        try:
            yield name
        finally:
            with suppress(NotFound), told(f"the network {name} is still there"):
                network.remove()

    @contextmanager
    def volume(self, name: str) -> Iterator[str]:
        """An empty volume."""
        with told(f"the engine makes no volume {name}"):
            volume = self._client.volumes.create(name, labels=self._labels())
        try:
            yield name
        finally:
            with suppress(NotFound), told(f"the volume {name} is still there"):
                volume.remove(force=True)

    @contextmanager
    def container(
        self, arguments: Mapping[str, Any], files: Mapping[str, tuple[bytes, int]] | None = None
    ) -> Iterator[Started]:
        """A container at work.

        Args:
            arguments: of the ``docker`` package.
            files: content and mode of files that are put into it before it starts, by path.
        """
        labels = {**(arguments.get("labels") or {}), **self._labels()}
        what = str(arguments.get("name", arguments.get("image")))
        with ExitStack() as stack:
            with told(f"the engine makes no container {what}"):
                container = self._client.containers.create(**{**arguments, "labels": labels})
                stack.callback(_remove, container)
                if files:
                    container.put_archive("/", _archive(files))
                container.start()
            yield Started(container)

    @contextmanager
    def probe(self, image: str, network: str, architecture: str) -> Iterator[Probe]:
        """Somebody who looks from inside a network name space.

        Args:
            image: any that the engine has; none of its programs is run.
            network: as the engine's API takes it: ``container:ID``.
            architecture: of the image, in OCI's words.
        """
        arguments = {
            "image": image,
            "entrypoint": [PROBE],
            "command": ["--hold"],
            "user": "0:0",
            "network_mode": network,
            "cap_drop": ["ALL"],
        }
        program = {PROBE: (init.program(architecture), 0o755)}
        with self.container(arguments, program) as started:
            yield Probe(started)

    def _labels(self) -> dict[str, str]:
        return {EXPIRES: self._expires}

    def _pull(self, reference: str) -> None:
        held = self._credentials
        auth = {"username": held.username, "password": held.password} if held else None
        for line in self._client.api.pull(reference, stream=True, decode=True, auth_config=auth):
            if "error" in line:
                raise DockerException(line["error"])

    def _remove_expired(self, now: float) -> None:
        filters: dict[str, str | list[str] | bool] = {"label": EXPIRES}
        for container in self._client.containers.list(all=True, filters=filters):
            if _expired(container.labels, now):
                _remove(container)
        for network in self._client.networks.list(filters=filters):
            if _expired(network.attrs.get("Labels") or {}, now):
                network.remove()
        for volume in self._client.volumes.list(filters=filters):
            if _expired(volume.attrs.get("Labels") or {}, now):
                volume.remove(force=True)


class Started:
    """A container that was started."""

    def __init__(self, container: Container) -> None:
        self._container = container

    @property
    def id(self) -> str:
        """As the engine names it."""
        return str(self._container.id)

    def ended(self) -> int | None:
        """Its exit status; None while it runs."""
        with told("the engine does not tell how a container is"):
            self._container.reload()
            state = self._container.attrs["State"]
        return None if state["Running"] else int(state["ExitCode"])

    def log(self) -> tuple[str, ...]:
        """Its last lines, printable and bounded."""
        with told("the engine gives no log"):
            text = self._container.logs(tail=_LOG_LINES).decode("utf-8", "backslashreplace")
        lines = ("".join(one if one.isprintable() else "·" for one in line) for line in text.splitlines())
        return tuple(line[:_LONGEST_LINE] for line in lines)

    def run(self, *command: str) -> tuple[int, bytes, bytes]:
        """Exit status, output and errors of a command in the container."""
        with told("the engine runs no command in a container"):
            result = self._container.exec_run(list(command), demux=True)
        output, errors = (part if isinstance(part, bytes) else b"" for part in result.output)
        return int(result.exit_code or 0), output, errors

    def users(self) -> tuple[int, ...]:
        """Whose processes run in it, by number."""
        with suppress(DockerException, OSError, ValueError):
            table = self._container.top(ps_args="-eo uid,pid")
            column = table["Titles"].index("UID")
            return tuple(sorted({int(row[column]) for row in table["Processes"] or ()}))
        return ()

    def privileged(self) -> bool:
        """Whether the engine gave it all that there is: devices, capabilities, or the host's own view."""
        host = self._container.attrs["HostConfig"]
        return bool(
            host["Privileged"]
            or host["PidMode"] == "host"
            or host["NetworkMode"] == "host"
            or "ALL" in (host["CapAdd"] or ())
        )

    def ask_to_end(self) -> None:
        """Send the signal that its image names for that; whoever ends before is not asked."""
        signal = self._container.attrs["Config"].get("StopSignal") or "SIGTERM"
        with suppress(APIError, OSError):
            self._container.kill(signal)


class Probe:
    """Looks and asks from inside a network name space."""

    def __init__(self, started: Started) -> None:
        self._started = started

    def sockets(self) -> frozenset[Listening]:
        """What listens there."""
        _, output, _ = self._started.run(PROBE, "--sockets")
        return frozenset(_listening(output.decode("ascii", "replace")))

    def ask(self, target: Listening, words: bytes, seconds: float) -> bytes | None:
        """What is answered to ``words``; None when nobody takes the connection, or no answer comes by UDP."""
        for address in target.reached_at:
            command = ("--ask", target.protocol, address, f"{seconds:.1f}", words.hex())
            status, output, _ = self._started.run(PROBE, *command)
            if status == 0:
                return output
        return None


@contextmanager
def told(what: str, hint: str = "") -> Iterator[None]:
    """Give the engine's errors as ``VerifyError``."""
    try:
        yield
    except (DockerException, OSError) as error:
        raise VerifyError(f"{what}: {error}", hint or "say which engine: --verify-engine") from error


def _require(url: str) -> None:
    """Whether anybody is there; the package leaves a connection open when nobody is. Raises ``OSError``."""
    parsed = urlsplit(url)
    if parsed.scheme == "unix":
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_CONNECT_SECONDS)
            probe.connect(parsed.path)
    else:
        address = (parsed.hostname or "", parsed.port or _USUAL_PORT)
        with socket.create_connection(address, timeout=_CONNECT_SECONDS):
            pass


def _listening(text: str) -> Iterator[Listening]:
    for line in text.splitlines():
        protocol, _, address = line.partition(" ")
        host, _, port = address.rpartition(":")
        if port.isdecimal():
            yield Listening(protocol, host.strip("[]").removeprefix("::ffff:"), int(port))


def _expired(labels: Mapping[str, str], now: float) -> bool:
    written = labels.get(EXPIRES, "")
    return written.isdecimal() and int(written) < now


def _remove(container: Container) -> None:
    with suppress(NotFound), told("a container is still there"):
        container.remove(force=True, v=True)


def _archive(files: Mapping[str, tuple[bytes, int]]) -> bytes:
    """The files as a tar archive from the root directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (content, mode) in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
