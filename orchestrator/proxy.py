"""Gives workers the bytes of certain files and nothing else: the session that reads them stays here.

A worker gets URLs that hold a ticket. They reach the files that the ticket was made for, read-only, in ranges
and over TLS with a certificate of this process's making that the worker pins; and only until the ticket ends.
"""

from __future__ import annotations

import http.server
import logging
import re
import secrets
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from converters.disks.remote.values import HttpRange
from converters.errors import ConvertError
from orchestrator.errors import OrchestratorError

log = logging.getLogger(__name__)

_LARGEST_READ = 32 << 20
"""Bytes that are held for one answer."""
_CONNECTIONS = 256
_IDLE_SECONDS = 300.0
"""Until a connection without a request is closed."""
_PATH = re.compile(r"/([\w-]{43})/(\d{1,5})")
_RANGE = re.compile(r"bytes=(\d{1,19})-(\d{1,19})")


class Source(Protocol):
    """A file that a ticket may reach."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def version(self) -> str:
        """What tells whether it has changed; may be empty."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes; from any thread.

        Raises:
            OrchestratorError: ``retryable`` when the same read may succeed a little later.
        """


@dataclass(frozen=True, slots=True)
class _Ticket:
    sources: tuple[Source, ...]
    ends: float
    """By the monotonic clock."""


class Proxy:
    """A context manager: answers while it is entered."""

    def __init__(self, host: str, name: str = "") -> None:
        """Listen on a free port of ``host``; workers are told to find it at ``name``."""
        self._tickets: dict[str, _Ticket] = {}
        self._lock = threading.Lock()
        self._server = _Server((host, 0), self)
        self._name = name or host
        self._thread = threading.Thread(target=self._server.serve_forever, name="disk-proxy")
        self.sent = 0
        """Bytes of files given out so far."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.end()

    def issue(self, sources: Sequence[Source], seconds: float) -> tuple[str, tuple[HttpRange, ...]]:
        """A ticket for these files, and where each can be read, until it is ended or its time is over."""
        ticket = secrets.token_urlsafe(32)
        with self._lock:
            self._tickets[ticket] = _Ticket(tuple(sources), time.monotonic() + seconds)
        host = f"[{self._name}]" if ":" in self._name else self._name
        base = f"https://{host}:{self._server.server_address[1]}/{ticket}"
        thumbprint = self._server.thumbprint
        return ticket, tuple(
            HttpRange(f"{base}/{number}", source.size, thumbprint, source.version)
            for number, source in enumerate(sources)
        )

    def end(self, ticket: str) -> None:
        """Give out nothing more for the ticket; a second call does nothing."""
        with self._lock:
            self._tickets.pop(ticket, None)

    def find(self, path: str) -> Source | None:
        """What a request's path reaches."""
        if (asked := _PATH.fullmatch(path)) is None:
            return None
        with self._lock:
            ticket = self._tickets.get(asked[1])
        number = int(asked[2])
        if ticket is None or time.monotonic() > ticket.ends or number >= len(ticket.sources):
            return None
        return ticket.sources[number]

    def count(self, length: int) -> None:
        """So many bytes were given out."""
        with self._lock:
            self.sent += length


class _Server(http.server.ThreadingHTTPServer):
    """HTTPS, a thread for each connection, up to a bound."""

    daemon_threads = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], proxy: Proxy) -> None:
        self.proxy = proxy
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        # Here, as it takes long to import, and few runs need it.
        from orchestrator.own_identity import own_identity

        context, self.thumbprint = own_identity()
        super().__init__(address, _Handler)
        # Hands are shaken in the connection's own thread: one that is slow holds up nobody.
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self._places = threading.BoundedSemaphore(_CONNECTIONS)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the connection in a thread, unless there are too many."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In the connection's thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.discard(request)
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks, or speaks no TLS, is no news."""
        log.debug("a connection of %s to the disk proxy ended", client_address, exc_info=True)

    def end(self) -> None:
        """Break what is open, and wait for its threads."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    server: _Server

    def do_GET(self) -> None:
        """Answer with a range of a file."""
        proxy = self.server.proxy
        if (source := proxy.find(self.path)) is None:
            self._say(404, "no such ticket, or it is over")
            return
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        first, last = (int(asked[1]), int(asked[2])) if asked else (0, -1)
        if not first <= last < source.size or last - first >= _LARGEST_READ:
            self._say(416, "give a range within the file")
            return
        try:
            data = source.read(first, last + 1 - first)
        except (OrchestratorError, ConvertError) as error:
            log.info("a disk cannot be read for a worker: %s", error)
            self._say(503 if error.retryable and not error.kind.endswith("changed") else 410, str(error))
            return
        if proxy.find(self.path) is not source:  # the snapshot may have gone while it was read
            self._say(404, "the ticket ended meanwhile")
            return
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{source.size}")
        self.send_header("Content-Length", str(len(data)))
        if source.version:
            self.send_header("ETag", source.version)
        self.end_headers()
        self.wfile.write(data)
        proxy.count(len(data))

    def log_message(self, format: str, *args: Any) -> None:
        """Paths hold tickets: they are not logged."""

    def version_string(self) -> str:
        """Tells nobody which Python this is."""
        return "orchestrate"

    def _say(self, status: int, words: str) -> None:
        body = words.encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
