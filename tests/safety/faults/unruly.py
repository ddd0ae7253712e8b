"""A way to a registry on which single requests meet a fault: an HTTP proxy on the loopback interface."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_TIMEOUT = 20.0
_RESET = struct.pack("ii", 1, 0)
"""``SO_LINGER`` of no time: closing sends a reset."""


class What(StrEnum):
    """What becomes of a request."""

    ANSWER = "answer"
    """It is answered here, with ``Trouble.status``."""
    HALF = "half"
    """Half of its body reaches the registry; then both connections are reset."""
    FORGET = "forget"
    """The registry is told to forget the upload before it gets the request."""
    DAMAGE = "damage"
    """A byte of its body is another when it arrives."""
    SILENCE = "silence"
    """The connection is reset, nothing reaches the registry."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault of requests for one repository."""

    method: str
    """Empty: any."""
    path: str
    """What the path holds after the repository: ``blobs/uploads/``, ``manifests/``."""
    what: What = What.ANSWER
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    count: int = 1
    """How many requests are hit; 0: all."""


@dataclass(slots=True)
class Unruly:
    """Where clients connect, what becomes of their requests, and when they came."""

    address: str
    troubles: dict[str, Sequence[Trouble]] = field(default_factory=dict)
    """By the last part of the repository's name."""
    arrived: dict[str, list[float]] = field(default_factory=dict)
    """When requests that met a fault came, and those after them, by the same; seconds by a steady clock."""
    _hits: Counter[tuple[str, int]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def meet(self, method: str, path: str) -> Trouble | None:
        """What a request meets that comes now."""
        with self._lock:
            for name, troubles in self.troubles.items():
                _, found, rest = path.partition(f"/{name}/")
                if not found:
                    continue
                if self.arrived.get(name):
                    self.arrived[name].append(time.monotonic())
                for number, trouble in enumerate(troubles):
                    hits = self._hits[name, number]
                    if trouble.method not in ("", method) or not rest.startswith(trouble.path):
                        continue
                    if trouble.count and hits >= trouble.count:
                        continue
                    self._hits[name, number] += 1
                    self.arrived.setdefault(name, []).append(time.monotonic())
                    return trouble
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    unruly: Unruly
    target: str

    def log_message(self, *args: object) -> None:
        """Nothing is said."""

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        trouble = self.unruly.meet(self.command, self.path)
        if trouble is None:
            self._forward(body)
            return
        match trouble.what:
            case What.ANSWER:
                self._answer(trouble.status, trouble.headers, json.dumps({"errors": []}).encode())
            case What.FORGET:
                self._ask("DELETE", b"")
                self._forward(body)
            case What.DAMAGE:
                self._forward(bytes([body[0] ^ 0xFF]) + body[1:])
            case What.HALF:
                self._send_half(body)
                self._reset()
            case What.SILENCE:
                self._reset()

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = _pass

    def _forward(self, body: bytes) -> None:
        status, headers, content = self._ask(self.command, body)
        self._answer(status, headers, content)

    def _ask(self, method: str, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
        server = http.client.HTTPConnection(self.target, timeout=_TIMEOUT)
        try:
            headers = {**self.headers, "Content-Length": str(len(body))}
            server.request(method, self.path, body, headers)
            answer = server.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            server.close()

    def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content)

    def _send_half(self, body: bytes) -> None:
        server = http.client.HTTPConnection(self.target, timeout=_TIMEOUT)
        try:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                server.putheader(name, value)
            server.endheaders()
            server.send(body[: len(body) // 2])
        finally:
            server.close()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close_connection = True


@contextmanager
def unruly(target: str) -> Iterator[Unruly]:
    """A way to the registry at ``target`` (``host:port``) while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    made = Unruly(f"127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = type("Handler", (_Handler,), {"unruly": made, "target": target})
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="unruly")
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
