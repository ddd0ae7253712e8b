"""Downloads over real TLS: whom a worker believes, what it brings, how it fails."""

from __future__ import annotations

import hashlib
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from converters.disks import AbsentDisk, RawFile
from converters.errors import StreamError
from deploy.demo import certificates
from deploy.demo.registry import free_port
from orchestrator.download import DownloadOrder, Trust, download
from orchestrator.failures import StoppedError
from orchestrator.vsphere.values import DiskDevice, LeaseDisk
from orchestrator.work import Work

MIB = 1 << 20
CONTENT = bytes(range(256)) * (4 * MIB // 256) + bytes(4 * MIB) + b"end" * MIB
TICKET = "52a1-secret-ticket"


class Host:
    """An ESXi host that serves disks: what it was asked for, and how it misbehaves."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.cut_after: int | None = None
        self.silent_after: int | None = None
        self.status = 200
        self.release = threading.Event()
        self.url = ""
        self.thumbprint = ""
        self.ca = Path()

    def disk(self, name: str = "disk-0.vmdk", thumbprint: str | None = None) -> LeaseDisk:
        return LeaseDisk(
            key=f"/vm-1/{name}",
            url=f"{self.url}/nfc/{TICKET}/{name}",
            thumbprint=self.thumbprint if thumbprint is None else thumbprint,
            capacity=len(CONTENT),
            file_size=len(CONTENT),
        )


def handler(host: Host) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.asked.append(self.path)
            self.send_response(host.status)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            content = CONTENT[: host.cut_after]
            if host.silent_after is not None:
                self.wfile.write(content[: host.silent_after])
                host.release.wait(20)
            else:
                self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    return Handler


class Server(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what these tests are about."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> certificates.Certificates:
    return certificates.make(tmp_path_factory.mktemp("tls"), "test")


@pytest.fixture
def host(files: certificates.Certificates) -> Iterator[Host]:
    made = Host()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with Server(("127.0.0.1", 0), handler(made)) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        made.url = f"https://127.0.0.1:{server.server_address[1]}"
        der = ssl.PEM_cert_to_DER_cert(files.certificate.read_text().partition("-----END")[0] + PEM_END)
        made.thumbprint = colons(hashlib.sha1(der).hexdigest())
        made.ca = files.ca
        try:
            yield made
        finally:
            made.release.set()
            server.shutdown()
            thread.join()


PEM_END = "-----END CERTIFICATE-----\n"


def colons(digits: str) -> str:
    return ":".join(digits[at : at + 2] for at in range(0, 40, 2)).upper()


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work("run", "job", 1, tmp_path, lambda counts: None)


def test_a_disk_arrives_as_it_was_sent_with_its_holes(host: Host, work: Work) -> None:
    result = download(DownloadOrder((host.disk(),)), work)
    (source,) = result.disks
    assert isinstance(source, RawFile)
    assert Path(source.path).read_bytes() == CONTENT
    assert result.received == len(CONTENT)
    assert result.written <= len(CONTENT) - 3 * MIB
    assert Path(source.path).stat().st_mode & 0o777 == 0o600


def test_a_disk_that_is_left_out_is_not_asked_for(host: Host, work: Work) -> None:
    disks = [replace(host.disk(f"d{key}.vmdk"), device=key) for key in (2000, 2001, 2002)]
    left_out = DiskDevice(2001, "Hard disk 2", 1 << 40, "[ds] vm/vm_1.vmdk", "persistent")
    result = download(DownloadOrder(tuple(disks), absent=(left_out,)), work)
    first, second, third = result.disks
    assert isinstance(second, AbsentDisk)
    assert (second.name, second.capacity) == ("Hard disk 2 [ds] vm/vm_1.vmdk", 1 << 40)
    assert Path(second.path).stat().st_blocks == 0
    assert isinstance(first, RawFile) and isinstance(third, RawFile)
    assert sorted(path.rpartition("/")[2] for path in host.asked) == ["d2000.vmdk", "d2002.vmdk"]
    assert result.received == 2 * len(CONTENT)


def test_several_disks_keep_their_order_and_report_together(host: Host, tmp_path: Path) -> None:
    sent: list[int] = []
    work = Work("run", "job", 1, tmp_path, lambda counts: sent.append(counts["received"]))
    result = download(DownloadOrder(tuple(host.disk(f"d{n}.vmdk") for n in range(3))), work)
    work.flush()
    assert [Path(source.path).name for source in result.disks if isinstance(source, RawFile)] == [
        "disk-0.raw",
        "disk-1.raw",
        "disk-2.raw",
    ]
    assert sent[-1] == result.received == 3 * len(CONTENT)


def test_a_certificate_that_is_not_the_pinned_one_never_sees_the_ticket(host: Host, work: Work) -> None:
    wrong = colons("ab" * 20)
    with pytest.raises(StreamError, match="thumbprint"):
        download(DownloadOrder((host.disk(thumbprint=wrong),), Trust(insecure=True)), work)
    assert host.asked == []


def test_without_a_pin_the_authority_counts(host: Host, work: Work) -> None:
    disk = host.disk(thumbprint="")
    with pytest.raises(StreamError, match="certificate verify failed"):
        download(DownloadOrder((disk,)), work)
    assert host.asked == []
    assert download(DownloadOrder((disk,), Trust((str(host.ca),))), work).received == len(CONTENT)


def test_no_message_shows_the_ticket(host: Host, work: Work) -> None:
    host.status = 503
    with pytest.raises(StreamError) as caught:
        download(DownloadOrder((host.disk(),)), work)
    assert TICKET not in str(caught.value) and "503" in str(caught.value)
    assert caught.value.retryable


def test_a_cut_download_is_no_disk(host: Host, work: Work) -> None:
    """The host was reached, so reaching it is not what a person is told to look at."""
    host.cut_after = 3 * MIB
    with pytest.raises(StreamError, match=r"disk-0.*ended the export"):
        download(DownloadOrder((host.disk(),)), work)


def test_a_silent_host_is_given_up(host: Host, work: Work) -> None:
    host.silent_after = MIB
    began = time.monotonic()
    with pytest.raises(StreamError, match=r"no byte for 0\.3 seconds"):
        download(DownloadOrder((host.disk(),), idle_seconds=0.3), work)
    assert time.monotonic() - began < 10


def test_a_download_that_is_not_wanted_any_more_ends(host: Host, work: Work) -> None:
    work.stop()
    with pytest.raises(StoppedError):
        download(DownloadOrder((host.disk(), host.disk("d1.vmdk"))), work)


def test_a_host_that_is_not_there_is_named(host: Host, work: Work) -> None:
    disk = LeaseDisk("/vm-1/d", f"https://127.0.0.1:{free_port()}/nfc/x", "", 1, 1)
    with pytest.raises(StreamError, match=r"from 127\.0\.0\.1.*orchestrate check"):
        download(DownloadOrder((disk,)), work)
