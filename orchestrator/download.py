"""A worker's part of an export: from the lease's URLs to disks on scratch, decoded while they arrive.

A stream cannot be resumed, so nothing is tried again here: the state machine begins a new attempt.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from converters.disks.base import AbsentDisk, DiskSource
from converters.disks.nfc import StreamDecoder
from converters.errors import StreamError
from orchestrator.fleet.files import FileMark
from orchestrator.vsphere.values import DiskDevice, LeaseDisk
from orchestrator.work import Work

_CONNECT_SECONDS = 30.0
_PLACEHOLDER = 1 << 20
"""Bytes of the file in the place of a disk that is left out."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a worker believes to be the ESXi host, where the lease pins no certificate."""

    ca_files: tuple[str, ...] = ()
    """PEM files on the worker, beside the system's authorities."""
    insecure: bool = False
    """Believe anyone. A pinned certificate is compared all the same."""


@dataclass(frozen=True, slots=True)
class DownloadOrder:
    """What to download, and how patiently."""

    disks: tuple[LeaseDisk, ...]
    trust: Trust = Trust()
    idle_seconds: float = 300.0
    """Without a byte, until a stream counts as dead."""
    absent: tuple[DiskDevice, ...] = ()
    """Disks of the lease that are not fetched: a small empty file stands in the place of each."""
    streams: int = 4
    """Disks downloaded at one time."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """Disks on this worker's scratch, in the lease's order; sizes in bytes."""

    disks: tuple[DiskSource, ...]
    received: int
    written: int
    """Without the holes."""
    files: tuple[FileMark, ...] = ()
    """Files that are read where they lie, and must not change until that is done."""


def download(order: DownloadOrder, work: Work) -> Downloaded:
    """Bring the disks of a lease to the attempt's scratch folder, but for those that are left out.

    Raises:
        StreamError: refused, cut, silent for too long, damaged, or not from the pinned host; may pass.
        ScratchFullError: no space left.
        DiskError: not a disk that can be read.
        StoppedError: the attempt is not wanted any more.
    """
    received = _Received(work, len(order.disks))
    failed = threading.Event()
    absent = {device.key: device for device in order.absent}
    with ThreadPoolExecutor(max(1, order.streams), thread_name_prefix="download") as pool:
        running = [
            pool.submit(_absent, left_out, index, work)
            if (left_out := absent.get(disk.device)) is not None
            else pool.submit(_one, disk, index, order, work, received, failed)
            for index, disk in enumerate(order.disks)
        ]
        try:
            results = [future.result() for future in running]
        except BaseException:
            failed.set()  # the other disks are of no use alone
            for future in running:
                future.cancel()
            raise
    return Downloaded(
        disks=tuple(source for source, _ in results),
        received=received.total,
        written=sum(written for _, written in results),
    )


class _Received:
    """Bytes received over all disks."""

    def __init__(self, work: Work, disks: int) -> None:
        self._work = work
        self._by_disk = [0] * disks

    @property
    def total(self) -> int:
        return sum(self._by_disk)

    def set(self, index: int, count: int) -> None:
        self._by_disk[index] = count
        self._work.report(received=self.total)


def _one(
    disk: LeaseDisk,
    index: int,
    order: DownloadOrder,
    work: Work,
    received: _Received,
    failed: threading.Event,
) -> tuple[DiskSource, int]:
    path = work.scratch / f"disk-{index}.raw"
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with StreamDecoder(descriptor, disk.capacity or None) as decoder:
            for chunk in _stream(disk, order):
                if failed.is_set():
                    raise StreamError(f"{_place(disk)}: given up, as another disk of the VM failed")
                decoder.feed(chunk)
                received.set(index, decoder.bytes_in)
            result = decoder.finish()
    finally:
        os.close(descriptor)
    return result.source(str(path)), result.bytes_written


def _absent(device: DiskDevice, index: int, work: Work) -> tuple[DiskSource, int]:
    return empty_disk(device, index, work), 0


def empty_disk(device: DiskDevice, index: int, work: Work) -> AbsentDisk:
    """A small file of zeros in the place of a disk that is left out, or has no content."""
    path = work.scratch / f"disk-{index}.absent"
    with path.open("wb") as file:
        file.truncate(_PLACEHOLDER)
    name = f"{device.label or f'disk {index}'} {device.file}".strip()
    return AbsentDisk(str(path), name, device.capacity)


def _stream(disk: LeaseDisk, order: DownloadOrder) -> Iterator[bytes]:
    place = _place(disk)
    timeout = httpx.Timeout(order.idle_seconds, connect=_CONNECT_SECONDS)
    context = _context(disk, order.trust)
    try:
        with (
            httpx.Client(verify=context, trust_env=False, timeout=timeout) as client,
            client.stream("GET", disk.url, headers={"Accept-Encoding": "identity"}) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise StreamError(f"{place} answers {response.status_code} {response.reason_phrase}")
            yield from response.iter_raw()
    except httpx.ConnectTimeout as error:
        raise StreamError(f"{place}: no connection in {_CONNECT_SECONDS:g} seconds", _REACH_HINT) from error
    except httpx.TimeoutException as error:
        raise StreamError(f"{place}: no byte for {order.idle_seconds:g} seconds", _REACH_HINT) from error
    except httpx.ConnectError as error:
        raise StreamError(f"{place}: {_words(error)}", _REACH_HINT) from error
    except httpx.HTTPError as error:
        raise StreamError(f"{place}: {_words(error)}", _BROKEN_HINT) from error


_REACH_HINT = "workers need to reach the ESXi hosts on port 443: see `orchestrate check`"
_BROKEN_HINT = (
    "the host or vCenter ended the export, or the network broke: see the events of the VM and of its host in "
    "the vSphere client"
)


def _words(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__


def _place(disk: LeaseDisk) -> str:
    """The disk for people: without the URL, whose ticket gives access."""
    return f"download of {disk.key} from {urlsplit(disk.url).hostname}"


def _context(disk: LeaseDisk, trust: Trust) -> ssl.SSLContext:
    if disk.thumbprint:
        return _PinnedContext.pinning(disk.thumbprint)
    context = ssl.create_default_context()
    for name in trust.ca_files:
        try:
            context.load_verify_locations(cafile=name)
        except (OSError, ssl.SSLError) as error:
            raise StreamError(f"the CA file {name} cannot be used on this worker: {error}") from error
    if trust.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _PinnedContext(ssl.SSLContext):
    """Trusts one certificate, by its thumbprint, before anything is sent: the URL holds a ticket."""

    thumbprint = ""

    @classmethod
    def pinning(cls, thumbprint: str) -> _PinnedContext:
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.thumbprint = thumbprint.replace(":", "").lower()
        return context

    def wrap_socket(self, sock: socket.socket, *args: object, **kwargs: object) -> ssl.SSLSocket:
        """Shake hands, then compare."""
        wrapped: ssl.SSLSocket = super().wrap_socket(sock, *args, **kwargs)  # type: ignore[arg-type]
        certificate = wrapped.getpeercert(binary_form=True) or b""
        digest = hashlib.sha1(certificate, usedforsecurity=False).hexdigest()  # what vSphere gives
        if digest != self.thumbprint:
            with contextlib.suppress(OSError):
                wrapped.close()
            raise ssl.SSLError(f"its certificate has the SHA-1 thumbprint {digest}, not the lease's")
        return wrapped
