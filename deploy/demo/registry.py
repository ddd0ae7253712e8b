"""A registry for demo and tests: Debian's ``docker-registry`` on loopback, with a folder of its own."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import socket
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from converters.process import Running, running
from deploy.demo.certificates import Certificates
from deploy.demo.service import wait_until

_START_SECONDS = 20.0
_HOST = "127.0.0.1"


class Registry:
    """A registry that can be stopped, killed and started again on the same port with the same content."""

    def __init__(
        self,
        folder: Path,
        port: int,
        users: Mapping[str, str],
        tls: Certificates | None,
        probe: httpx.Client,
        deletes: bool = True,
    ) -> None:
        self.folder = folder
        """Configuration, content and log."""
        self.address = f"{_HOST}:{port}"
        """``host:port``, as image references begin; container engines allow plain HTTP to it."""
        self.url = f"{'https' if tls else 'http'}://{self.address}"
        self._configuration = folder / "config.json"
        configuration = _configuration(folder, self.address, users, tls, deletes)
        self._configuration.write_text(json.dumps(configuration))
        self._probe = probe
        self._process: Running | None = None
        self._stack = ExitStack()

    def start(self) -> None:
        """Start it and wait until it answers; it ends with the thread that called this.

        Raises:
            ProcessError: it is not installed, ended, or does not answer in time.
        """
        argv = ("docker-registry", "serve", str(self._configuration))
        self._process = self._stack.enter_context(running(argv, cwd=str(self.folder)))
        wait_until(self._process, self._answers, _START_SECONDS)

    def stop(self) -> None:
        """End it as a service manager would; nothing when it does not run."""
        self._process = None
        self._stack.close()

    def kill(self) -> None:
        """End it as a power failure would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self.stop()

    def _answers(self) -> bool:
        try:
            status = self._probe.get(f"{self.url}/v2/").status_code
        except httpx.TransportError:
            return False
        return status in (httpx.codes.OK, httpx.codes.UNAUTHORIZED)


@contextmanager
def registry(
    folder: Path | None = None,
    *,
    port: int | None = None,
    users: Mapping[str, str] | None = None,
    tls: Certificates | None = None,
    deletes: bool = True,
) -> Iterator[Registry]:
    """A running registry; stopped on the way out.

    Args:
        folder: where content and configuration stay; default: a temporary one.
        port: default: a free one.
        users: passwords by name; without any, everybody may read and write.
        tls: serve HTTPS with this certificate; default: plain HTTP.
        deletes: whether blobs may be deleted.
    """
    with ExitStack() as stack:
        if folder is None:
            temporary = tempfile.TemporaryDirectory(prefix="orchestrate-registry-")
            folder = Path(stack.enter_context(temporary))
        folder.mkdir(parents=True, exist_ok=True)
        trust = ssl.create_default_context(cafile=str(tls.ca) if tls else None)
        probe = stack.enter_context(httpx.Client(verify=trust, trust_env=False, timeout=2))
        server = Registry(folder, port or free_port(), users or {}, tls, probe, deletes)
        stack.callback(server.stop)
        server.start()
        yield server


def free_port() -> int:
    """A port of the loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


def _configuration(
    folder: Path, address: str, users: Mapping[str, str], tls: Certificates | None, deletes: bool
) -> dict[str, object]:
    """The registry's configuration; JSON is YAML."""
    # The secret signs the state of uploads: with a fixed one they outlive a restart.
    http: dict[str, object] = {"addr": address, "secret": "a registry for demo and tests on loopback"}
    if tls:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    configuration: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(folder / "content")},
            "cache": {"blobdescriptor": "inmemory"},
            "delete": {"enabled": deletes},
        },
        "http": http,
    }
    if users:
        passwords = folder / "htpasswd"
        passwords.write_text("".join(f"{name}:{_bcrypt(password)}\n" for name, password in users.items()))
        configuration["auth"] = {"htpasswd": {"realm": "demo", "path": str(passwords)}}
    return configuration


def _bcrypt(password: str) -> str:
    """A password hash that ``docker-registry`` accepts (crypt(5)), by the C library that ``login`` uses."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    setting = "$2b$05$" + secrets.token_hex(11)
    return str(crypt(password.encode(), setting.encode()).decode())
