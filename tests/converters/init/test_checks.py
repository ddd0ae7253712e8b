"""Whether a service is there: the init's looks at a port."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest


def _asks(init: Path, *words: str) -> int:
    return subprocess.run([init, *words], capture_output=True, timeout=20, check=False).returncode


@pytest.mark.parametrize(
    ("family", "kind", "protocol"),
    [
        (socket.AF_INET, socket.SOCK_STREAM, "tcp"),
        (socket.AF_INET6, socket.SOCK_STREAM, "tcp"),
        (socket.AF_INET, socket.SOCK_DGRAM, "udp"),
    ],
)
def test_a_port_is_seen_without_a_connection(init: Path, family: int, kind: int, protocol: str) -> None:
    with socket.socket(family, kind) as bound:
        bound.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        number = bound.getsockname()[1]
        if protocol == "tcp":
            assert _asks(init, "--listens", f"{number}/tcp") == 1
            bound.listen()
        assert _asks(init, "--listens", f"{number}/{protocol}") == 0
        if protocol == "tcp":
            bound.setblocking(False)
            with pytest.raises(BlockingIOError):
                bound.accept()
    assert _asks(init, "--listens", f"{number}/{protocol}") == 1


@pytest.mark.parametrize("port", ["", "80", "80/sctp", "x/tcp", "99999/tcp"])
def test_what_is_no_port_does_not_listen(init: Path, port: str) -> None:
    assert _asks(init, "--listens", port) == 1


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.removeprefix("/")))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def _web() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_page_is_asked_for(init: Path) -> None:
    with _web() as port:
        found = {path: _asks(init, "--answers", str(port), path) for path in ("/200", "/302", "/404", "/503")}
    assert found == {"/200": 0, "/302": 0, "/404": 1, "/503": 1}
    assert _asks(init, "--answers", str(port), "/200") == 1
    assert _asks(init, "--answers", "80", "no path\r\n") == 1
