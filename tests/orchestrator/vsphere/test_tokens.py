"""Logging in by a session cookie or a SAML token from a file."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.demo.simulator import Simulator
from orchestrator.errors import ConnectError
from orchestrator.vsphere import tokens
from orchestrator.vsphere.session import Session, connect
from orchestrator.vsphere.settings import VCenterSettings
from orchestrator.vsphere.tokens import Kind

ASSERTION = """<?xml version="1.0" encoding="UTF-8"?>
<saml2:Assertion xmlns:saml2="urn:oasis:names:tc:SAML:2.0:assertion" ID="_1" Version="2.0">
<saml2:Subject><saml2:NameID>eve@vsphere.local</saml2:NameID>
<saml2:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:{method}"/></saml2:Subject>
</saml2:Assertion>
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "token"


@pytest.fixture
def by_token(settings: VCenterSettings, file: Path) -> VCenterSettings:
    return replace(settings, username="", password=SecretStr(""), token_file=str(file))


def cookie(session: Session) -> str:
    found: str = session.stub.cookie
    return found.partition(";")[0].partition("=")[2]


@pytest.mark.parametrize(
    "form", ["{}", "{}\n", 'vmware_soap_session="{}"', "vmware_soap_session={}; Path=/; HttpOnly"]
)
def test_a_cookie_gives_a_session_beside_its_owners(
    session: Session, by_token: VCenterSettings, file: Path, simulator: Simulator, form: str
) -> None:
    file.write_text(form.format(cookie(session)))
    with connect(by_token) as ours:
        assert ours.user_name == simulator.username
        assert cookie(ours) != cookie(session)
        assert ours.stub.round_trips and len(simulator.sessions()) == 2
    assert len(simulator.sessions()) == 1
    assert session.about().name, "its owner's session goes on"


def test_the_file_is_read_again_when_the_session_has_ended(
    settings: VCenterSettings, by_token: VCenterSettings, file: Path, simulator: Simulator
) -> None:
    with connect(settings) as owner:
        file.write_text(cookie(owner))
        with connect(by_token) as ours:
            simulator.end_sessions()
            owner.log_in_again(1)
            file.write_text(cookie(owner))
            assert list_folders(ours)
            assert ours.generation == 2


def test_a_cookie_that_has_ended_is_said_and_not_shown(
    settings: VCenterSettings,
    by_token: VCenterSettings,
    file: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with connect(settings) as owner:
        ended = cookie(owner)
    file.write_text(ended)
    with pytest.raises(ConnectError, match=f"refuses the cookie in {file}") as caught, connect(by_token):
        pass
    assert "put a new one into the file" in caught.value.hint
    assert ended not in f"{caught.value!r}{caplog.text}"


def test_a_bearer_token_logs_in(by_token: VCenterSettings, file: Path, simulator: Simulator) -> None:
    file.write_text(ASSERTION.format(method="bearer"))
    with connect(by_token) as ours:
        assert ours.user_name == "eve@vsphere.local"
        assert list_folders(ours)
    assert simulator.sessions() == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (ASSERTION.format(method="holder-of-key"), "holder-of-key token, whose requests must be signed"),
        ("<html><body>login</body></html>", "XML that is no SAML assertion"),
        ("cst-VCT-52f1--tp-0A-1B", "a clone ticket, which serves for one login only"),
        ("eyJhbGciOi.eyJzdWIi.c2ln", "a JSON web token"),
        ("user name and password", "neither a session cookie nor a SAML token"),
        ("", "neither a session cookie nor a SAML token"),
    ],
)
def test_what_cannot_log_in_is_refused_by_its_kind(file: Path, text: str, complaint: str) -> None:
    file.write_text(text)
    with pytest.raises(ConnectError, match=complaint) as caught:
        tokens.read(str(file))
    assert "govc session.login" in caught.value.hint


def test_a_file_that_is_not_there(file: Path) -> None:
    with pytest.raises(ConnectError, match="cannot be read: No such file"):
        tokens.read(str(file))


def test_no_form_of_a_token_shows_it(file: Path) -> None:
    file.write_text("s3cr3tc00kie")
    found = tokens.read(str(file))
    assert found.kind is Kind.COOKIE
    assert "s3cr3t" not in f"{found!r}{found}"


def list_folders(session: Session) -> bool:
    """Whether a call that takes a login works."""
    view = session.content.viewManager.CreateContainerView(session.content.rootFolder, [], True)
    view.DestroyView()
    return True
