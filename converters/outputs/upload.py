"""A blob on its way to a registry in chunks, resumed where the registry says it stands.

OCI distribution-spec 1.1, "Pushing a blob in chunks".
"""

from __future__ import annotations

import logging
from urllib.parse import quote

import httpx

from converters.errors import OutputError, OutputUnavailableError
from converters.outputs.answers import describe
from converters.outputs.client import RegistryClient, Transient

log = logging.getLogger(__name__)

_AGAIN = "the blob is pushed again; replicas of a registry need one http.secret and one storage"


class RegistryUpload:
    """One upload session; on leaving it uncommitted, the registry is told to forget it."""

    def __init__(self, client: RegistryClient, repository: str) -> None:
        self._client = client
        self._repository = repository
        self._location: httpx.URL | None = None
        self._chunk_size = client.access.chunk_size
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._offset = 0
        """Bytes that the registry has confirmed."""
        self._uncertain = False
        """Whether the last request may have reached the registry although no answer did."""

    def __enter__(self) -> RegistryUpload:
        response = self._client.retrying(
            lambda: self._client.once("POST", f"/v2/{self._repository}/blobs/uploads/", (202,))
        )
        least = response.headers.get("OCI-Chunk-Min-Length", "0")
        self._chunk_size = max(self._chunk_size, int(least) if least.isdigit() else 0)
        self._location = self._client.location(response)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._location is None:
            return
        try:
            # Once: a registry that is away forgets the upload by itself in the end.
            self._client.once("DELETE", self._location, (202, 204, 404))
        except (Transient, OutputError) as error:
            log.debug("upload to %s not cancelled: %s", self._repository, error)

    def write(self, chunk: bytes) -> None:
        """Take the next bytes; they are sent when there are enough for one request.

        Raises:
            OutputError: the registry refuses them.
            OutputUnavailableError: it stayed away for longer than the patience, or lost the upload.
        """
        self._buffer.append(chunk)
        self._buffered += len(chunk)
        if self._buffered >= self._chunk_size:
            data = b"".join(self._buffer)
            whole = len(data) - len(data) % self._chunk_size
            for start in range(0, whole, self._chunk_size):
                self._send(data[start : start + self._chunk_size])
            self._buffer, self._buffered = [data[whole:]], len(data) - whole

    def commit(self, digest: str) -> None:
        """Send what is left, and close the blob.

        Raises:
            OutputError: the registry refuses it.
            OutputUnavailableError: it stayed away, lost the upload, or received other bytes than were sent.
        """
        if self._buffered:
            self._send(b"".join(self._buffer))
        self._client.retrying(lambda: self._close(digest))
        self._location = None

    def _send(self, data: bytes) -> None:
        start, end = self._offset, self._offset + len(data)

        def attempt() -> None:
            if self._uncertain:
                self._synchronise(start, end)
            while self._offset < end:
                self._patch(data[self._offset - start :])

        self._client.retrying(attempt)

    def _patch(self, data: bytes) -> None:
        first, end = self._offset, self._offset + len(data)
        headers = {"Content-Range": f"{first}-{end - 1}", "Content-Type": "application/octet-stream"}
        self._uncertain = True
        response = self._client.once("PATCH", self._at, (202, 400, 404, 416), content=data, headers=headers)
        match response.status_code:
            case 202:
                # A registry that took the request and says nothing usable has taken all of it.
                self._advance(response, _held(response) or end, first + 1, end)
            case 416:
                raise Transient(f"the registry's upload stands elsewhere: {describe(response)}")
            case _:
                raise self._refusal(response)

    def _synchronise(self, first: int, end: int) -> None:
        """Ask how much arrived of the bytes from ``first`` to ``end``."""
        response = self._client.once("GET", self._at, (204, 400, 404))
        held = _held(response)
        if response.status_code != 204 or held is None:
            raise self._refusal(response)
        self._advance(response, held, first, end)

    def _advance(self, response: httpx.Response, held: int, least: int, most: int) -> None:
        """Go on after the ``held`` bytes that the registry says it has."""
        if not least <= held <= most:
            raise OutputUnavailableError(
                f"{self._client.registry} holds {held} bytes of an upload, not {least} to {most}", _AGAIN
            )
        self._offset = held
        if response.headers.get("Location"):
            self._location = self._client.location(response)
        self._uncertain = False

    def _close(self, digest: str) -> None:
        if self._uncertain and self._is_there(digest):  # the answer was lost, the blob was not
            return
        self._uncertain = True
        response = self._client.once("PUT", with_digest(self._at, digest), (201, 204, 400, 404))
        if response.status_code in (400, 404):
            raise self._refusal(response)

    def _is_there(self, digest: str) -> bool:
        path = f"/v2/{self._repository}/blobs/{digest}"
        return self._client.once("HEAD", path, (200, 404)).status_code == 200

    @property
    def _at(self) -> httpx.URL:
        """The last location; a registry may move an upload with every answer."""
        if self._location is None:
            raise RuntimeError("the upload is not open")
        return self._location

    def _refusal(self, response: httpx.Response) -> OutputError:
        """What a 400 or 404 in the middle of an upload means."""
        registry, said = self._client.registry, describe(response)
        if "DIGEST_INVALID" in response.text:
            return OutputUnavailableError(
                f"{registry} received other bytes than were sent: {said}",
                "something between here and the registry damages data; the blob is pushed again",
            )
        if response.status_code == 404 or "BLOB_UPLOAD_" in response.text:
            return OutputUnavailableError(
                f"{registry} lost an upload after {self._offset} bytes: {said}", _AGAIN
            )
        return OutputError(f"{registry} refuses a blob of {self._repository}: {said}")


def with_digest(location: httpx.URL, digest: str) -> httpx.URL:
    """The location with the digest added, every byte of its own query kept."""
    joint = "&" if location.query else "?"
    return httpx.URL(f"{location}{joint}digest={quote(digest, safe=':')}")


def _held(response: httpx.Response) -> int | None:
    """How many bytes a ``Range: 0-LAST`` header says the registry holds; None: it does not say.

    ``0-0`` is what docker's registry says of an empty upload.
    """
    first, _, last = response.headers.get("Range", "").removeprefix("bytes=").partition("-")
    if first != "0" or not last.isdigit():
        return None
    return int(last) + 1 if int(last) else 0
