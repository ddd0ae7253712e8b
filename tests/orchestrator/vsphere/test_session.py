from __future__ import annotations

import dataclasses
import hashlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import pytest
from pydantic import SecretStr
from pyVmomi import vim

from deploy.demo.simulator import Rule, Simulator
from orchestrator.errors import ConnectError, ExitCode, UsageError
from orchestrator.failures import failure_of
from orchestrator.vsphere import snapshot, stub
from orchestrator.vsphere.marker import Marker
from orchestrator.vsphere.session import Session, connect
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.stub import NotSentError, SessionClosedError, UnreachableError
from orchestrator.vsphere.tls import colons
from orchestrator.vsphere.values import QuiescePolicy
from tests.waiting import until


def failure(settings: VCenterSettings) -> ConnectError:
    with pytest.raises(ConnectError) as caught, connect(settings):
        pass
    assert caught.value.exit_code is ExitCode.CANNOT_CONNECT
    return caught.value


def test_a_session_is_named_after_the_product_and_logged_out(
    settings: VCenterSettings, simulator: Simulator
) -> None:
    with connect(settings) as session:
        assert session.about().api_version.startswith("8.")
        (found,) = simulator.sessions()
        assert (found.user, found.agent) == (simulator.username, "orchestrate")
    assert simulator.sessions() == []


def test_a_session_is_logged_out_when_the_work_fails(settings: VCenterSettings, simulator: Simulator) -> None:
    with pytest.raises(ZeroDivisionError), connect(settings):
        _ = 1 / 0
    assert simulator.sessions() == []


