"""Whether a registry takes what a run pushes: a small blob is written, and deleted where that is allowed."""

from __future__ import annotations

import email.utils
import hashlib
import time
from dataclasses import dataclass

import httpx

from converters.errors import OutputError
from converters.outputs.client import RegistryAccess, RegistryClient, Transient
from converters.outputs.docker_config import docker_credentials
from converters.outputs.reference import split_repository
from converters.outputs.upload import RegistryUpload

_BLOB = b"written by the pre-flight check of orchestrate; no image refers to it\n"
"""Always the same, so that a registry that deletes nothing holds one at most."""
_DIGEST = f"sha256:{hashlib.sha256(_BLOB).hexdigest()}"
_DELETED = (200, 202, 204, 404)
"""404: another worker, which wrote the same blob, was first."""
_KEPT = (400, 401, 403, 405, 501)


def repository(prefix: str) -> str:
    """Where below the prefix of a run's repositories the blob is written."""
    return f"{prefix}/orchestrate-check"


@dataclass(frozen=True, slots=True)
class RegistryTrial:
    """What came of writing to a registry."""

    detail: str
    skew: float | None
    """Seconds that the registry's clock is ahead of this machine's, to a second; None: it does not tell."""


def write(repository: str, access: RegistryAccess) -> RegistryTrial:
    """Write a blob that no manifest refers to, so that nobody sees it, and delete it.

    Raises:
        OutputError: the registry refuses the blob; OutputUnavailableError when that may pass.
    """
    registry, name = split_repository(repository)
    client = RegistryClient(registry, access)
    try:
        with RegistryUpload(client, name) as upload:
            upload.write(_BLOB)
            upload.commit(_DIGEST)
        path = f"/v2/{name}/blobs/{_DIGEST}"
        kept = _delete(client, path)
        skew = _skew(client)
    finally:
        client.close()
    who = access.credentials or docker_credentials(registry)
    account = f"as {who.username}" if who and who.username else "without a user name"
    return RegistryTrial(f"takes a blob, {account}, and {kept or 'deletes it again'}", skew)


def _delete(client: RegistryClient, path: str) -> str:
    """Why the blob is still there; empty when it is not."""
    try:
        answer = client.once("DELETE", path, (*_DELETED, *_KEPT))
    except (Transient, OutputError) as error:
        return f"does not delete it ({error.args[0]})"
    if answer.status_code in _DELETED:
        return ""
    return f"keeps its {len(_BLOB)} bytes until garbage collection (deleting: {answer.status_code})"


def _skew(client: RegistryClient) -> float | None:
    try:
        before = time.time()
        answer = client.once("GET", "/v2/", (200, 401, 403, 404))
    except (Transient, OutputError):
        return None
    return _skew_of(answer, (before + time.time()) / 2)


def _skew_of(answer: httpx.Response, now: float) -> float | None:
    """Seconds that the server's clock is ahead of ``now``, by its ``Date`` (RFC 9110, 6.6.1)."""
    try:
        date = email.utils.parsedate_to_datetime(answer.headers.get("Date", ""))
    except ValueError:
        return None
    # The header has whole seconds: on average its moment was half a second later.
    return date.timestamp() + 0.5 - now
