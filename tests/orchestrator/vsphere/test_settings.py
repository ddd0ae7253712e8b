from __future__ import annotations

import pytest
from pydantic import SecretStr

from orchestrator.errors import UsageError
from orchestrator.vsphere.settings import VCenterSettings

SECRET = "s3cr@t/#?"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("vc.example.com", "https://vc.example.com:443/sdk"),
        ("vc.example.com:8443", "https://vc.example.com:8443/sdk"),
        ("https://vc.example.com", "https://vc.example.com:443/sdk"),
        ("https://vc.example.com/", "https://vc.example.com:443/sdk"),
        ("https://vc.example.com/proxy/sdk", "https://vc.example.com:443/proxy/sdk"),
        ("https://user:pw@vc.example.com/sdk", "https://vc.example.com:443/sdk"),
        ("https://[fd00::1]:444/sdk", "https://[fd00::1]:444/sdk"),
    ],
)
def test_the_forms_of_govc_url(url: str, expected: str) -> None:
    assert VCenterSettings.parse(url, "a", SecretStr("b")).url == expected


def test_credentials_come_from_the_url_unless_given_beside_it() -> None:
    url = "https://eve%40vsphere.local:p%40ss%2F@vc/sdk"
    found = VCenterSettings.parse(url)
    assert (found.username, found.password.get_secret_value()) == ("eve@vsphere.local", "p@ss/")
    given = VCenterSettings.parse(url, "adam", SecretStr("apple"))
    assert (given.username, given.password.get_secret_value()) == ("adam", "apple")


def test_no_form_of_the_settings_shows_the_password() -> None:
    found = VCenterSettings.parse("vc", "eve", SecretStr(SECRET))
    assert SECRET not in f"{found!r} {found} {found.url} {found.password!r}"


@pytest.mark.parametrize(
    ("url", "user", "complaint"),
    [
        ("", "u", "no vCenter host"),
        ("http://vc", "u", "begins with http://"),
        (f"https://u:{SECRET}@vc/sdk", "u", "must be escaped"),
        ("https://u:s3cr@vc:port/sdk", "u", "cannot be read"),
        ("vc", "", "no user name for vc"),
    ],
)
def test_what_cannot_be_is_refused_without_showing_the_password(url: str, user: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        VCenterSettings.parse(url, user, SecretStr(SECRET))
    assert complaint in str(caught.value)
    assert "s3cr" not in str(caught.value)


def test_a_missing_password_is_said() -> None:
    with pytest.raises(UsageError, match="no password for vc"):
        VCenterSettings.parse("vc", "eve")


@pytest.mark.parametrize("text", ["AB:CD", "zz" * 20, "ab" * 31])
def test_a_thumbprint_is_a_sha1_or_sha256(text: str) -> None:
    with pytest.raises(UsageError, match="no certificate thumbprint"):
        VCenterSettings.parse("vc", "a", SecretStr("b"), thumbprint=text)


def test_several_ca_files() -> None:
    found = VCenterSettings.parse("vc", "a", SecretStr("b"), ca_file="/etc/one.pem:/etc/two.pem")
    assert found.ca_files == ("/etc/one.pem", "/etc/two.pem")


@pytest.mark.parametrize(
    "text",
    [
        "AB" * 20,
        ":".join(["ab"] * 32),
        "sha256 Fingerprint=" + ":".join(["AB"] * 32),
        "SHA1 Fingerprint=" + ":".join(["AB"] * 20),
        "SHA-256: " + ":".join(["aB"] * 32),
        " " + " ".join(["ab"] * 20) + "\n",
    ],
)
def test_a_thumbprint_is_read_as_tools_write_it(text: str) -> None:
    found = VCenterSettings.parse("vc", "a", SecretStr("b"), thumbprint=text).thumbprint
    assert found in ("ab" * 20, "ab" * 32)


def test_a_token_file_takes_the_place_of_name_and_password() -> None:
    found = VCenterSettings.parse("vc", token_file="/run/secrets/token")
    assert (found.token_file, found.username) == ("/run/secrets/token", "")