def test_a_wrong_password(settings: VCenterSettings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    error = failure(dataclasses.replace(settings, password=SecretStr("wr0ng-w0rd")))
    assert "refuses the user name or password of administrator@vsphere.local" in error.message
    assert "GOVC_PASSWORD" in error.hint
    assert not error.retryable
    assert "wr0ng-w0rd" not in f"{error!r}{caplog.text}"


def test_a_host_that_does_not_resolve(settings: VCenterSettings) -> None:
    assert (
        "no connection to vcenter.invalid:443"
        in failure(dataclasses.replace(settings, host="vcenter.invalid", port=443)).message
    )


def test_a_port_that_nobody_serves(settings: VCenterSettings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = failure(dataclasses.replace(settings, port=taken.getsockname()[1]))
    assert "refused" in error.message
    assert "is the address of a vCenter" in error.hint


@contextmanager
def without_tls(answer: bytes) -> Iterator[int]:
    """The port of a server that answers one connection's first bytes with these."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_port_that_speaks_no_tls(settings: VCenterSettings) -> None:
    with without_tls(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        error = failure(dataclasses.replace(settings, port=port))
    assert "does not speak TLS: WRONG_VERSION_NUMBER" in error.message


def test_a_handshake_that_is_cut(settings: VCenterSettings) -> None:
    with without_tls(b"") as port:
        error = failure(dataclasses.replace(settings, port=port))
    assert f"the TLS handshake with 127.0.0.1:{port} broke off: " in error.message
    assert "EOF" in error.message
    assert isinstance(error.__cause__, NotSentError)


def test_a_vcenter_that_was_there_is_expected_back(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its proxy has no service to hand a call to, or itself begins."""
    monkeypatch.setattr(stub, "_ATTEMPTS", 1)
    find = partial(session.content.searchIndex.FindByInventoryPath, "no/such/vm")
    with monkeypatch.context() as away:
        away.setattr(session.stub, "path", "/ui")
        with pytest.raises(UnreachableError, match="answers 404 Not Found to FindByInventoryPath"):
            find()
    session.stub.DropConnections()
    with without_tls(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port, monkeypatch.context() as away:
        away.setattr(session.stub, "port", port)
        with pytest.raises(NotSentError, match=r"handshake .* broke off: .*WRONG_VERSION_NUMBER"):
            find()
    assert find() is None


def test_a_path_that_is_no_sdk(settings: VCenterSettings) -> None:
    assert "answers 404" in failure(dataclasses.replace(settings, path="/ui")).message


def test_an_untrusted_certificate_is_shown_and_can_be_pinned(settings: VCenterSettings) -> None:
    error = failure(dataclasses.replace(settings, ca_files=()))
    pem = ssl.get_server_certificate((settings.host, settings.port))
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    assert "is not trusted" in error.message
    assert colons(digest) in error.message
    for word in ("--ca-file", "GOVC_TLS_CA_CERTS", "--thumbprint", "--insecure"):
        assert word in error.hint
    with connect(dataclasses.replace(settings, ca_files=(), thumbprint=digest)) as session:
        assert session.current_time() > 0


def test_vcenters_own_sha1_thumbprint_can_be_pinned(settings: VCenterSettings, simulator: Simulator) -> None:
    digits = simulator.thumbprint.replace(":", "").lower()
    with connect(dataclasses.replace(settings, ca_files=(), thumbprint=digits)) as session:
        assert session.current_time() > 0


def test_a_pin_is_checked_on_every_connection(settings: VCenterSettings, simulator: Simulator) -> None:
    digits = simulator.thumbprint.replace(":", "").lower()
    with connect(dataclasses.replace(settings, ca_files=(), thumbprint=digits)) as session:
        session.stub.DropConnections()
        session.stub.scheme.keywords["thumbprint"] = "00" * 20
        wrong = colons("00" * 20)
        with pytest.raises(ConnectError, match=f"expected is {wrong}, found {simulator.thumbprint}"):
            session.current_time()
        session.stub.scheme.keywords["thumbprint"] = digits


def test_anyone_is_trusted_when_told_so(settings: VCenterSettings) -> None:
    with connect(dataclasses.replace(settings, ca_files=(), insecure=True)) as session:
        assert session.current_time() > 0


def test_a_ca_file_that_is_not_there(settings: VCenterSettings) -> None:
    with pytest.raises(UsageError, match=r"CA file /no/such\.pem cannot be used"):
        Session(dataclasses.replace(settings, ca_files=("/no/such.pem",)))


def test_threads_share_one_new_login_when_the_session_ends(session: Session, simulator: Simulator) -> None:
    with ThreadPoolExecutor(16) as pool:
        for _ in range(3):
            simulator.end_sessions()
            assert len(list(pool.map(lambda _: session.current_time(), range(64)))) == 64
            assert len(simulator.sessions()) == 1
    assert session.generation == 4
    assert simulator.count("Login") == 4


def test_a_password_that_changed_midway_is_said(session: Session, simulator: Simulator) -> None:
    good = session.settings
    simulator.end_sessions()
    session.settings = dataclasses.replace(good, password=SecretStr("changed"))
    with pytest.raises(ConnectError, match="refuses the user name or password"):
        session.current_time()
    session.settings = good
    assert session.current_time() > 0


def test_a_vcenter_whose_sign_on_restarts_costs_no_vm(
    session: Session, simulator: Simulator, moref: Callable[[str], str], marker: Marker
) -> None:
    vm = moref("pinned")
    simulator.inject(Rule("Login", fault="InvalidLogin"))
    simulator.end_sessions()
    with pytest.raises(ConnectError, match="refuses the user name or password") as caught:
        snapshot.create(session, vm, marker, QuiescePolicy.PREFER)
    failure = failure_of(caught.value)
    assert (failure.kind, failure.retryable) == ("connect", True)
    assert caught.value.uncertain
    simulator.reset()
    session.settings = dataclasses.replace(session.settings)  # as if the pause after a refusal were over
    assert session.current_time() > 0


def test_a_question_is_asked_again_when_the_connection_breaks(session: Session, simulator: Simulator) -> None:
    simulator.inject(Rule("CurrentTime", drop=True, count=2))
    assert session.current_time() > 0


def test_a_broken_connection_is_given_up_after_some_tries(session: Session, simulator: Simulator) -> None:
    simulator.inject(Rule("CurrentTime", drop=True))
    with pytest.raises(UnreachableError, match="broke off CurrentTime") as caught:
        session.current_time()
    assert caught.value.retryable


def test_closing_works_when_the_server_has_ended_the_session(
    settings: VCenterSettings, simulator: Simulator
) -> None:
    with connect(settings):
        simulator.end_sessions()
    assert simulator.count("Login") == 1


def test_a_session_that_failed_to_open_is_logged_out(
    settings: VCenterSettings, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(thread: threading.Thread) -> None:
        assert len(simulator.sessions()) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Session(settings).open()
    assert simulator.sessions() == []


def test_what_waits_ends_with_the_session_and_logs_in_no_more(
    settings: VCenterSettings, simulator: Simulator
) -> None:
    session = Session(settings)
    session.open()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(session.pause, 60.0)
        session.close()
        with pytest.raises(SessionClosedError):
            waiting.result(timeout=5)
    with pytest.raises(SessionClosedError):
        session.content.viewManager.CreateContainerView(session.content.rootFolder, [vim.Folder], True)
    assert simulator.sessions() == []
    assert simulator.count("Login") == 1


def test_a_session_that_nobody_uses_is_kept_alive(settings: VCenterSettings, simulator: Simulator) -> None:
    session = Session(settings, keep=0.05)
    session.open()
    try:
        until(lambda: simulator.count("CurrentTime") >= 3)
    finally:
        session.close()


def test_a_refused_login_is_not_tried_at_once_again(session: Session, simulator: Simulator) -> None:
    """Many threads that each try would lock the account."""
    good = session.settings
    session.settings = dataclasses.replace(good, password=SecretStr("changed"))
    simulator.end_sessions()
    with ThreadPoolExecutor(8) as pool:
        refusals = [pool.submit(session.log_in_again, session.generation) for _ in range(16)]
    assert all(isinstance(refusal.exception(), ConnectError) for refusal in refusals)
    assert simulator.count("Login") == 2
    session.settings = good
