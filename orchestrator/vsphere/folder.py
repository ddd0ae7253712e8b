"""Reads files of datastores through vCenter, in ranges, with the session that everything else uses."""

from __future__ import annotations

import http.client
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from converters.disks.remote.values import version_of
from orchestrator.errors import DisksChangedError, VCenterBusyError, VCenterError
from orchestrator.vsphere import tls
from orchestrator.vsphere.properties import one
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.settings import PRODUCT

_IDLE_SECONDS = 60.0
_KEEP_SECONDS = 10.0
"""For which a connection without a request is used again: servers close them at some time."""
_LOGINS = 3
"""For one read: an administrator may end the new session, too, yet not for ever."""
_REFUSED = (http.client.UNAUTHORIZED, http.client.FORBIDDEN)
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_WHOLE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


class RefusedError(VCenterError):
    """vCenter does not give the file: it is not there, or the account may not read it."""

    kind = "datastore-refused"


@dataclass(frozen=True, slots=True)
class FolderFile:
    """A file as it was when it was looked at."""

    target: str
    """Path and query of its URL."""
    size: int
    """Bytes."""
    version: str
    """What tells whether it has changed; empty when vCenter does not say."""


@dataclass(frozen=True, slots=True)
class _Range:
    data: bytes
    size: int
    version: str


class Folder:
    """vCenter's ``/folder``; thread-safe. At most ``connections`` reads go on at one time."""

    def __init__(self, session: Session, connections: int) -> None:
        self._session = session
        self._slots = threading.BoundedSemaphore(connections)
        self._lock = threading.Lock()
        self._idle: list[tuple[float, tls.Connection]] = []
        """Since when, and what."""
        self._context = tls.context(session.settings)

    @property
    def place(self) -> str:
        """``host:port`` of the vCenter."""
        settings = self._session.settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return f"{host}:{settings.port}"

    def look(self, target: str) -> FolderFile:
        """The file as it is now.

        Raises:
            RefusedError: it is not there, or may not be read, or not in ranges.
            VCenterBusyError: vCenter is away or overloaded.
        """
        found = self._read(target, 0, 1)
        return FolderFile(target, found.size, found.version)

    def head(self, target: str, length: int) -> bytes:
        """The first bytes of a file, all of it if it is shorter. Raises as ``look``."""
        return self._read(target, 0, length).data

    def read(self, file: FolderFile, offset: int, length: int) -> bytes:
        """Exactly these bytes.

        Raises:
            DisksChangedError: it is not the file that was looked at any more, or gone.
            VCenterBusyError: vCenter is away or overloaded.
        """
        try:
            found = self._read(file.target, offset, length)
        except RefusedError as error:
            raise DisksChangedError(f"a file of the disk cannot be read any more: {error.message}") from error
        if (found.size, found.version) != (file.size, file.version):
            raise DisksChangedError("a file of the disk changed while it was read", "see who consolidates it")
        if len(found.data) != length:
            raise DisksChangedError("a file of the disk ends before it should")
        return found.data

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _read(self, target: str, offset: int, length: int) -> _Range:
        for attempt in range(_LOGINS + 1):
            seen = self._session.generation
            with self._slots, self._connection() as connection:
                answer = self._ask(connection, target, offset, length)
                if answer.status == http.client.PARTIAL_CONTENT:
                    return _range(answer, offset)
                said = answer.reason
                answer.read()
            if answer.status in _REFUSED and attempt < _LOGINS and self._ended(seen):
                continue
            if answer.status in _PASSING:
                raise VCenterBusyError(
                    f"{self.place} answers {answer.status} {said} to a read of a datastore"
                )
            break
        raise _refused(self.place, answer.status, said)

    def _ended(self, seen: int) -> bool:
        """Whether the session of that generation has ended, and there is another now.

        A call that needs a session tells, and logs in again if it must: ``/folder`` refuses for want of
        privileges with the same words, and a login for nothing would leave the leases of the session behind.
        """
        one(self._session, self._session.content.rootFolder, ("name",))
        return self._session.generation != seen

    def _ask(
        self, connection: tls.Connection, target: str, offset: int, length: int
    ) -> http.client.HTTPResponse:
        headers = {
            "Range": f"bytes={offset}-{offset + length - 1}",
            "Accept-Encoding": "identity",
            "Cookie": self._session.stub.cookie.partition(";")[0],
            "User-Agent": PRODUCT,
        }
        connection.request("GET", target, headers=headers)
        return connection.getresponse()

    @contextmanager
    def _connection(self) -> Iterator[tls.Connection]:
        """A connection of the caller's own, kept when all went well."""
        settings = self._session.settings
        with self._lock:
            since, connection = self._idle.pop() if self._idle else (0.0, None)
        if connection is not None and time.monotonic() - since > _KEEP_SECONDS:
            connection.close()
            connection = None
        if connection is None:
            connection = tls.Connection(
                settings.host,
                settings.port,
                timeout=_IDLE_SECONDS,
                context=self._context,
                thumbprint=settings.thumbprint,
            )
        try:
            yield connection
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise VCenterBusyError(f"{self.place} broke off a read of a datastore: {error!r}") from error
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append((time.monotonic(), connection))


def _range(answer: http.client.HTTPResponse, offset: int) -> _Range:
    found = _WHOLE.fullmatch(answer.headers.get("Content-Range", ""))
    if found is None or int(found[1]) != offset:
        raise RefusedError("vCenter gives another range than was asked for")
    length = int(found[2]) + 1 - offset
    data = answer.read(length)
    if len(data) != length or answer.read(1):
        raise http.client.IncompleteRead(b"", length - len(data))
    version = version_of(answer.headers.get("ETag"), answer.headers.get("Last-Modified"))
    return _Range(data, int(found[3]), version)


def _refused(place: str, status: int, said: str) -> RefusedError:
    match status:
        case http.client.OK:
            return RefusedError(f"{place} gives whole files of datastores only, no ranges")
        case http.client.UNAUTHORIZED | http.client.FORBIDDEN:
            return RefusedError(
                f"{place} does not let the account read the datastore: {status} {said}",
                "give it Datastore.Browse and Datastore.FileManagement there",
            )
        case _:
            return RefusedError(f"{place} does not give the file: {status} {said}")
