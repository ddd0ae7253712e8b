"""What the init tells of a network name space, and how it asks those who listen there."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HELLO = b"220 here\r\n"


def said(init: Path, *words: str) -> tuple[int, bytes]:
    """Exit status and output."""
    done = subprocess.run([str(init), *words], stdout=subprocess.PIPE, timeout=20, check=False)
    return done.returncode, done.stdout


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """A server that says ``answer`` to its only client; its port, and what it heard."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(0.5)
                connection.sendall(answer)
                try:
                    heard.append(connection.recv(100))
                except TimeoutError:
                    heard.append(b"")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], heard
        finally:
            thread.join()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "127.0.0.2"])
def test_it_lists_who_listens(init: Path, host: str) -> None:
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        stream.bind((host, 0))
        datagram.bind((host, 0))
        tcp = f"tcp {host}:{stream.getsockname()[1]}"
        udp = f"udp {host}:{datagram.getsockname()[1]}"
        before = said(init, "--sockets")[1].decode().splitlines()
        stream.listen()
        after = said(init, "--sockets")[1].decode().splitlines()
    assert tcp not in before
    assert tcp in after
    assert udp in after


def test_it_lists_ipv6(init: Path) -> None:
    try:
        listening = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with listening:
        port = listening.getsockname()[1]
        assert f"tcp [::1]:{port}" in said(init, "--sockets")[1].decode().splitlines()
        assert said(init, "--ask", "tcp", f"[::1]:{port}", "0.1", "") == (0, b"")


def test_it_hears_who_speaks_first(init: Path) -> None:
    with answering(HELLO) as (port, _):
        assert said(init, "--ask", "tcp", f"127.0.0.1:{port}", "5", "") == (0, HELLO)


def test_it_says_what_it_is_told(init: Path) -> None:
    with answering(b"") as (port, heard):
        assert said(init, "--ask", "tcp", f"127.0.0.1:{port}", "5", b"PING\r\n".hex()) == (0, b"")
    assert heard == [b"PING\r\n"]


def test_nobody_there(init: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert said(init, "--ask", "tcp", f"127.0.0.1:{port}", "1", "") == (1, b"")
        assert said(init, "--ask", "udp", f"127.0.0.1:{port}", "1", "00") == (1, b"")


@pytest.mark.parametrize(
    "words",
    [("sctp", "127.0.0.1:1", "1", ""), ("tcp", "localhost", "1", ""), ("tcp", "127.0.0.1:1", "1", "0")],
)
def test_wrong_words(init: Path, words: tuple[str, ...]) -> None:
    assert said(init, "--ask", *words)[0] == 64
