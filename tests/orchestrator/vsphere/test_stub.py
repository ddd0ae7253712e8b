"""Servers that are no vCenter, or one that is ill: a real TLS server with one answer to everything."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.demo import certificates
from orchestrator.errors import ConnectError
from orchestrator.vsphere.session import connect
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.stub import UnreachableError

CONTENT = """<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>
<RetrieveServiceContentResponse xmlns="urn:vim25"><returnval>
<rootFolder type="Folder">group-d1</rootFolder>
<propertyCollector type="PropertyCollector">pc</propertyCollector>
<about><name>n</name><fullName>{name}</fullName><vendor>v</vendor><version>1</version><build>1</build>
<osType>o</osType><productLineId>p</productLineId><apiType>{kind}</apiType><apiVersion>{api}</apiVersion></about>
</returnval></RetrieveServiceContentResponse></soapenv:Body></soapenv:Envelope>"""


@contextmanager
def serving(folder: Path, status: int, body: str, delay: float = 0.0) -> Iterator[VCenterSettings]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(delay)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    files = certificates.make(folder, "test")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        url = f"127.0.0.1:{server.server_port}"
        yield VCenterSettings.parse(url, "u", SecretStr("p"), ca_file=str(files.ca), call_timeout=0.5)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def failure(tmp_path: Path) -> Callable[..., ConnectError]:
    def fail(status: int, body: str, delay: float = 0.0) -> ConnectError:
        with (
            serving(tmp_path, status, body, delay) as settings,
            pytest.raises(ConnectError) as caught,
            connect(settings),
        ):
            pass
        return caught.value

    return fail


def test_a_web_page_is_no_vcenter(failure: Callable[..., ConnectError]) -> None:
    error = failure(200, "<html><body>Welcome<br></body></html>")
    assert "does not answer as a vCenter does" in error.message
    assert "is the address of a vCenter" in error.hint


def test_a_vcenter_that_is_starting(failure: Callable[..., ConnectError]) -> None:
    assert "503 Service Unavailable" in failure(503, "no healthy upstream").message


@pytest.mark.parametrize("status", [408, 429, 502])
def test_a_vcenter_that_has_no_time(failure: Callable[..., ConnectError], status: int) -> None:
    error = failure(status, "")
    assert isinstance(error.__cause__, UnreachableError)
    assert f"answers {status} " in error.message
    assert "to RetrieveServiceContent: it starts, or is overloaded" in error.message


def test_a_vcenter_that_hangs(failure: Callable[..., ConnectError]) -> None:
    begun = time.monotonic()
    assert "timed out" in failure(200, "", delay=1.5).message
    assert time.monotonic() - begun < 5


def test_an_esxi_host_is_no_vcenter(failure: Callable[..., ConnectError]) -> None:
    error = failure(200, CONTENT.format(name="VMware ESXi 8.0.2", kind="HostAgent", api="8.0.2.0"))
    assert "is VMware ESXi 8.0.2, not a vCenter" in error.message
    assert "the vCenter that manages the host" in error.hint


def test_a_vcenter_that_is_too_old(failure: Callable[..., ConnectError]) -> None:
    error = failure(200, CONTENT.format(name="VMware vCenter Server 6.5", kind="VirtualCenter", api="6.5"))
    assert "speaks API 6.5" in error.message
    assert "6.7 or newer" in error.hint


def test_an_answer_that_lacks_what_it_must_have(failure: Callable[..., ConnectError]) -> None:
    body = CONTENT.replace(
        '<rootFolder type="Folder">group-d1</rootFolder>', "<rootFolder>group-d1</rootFolder>"
    )
    error = failure(200, body.format(name="x", kind="VirtualCenter", api="8.0.0.0"))
    assert "the answer to RetrieveServiceContent cannot be read" in error.message
