"""Reads ranges of a file over HTTP: the one place where that is tried again."""

from __future__ import annotations

import hashlib
import http.client
import logging
import re
import socket
import ssl
import threading
from contextlib import suppress
from urllib.parse import urlsplit

import tenacity

from converters.disks.remote.values import HttpRange, version_of
from converters.errors import StreamError

log = logging.getLogger(__name__)

_IDLE_SECONDS = 60.0
"""Without a byte, until a connection counts as dead."""
_WORDS = 500
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
_HINT = "see the log of the orchestrator, through which workers read"


class _PassingError(Exception):
    """What another try may mend."""


class RangeClient:
    """One file on an HTTP server; thread-safe, with a connection for each thread that reads at one time."""

    def __init__(self, file: HttpRange, patience: float) -> None:
        """``patience`` is how many seconds the server may stay away before a read fails."""
        parts = urlsplit(file.url)
        self._place = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
        self._target = parts.path + (f"?{parts.query}" if parts.query else "")
        self._secure = parts.scheme == "https"
        self._file = file
        self._patience = patience
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._busy: set[http.client.HTTPConnection] = set()
        self._ended = threading.Event()
        self._received = 0

    @property
    def received(self) -> int:
        """Bytes of the file that came so far."""
        return self._received

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes of the file, which must lie within it.

        Raises:
            StreamError: the server refuses them or stays away, or the file is not what it was.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_PassingError),
            stop=tenacity.stop_after_delay(self._patience) | tenacity.stop_when_event_set(self._ended),
            wait=tenacity.wait_exponential_jitter(multiplier=0.1, max=10.0, jitter=0.1),
            before_sleep=tenacity.before_sleep_log(log, logging.INFO),
            sleep=tenacity.sleep_using_event(self._ended),
            reraise=True,
        )
        try:
            data: bytes = retrying(self._once, offset, length)
        except _PassingError as error:
            raise StreamError(f"cannot read from {self._place}: {error}", _HINT) from error
        with self._lock:
            self._received += length
        return data

    def close(self) -> None:
        """Close every connection, and end what waits for an answer; a second call does nothing."""
        self._ended.set()
        with self._lock:
            idle, self._idle = self._idle, []
            for connection in self._busy:
                if connection.sock is not None:
                    with suppress(OSError):
                        connection.sock.shutdown(socket.SHUT_RDWR)
        for connection in idle:
            connection.close()

    def _once(self, offset: int, length: int) -> bytes:
        connection, reusable = self._take(), False
        try:
            data = self._exchange(connection, offset, length)
            reusable = True
            return data
        except (OSError, http.client.HTTPException) as error:
            raise _PassingError(f"{type(error).__name__}: {error}") from error
        finally:
            self._give_back(connection, reusable)

    def _take(self) -> http.client.HTTPConnection:
        with self._lock:
            connection = self._idle.pop() if self._idle else self._new()
            self._busy.add(connection)
            return connection

    def _new(self) -> http.client.HTTPConnection:
        if not self._secure:
            return http.client.HTTPConnection(self._place, timeout=_IDLE_SECONDS)
        return _Pinned(self._place, self._file.thumbprint)

    def _give_back(self, connection: http.client.HTTPConnection, reusable: bool) -> None:
        with self._lock:
            self._busy.discard(connection)
            if reusable and not self._ended.is_set():
                self._idle.append(connection)
                return
        connection.close()

    def _exchange(self, connection: http.client.HTTPConnection, offset: int, length: int) -> bytes:
        wanted = f"bytes={offset}-{offset + length - 1}"
        connection.request("GET", self._target, headers={"Range": wanted, "Accept-Encoding": "identity"})
        answer = connection.getresponse()
        if answer.status != http.client.PARTIAL_CONTENT:
            said = _words(answer)
            if answer.status in _PASSING:
                raise _PassingError(f"{answer.status} {said}")
            raise StreamError(f"{self._place} does not give the disk: {answer.status} {said}", _HINT)
        self._check(answer, offset, length)
        data = bytearray(length)
        view, got = memoryview(data), 0
        while got < length and (count := answer.readinto(view[got:])):
            got += count
        if got < length or answer.read(1):
            raise http.client.IncompleteRead(b"", length - got)
        return bytes(data)

    def _check(self, answer: http.client.HTTPResponse, offset: int, length: int) -> None:
        """Whether the answer holds what was asked for, of the file as it was."""
        found = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if found is None or (int(found[1]), int(found[2])) != (offset, offset + length - 1):
            raise StreamError(f"{self._place} gives another range of the disk than was asked for", _HINT)
        if int(found[3]) != self._file.size:
            raise StreamError(
                f"a file of the disk changed while it was read: from {self._file.size} to {found[3]} bytes"
            )
        version = version_of(answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
        if self._file.version and version != self._file.version:
            raise StreamError(f"a file of the disk changed while it was read ({version or 'no version'})")


def _words(answer: http.client.HTTPResponse) -> str:
    """What the server says of a refusal, as one line of plain characters."""
    text = answer.read(_WORDS).decode("utf-8", "replace") or answer.reason
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


class _Pinned(http.client.HTTPSConnection):
    """Trusts one certificate by its thumbprint, if there is one, before anything is sent."""

    def __init__(self, place: str, thumbprint: str) -> None:
        context = ssl.create_default_context()
        if thumbprint:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        super().__init__(place, timeout=_IDLE_SECONDS, context=context)
        self._thumbprint = thumbprint

    def connect(self) -> None:
        """Shake hands, then compare."""
        super().connect()
        if not self._thumbprint:
            return
        certificate = self.sock.getpeercert(True) or b""
        digest = hashlib.new("sha1" if len(self._thumbprint) == 40 else "sha256", certificate).hexdigest()
        if digest != self._thumbprint:
            self.close()
            raise StreamError(f"{self.host}:{self.port} shows the certificate {digest}, not the pinned one")
