"""A PostgreSQL server for tests: Debian's ``postgresql`` on loopback, with a data folder of its own."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from converters.process import MINIMAL_ENVIRONMENT, ProcessError, Running, run
from converters.process import running as process_running
from deploy.demo.registry import free_port
from deploy.demo.service import wait_until

_VERSIONS = Path("/usr/lib/postgresql")
_USER = "orchestrate"
_HOST = "127.0.0.1"
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
_SMALL = ("max_connections=60", "shared_buffers=16MB", "logging_collector=off")


class Postgres:
    """A server that can be stopped, killed and started again on the same port with the same content."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.password = secrets.token_urlsafe(12)
        self.address = f"{_HOST}:{port}"
        """``host:port``."""
        self._folder = folder
        self._data = folder / "data"
        self._programs = _programs()
        self._as_user = _as_unprivileged_user(folder)
        self._stack = ExitStack()
        self._process: Running | None = None
        self._initialise()

    def start(self) -> None:
        """Start it and wait until it takes connections; it ends with the thread that called this.

        Raises:
            ProcessError: it ended, or is not ready in time.
        """
        settings = (*_SMALL, f"listen_addresses={_HOST}", f"unix_socket_directories={self._folder}")
        argv = [*self._as_user, str(self._programs / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        argv += [word for setting in settings for word in ("-c", setting)]
        self._process = self._stack.enter_context(process_running(argv, cwd=str(self._folder)))
        wait_until(self._process, self._is_ready, _START_SECONDS)

    def stop(self) -> None:
        """End it at once and in order, as a service manager does; connections are cut."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGINT)
            self._process.wait(_STOP_SECONDS)
        self._process = None
        self._stack.close()

    def kill(self) -> None:
        """End it as a power failure would."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(_STOP_SECONDS)
        self._process = None
        self._stack.close()

    def database(self, name: str) -> str:
        """Make an empty database; gives its URL, without the password."""
        self.sql(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def url(self, name: str, address: str = "") -> str:
        """The URL of a database, without the password; ``address`` is that of a proxy before the server."""
        return f"postgresql://{_USER}@{address or self.address}/{name}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What ``psql`` prints for a statement: a row a line, columns divided by ``|``."""
        argv: tuple[str, ...] = (str(self._programs / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", _HOST)
        argv += ("-p", str(self.port), "-U", _USER, "-d", database, "-c", statement)
        return run(argv, env={**MINIMAL_ENVIRONMENT, "PGPASSWORD": self.password}).stdout.decode()

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(self.password)
        shutil.chown(password, *_owner(self._folder))
        argv = [
            *self._as_user,
            str(self._programs / "initdb"),
            "-D",
            str(self._data),
            "-U",
            _USER,
            "-E",
            "UTF8",
        ]
        run([*argv, "--no-sync", "--auth=scram-sha-256", f"--pwfile={password}"], cwd=str(self._folder))
        password.unlink()

    def _is_ready(self) -> bool:
        argv = (str(self._programs / "pg_isready"), "-q", "-h", _HOST, "-p", str(self.port))
        return run(argv, accept=(0, 1, 2)).returncode == 0


@contextmanager
def running() -> Iterator[Postgres]:
    """A running server with an empty data folder; both gone on the way out.

    Raises:
        ProcessError: the Debian package is not installed, or the server does not start.
    """
    with tempfile.TemporaryDirectory(prefix="orchestrate-postgres-") as folder, ExitStack() as stack:
        server = Postgres(Path(folder), free_port())
        stack.callback(server.stop)
        server.start()
        yield server


def _programs() -> Path:
    """The programs of the newest version that is installed; Debian keeps the server's off the PATH."""
    found = sorted(_VERSIONS.glob("*/bin/postgres"), key=lambda path: float(path.parts[-3]))
    if not found:
        raise ProcessError("PostgreSQL is not installed", "install the Debian package postgresql")
    return found[-1].parent


def _as_unprivileged_user(folder: Path) -> list[str]:
    """The words before a program of the server, which refuses to run as root."""
    if os.getuid() != 0:
        return []
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    # The kernel forgets the signal that binds a child to its parent when the child changes its user.
    return [
        "setpriv",
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "--pdeathsig=KILL",
    ]


def _owner(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_uid, status.st_gid
