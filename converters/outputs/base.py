"""The output seam: blobs first, then the manifest, never the other way round."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Descriptor:
    """An OCI content descriptor (image-spec, descriptor.md)."""

    media_type: str
    digest: str
    """``sha256:`` and 64 hexadecimal digits."""
    size: int
    """Bytes."""


class BlobUpload(Protocol):
    """One blob on its way out; a context manager that cancels what was not committed."""

    def __enter__(self) -> BlobUpload: ...

    def __exit__(self, *exc: object) -> None: ...

    def write(self, chunk: bytes) -> None:
        """Send the next bytes."""

    def commit(self, digest: str) -> None:
        """The blob is whole and has this digest."""


class Uploads(Protocol):
    """Takes blobs."""

    def upload(self) -> BlobUpload:
        """Begin a blob of unknown length and digest."""


class Output(Uploads, Protocol):
    """Takes an image: blobs in any order, then the manifest that names them."""

    def has_blob(self, digest: str) -> bool:
        """Whether the output holds the blob already."""

    def put_manifest(self, manifest: bytes, media_type: str, tags: Iterable[str]) -> Descriptor:
        """Publish the manifest under its digest and every tag."""

    def reference(self, digest: str) -> str:
        """The pullable reference of a manifest: ``host/name@sha256:…``."""

    def close(self) -> None:
        """End connections."""
