"""The registry output: any registry of the OCI distribution specification 1.1."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from converters.errors import OutputUnavailableError
from converters.outputs.base import Descriptor
from converters.outputs.client import RegistryAccess, RegistryClient
from converters.outputs.reference import check_tag, split_repository
from converters.outputs.upload import RegistryUpload

_EXISTS = (200, 302, 307, 308)
"""Answers for a blob that is there: itself, or where the registry stores it."""
_DEFAULT_ACCESS = RegistryAccess()


class RegistryOutput:
    """A repository of a registry; a context manager that ends its connections."""

    def __init__(self, repository: str, access: RegistryAccess = _DEFAULT_ACCESS) -> None:
        """Connect to nothing yet.

        Args:
            repository: ``host[:port]/path``, without tag.

        Raises:
            OutputError: the repository is not a valid name, or the access cannot be set up.
        """
        self._registry, self._name = split_repository(repository)
        self._client = RegistryClient(self._registry, access)

    def __enter__(self) -> RegistryOutput:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def has_blob(self, digest: str) -> bool:
        """Whether the registry holds the blob in this repository.

        Raises:
            OutputError: it does not say; OutputUnavailableError when that may pass.
        """
        response = self._client.retrying(
            lambda: self._client.once("HEAD", f"/v2/{self._name}/blobs/{digest}", (*_EXISTS, 404))
        )
        return response.status_code in _EXISTS

    def upload(self) -> RegistryUpload:
        """Begin a blob of unknown length and digest; entering it opens the upload."""
        return RegistryUpload(self._client, self._name)

    def put_manifest(self, manifest: bytes, media_type: str, tags: Iterable[str]) -> Descriptor:
        """Publish the manifest under its digest, then under every tag.

        Raises:
            OutputError: the registry refuses it; OutputUnavailableError when that may pass.
        """
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        tags = tuple(tags)
        for tag in tags:
            check_tag(tag)
        for reference in (digest, *tags):
            self._put_manifest(reference, digest, manifest, media_type)
        return Descriptor(media_type, digest, len(manifest))

    def _put_manifest(self, reference: str, digest: str, manifest: bytes, media_type: str) -> None:
        path, headers = f"/v2/{self._name}/manifests/{reference}", {"Content-Type": media_type}
        response = self._client.retrying(
            lambda: self._client.once("PUT", path, (200, 201, 204), content=manifest, headers=headers)
        )
        stored = response.headers.get("Docker-Content-Digest", digest)
        if stored != digest:
            raise OutputUnavailableError(f"{self._registry} stored the manifest {digest} as {stored}")

    def reference(self, digest: str) -> str:
        """The pullable reference of a manifest: ``host/name@sha256:…``."""
        return f"{self._registry}/{self._name}@{digest}"

    def close(self) -> None:
        """End connections."""
        self._client.close()
