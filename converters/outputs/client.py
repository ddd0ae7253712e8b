"""One registry over HTTP: the one place where requests are sent, and where what may pass is tried again."""

from __future__ import annotations

import functools
import logging
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import httpx
import tenacity

from converters.errors import OutputError, OutputUnavailableError
from converters.outputs.answers import HINTS, TRANSIENT, describe, retry_after
from converters.outputs.auth import Credentials, RegistryAuth
from converters.outputs.docker_config import docker_credentials

log = logging.getLogger(__name__)
T = TypeVar("T")

_API_HOSTS = {"docker.io": "registry-1.docker.io"}
_TIMEOUT = httpx.Timeout(60, connect=10)
_LONGEST_WAIT = 5.0
_PIECE = 256 << 10


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """How a registry is reached; holds secrets, so it does not travel to other processes."""

    credentials: Credentials | None = None
    """None: whatever ``docker login`` left for the registry, else anonymous."""
    plain_http: bool = False
    """Use HTTP without TLS also for a registry that is not on this machine."""
    ca_file: str = ""
    """PEM file of authorities trusted beside the system's."""
    chunk_size: int = 8 << 20
    """Bytes of a blob sent in one request; a larger minimum of the registry's wins."""
    patience: float = 120.0
    """Seconds that a registry may be away, or say that it is busy, before a push fails."""


class Transient(Exception):
    """An attempt failed in a way that may pass; ``retry_after`` is the least wait in seconds."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message, retry_after)
        self.message = message
        self.retry_after = retry_after


class _Body:
    """A request's body: can be sent again, and lets go of its bytes when told to.

    httpx ties a response and its request into a reference cycle. Until the collector finds it, the body would
    stay in memory: 200 MiB of them, when a layer is pushed.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._content), _PIECE):
            yield self._content[start : start + _PIECE]

    def release(self) -> None:
        """Let go of the bytes."""
        self._content = b""


class RegistryClient:
    """Requests to one registry. Thread-safe."""

    def __init__(self, registry: str, access: RegistryAccess) -> None:
        self.registry = registry
        self.access = access
        plain = access.plain_http or (is_local(registry) and not access.ca_file)
        scheme = "http" if plain else "https"
        self.url = httpx.URL(f"{scheme}://{_API_HOSTS.get(registry, registry)}")
        self._http = httpx.Client(
            auth=RegistryAuth(self.url, access.credentials or docker_credentials(registry)),
            verify=_trust(access.ca_file),
            trust_env=False,
            timeout=_TIMEOUT,
            follow_redirects=False,
            headers={"User-Agent": "orchestrate"},
        )

    def close(self) -> None:
        """End connections."""
        self._http.close()

    def retrying(self, operation: Callable[[], T]) -> T:
        """Run an operation of one or more requests until it passes, at most for the patience.

        Raises:
            OutputUnavailableError: the patience is over.
            OutputError: the registry refuses.
        """
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Transient),
            wait=_wait,
            stop=tenacity.stop_before_delay(self.access.patience),
            before_sleep=_log_retry,
            reraise=True,
        )
        try:
            return retry(operation)
        except Transient as error:
            raise OutputUnavailableError(
                f"{self.registry} is not available: {error.message}",
                f"gave up after {self.access.patience:g} s; start the registry, or raise --registry-patience",
            ) from error

    def once(
        self,
        method: str,
        url: httpx.URL | str,
        accept: Collection[int],
        *,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One request; ``url`` may be a path below the registry's own URL.

        Raises:
            Transient: no answer, or one that says to come again.
            OutputError: an answer whose status is not in ``accept``.
        """
        body = _Body(content)
        lengths = {"Content-Length": str(len(content))} if content else {}
        try:
            response = self._http.request(
                method,
                self.url.join(url),
                content=body if content else None,
                headers={**lengths, **(headers or {})},
            )
        except httpx.TransportError as error:
            raise self._no_answer(error) from error
        finally:
            body.release()
        if response.status_code in accept:
            return response
        if response.status_code in TRANSIENT:
            raise Transient(describe(response), retry_after(response.headers))
        raise OutputError(
            f"{self.registry} refuses {method} {response.request.url.path}: {describe(response)}",
            HINTS.get(response.status_code, ""),
        )

    def location(self, response: httpx.Response) -> httpx.URL:
        """Where the registry says to go on: relative or absolute, its query kept.

        Behind a proxy that ends TLS, registries take themselves for plain HTTP: we stay with TLS.
        """
        value = response.headers.get("Location")
        if not value:
            raise OutputError(f"{self.registry} answered {response.request.method} without a Location")
        try:
            url = response.request.url.join(value)
        except httpx.InvalidURL as error:
            raise OutputError(f"{self.registry} gave a Location that is no URL: {error}") from error
        if url.scheme == "http" and self.url.scheme == "https" and url.host == self.url.host:
            return url.copy_with(scheme="https", netloc=self.url.netloc)
        return url

    def _no_answer(self, error: httpx.TransportError) -> Exception:
        connecting = isinstance(error, httpx.ConnectError)
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return OutputError(
                    f"the certificate of {self.registry} is not trusted: {cause.verify_message}",
                    "name the authority that signed it with --registry-ca-file",
                )
            # During a handshake only: later, an error of TLS is a connection that broke.
            if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError) and connecting:
                return OutputError(
                    f"{self.registry} does not speak TLS as we do: {cause.reason or cause}",
                    "if it serves plain HTTP and you trust the network, say --registry-insecure",
                )
            cause = cause.__cause__ or cause.__context__
        return Transient(f"{type(error).__name__}: {error}")


def is_local(registry: str) -> bool:
    """Whether a registry is on this machine, where plain HTTP is the custom."""
    host = registry.rpartition(":")[0] if registry.rpartition(":")[2].isdigit() else registry
    return host in ("localhost", "[::1]") or host.startswith("127.")


_backoff = tenacity.wait_random_exponential(multiplier=0.25, max=_LONGEST_WAIT, min=0.1)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    least = error.retry_after if isinstance(error, Transient) else 0.0
    return max(least, _backoff(state))


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning(
        "registry: %s; trying again in %.1f s", getattr(error, "message", error), state.upcoming_sleep
    )


@functools.cache
def _trust(ca_file: str) -> ssl.SSLContext:
    """The system's authorities, where companies put their own, and ``ca_file``'s; 40 ms to read, so once."""
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise OutputError(f"the authorities in {ca_file} cannot be read: {error}") from error
    return context
