"""The proxy gives out the files of a ticket, and nothing else."""

from __future__ import annotations

import hashlib
import http.client
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from converters.disks import NbdSource, open_disk
from converters.disks.remote import HttpRange, Limits, at_hand
from converters.disks.remote.values import raw_disk
from converters.errors import StreamError
from orchestrator.errors import DisksChangedError, OrchestratorError, VCenterBusyError
from orchestrator.proxy import Proxy

CONTENT = bytes(range(256)) * 512


@dataclass
class Bytes:
    """A file in memory."""

    content: bytes = CONTENT
    version: str = '"1"'
    failure: OrchestratorError | None = None

    @property
    def size(self) -> int:
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        if self.failure is not None:
            raise self.failure
        return self.content[offset : offset + length]


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy("127.0.0.1") as started:
        yield started


def ask(file: HttpRange, method: str = "GET", target: str = "", **headers: str) -> tuple[int, bytes]:
    parts = urlsplit(file.url)
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(parts.netloc, timeout=10, context=context)
    try:
        connection.request(method, target or parts.path, headers=headers)
        answer = connection.getresponse()
        certificate = connection.sock.getpeercert(True) if connection.sock else None
        if certificate:
            assert hashlib.sha256(certificate).hexdigest() == file.thumbprint
        return answer.status, answer.read()
    finally:
        connection.close()


def test_gives_ranges_of_the_tickets_files(proxy: Proxy) -> None:
    _, (first, second) = proxy.issue([Bytes(), Bytes(b"another", "")], 60)
    assert (first.size, first.version, second.size, second.version) == (len(CONTENT), '"1"', 7, "")
    assert ask(first, Range="bytes=3-9") == (206, CONTENT[3:10])
    assert ask(second, Range="bytes=0-6") == (206, b"another")
    assert proxy.sent == 14


def test_refuses_everything_else(proxy: Proxy) -> None:
    ticket, (file,) = proxy.issue([Bytes()], 60)
    base = f"/{ticket}"
    for target in (
        "/",
        base,
        f"{base}/1",
        f"{base}/0/",
        f"{base}/../0",
        f"/{'x' * 43}/0",
        "/folder/a?dsName=b",
    ):
        assert ask(file, target=target, Range="bytes=0-1")[0] == 404, target
    for wanted in ("bytes=0-131072", "bytes=9-3", "bytes=-5", "bytes=0-1,4-5", "lines=0-1"):
        assert ask(file, Range=wanted)[0] == 416, wanted
    assert ask(file)[0] == 416  # a whole file is never asked for
    for method in ("PUT", "POST", "DELETE", "HEAD", "CONNECT"):
        assert ask(file, method, Range="bytes=0-1")[0] == 501, method


def test_a_ticket_ends(proxy: Proxy) -> None:
    ticket, (file,) = proxy.issue([Bytes()], 60)
    _, (late,) = proxy.issue([Bytes()], -1)
    assert ask(late, Range="bytes=0-1")[0] == 404
    proxy.end(ticket)
    proxy.end(ticket)
    assert ask(file, Range="bytes=0-1")[0] == 404


@pytest.mark.parametrize(
    ("failure", "status"), [(VCenterBusyError("away"), 503), (DisksChangedError("not what it was"), 410)]
)
def test_says_why_a_read_fails(proxy: Proxy, failure: OrchestratorError, status: int) -> None:
    _, (file,) = proxy.issue([Bytes(failure=failure)], 60)
    assert ask(file, Range="bytes=0-1") == (status, failure.message.encode())


def test_a_worker_reads_through_it_and_hears_of_a_change(proxy: Proxy, tmp_path: Path) -> None:
    source = Bytes()
    _, (file,) = proxy.issue([source], 60)
    with at_hand([raw_disk("d", file)], tmp_path, Limits(patience=1)) as hand:
        (found,) = hand.disks
        assert isinstance(found, NbdSource)
        disk = open_disk(found)
        assert disk.pread(1000, 70) == CONTENT[70:1070]
        source.failure = DisksChangedError("the datastore's file changed")
        with pytest.raises(Exception, match="Input/output"):
            disk.pread(1, len(CONTENT) - 1)
        disk.close()
        with pytest.raises(StreamError, match="the datastore's file changed"):
            hand.check()


def test_who_is_not_the_proxy_gets_no_ticket(proxy: Proxy, tmp_path: Path) -> None:
    _, (file,) = proxy.issue([Bytes()], 60)
    with at_hand([raw_disk("d", replace(file, thumbprint="0" * 64))], tmp_path, Limits(patience=1)) as hand:
        (found,) = hand.disks
        assert isinstance(found, NbdSource)
        disk = open_disk(found)
        with pytest.raises(Exception, match="Input/output"):
            disk.pread(1, 0)
        disk.close()
    assert proxy.sent == 0
