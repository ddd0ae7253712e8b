"""Credentials from the files and helpers of docker and podman."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from converters.errors import OutputError
from converters.outputs.auth import Challenge, Credentials
from converters.outputs.docker_config import docker_credentials

REGISTRY = "registry.example.com:5000"
AUTH = {"auth": base64.b64encode(b"user:pass:word").decode()}
USER = Credentials("user", "pass:word")


def write(folder: Path, document: object, name: str = "config.json") -> dict[str, str]:
    """The document as a configuration file, and the environment that points to it."""
    (folder / name).write_text(json.dumps(document))
    return {"DOCKER_CONFIG": str(folder), "PATH": f"{folder}:/usr/bin:/bin"}


def helper(folder: Path, script: str) -> None:
    program = folder / "docker-credential-test"
    program.write_text(f"#!/bin/sh\nread -r server || true\n{script}\n")
    program.chmod(0o755)


@pytest.mark.parametrize("key", [REGISTRY, f"https://{REGISTRY}", f"http://{REGISTRY}/v1/"])
def test_auths_are_found_by_host(tmp_path: Path, key: str) -> None:
    environment = write(tmp_path, {"auths": {"other.example.com": {"auth": "eDp5"}, key: AUTH}})
    assert docker_credentials(REGISTRY, environment) == USER


def test_docker_hub_has_a_name_of_its_own(tmp_path: Path) -> None:
    environment = write(tmp_path, {"auths": {"https://index.docker.io/v1/": AUTH}})
    assert docker_credentials("docker.io", environment) == USER


def test_identity_token(tmp_path: Path) -> None:
    entry = {"auth": base64.b64encode(b"user:").decode(), "identitytoken": "refresh"}
    found = docker_credentials(REGISTRY, write(tmp_path, {"auths": {REGISTRY: entry}}))
    assert found == Credentials("user", "", "refresh")


def test_nothing_is_anonymous(tmp_path: Path) -> None:
    assert docker_credentials(REGISTRY, {"HOME": str(tmp_path)}) is None
    assert docker_credentials(REGISTRY, write(tmp_path, {"auths": {REGISTRY: {}}})) is None


def test_podman_file(tmp_path: Path) -> None:
    (tmp_path / "containers").mkdir()
    write(tmp_path / "containers", {"auths": {REGISTRY: AUTH}}, "auth.json")
    assert docker_credentials(REGISTRY, {"HOME": "/nowhere", "XDG_RUNTIME_DIR": str(tmp_path)}) == USER


def test_helper_is_asked_for_the_registry(tmp_path: Path) -> None:
    helper(tmp_path, 'test "$1" = get && printf \'{"Username":"%s","Secret":"s"}\' "$server"')
    environment = write(tmp_path, {"credHelpers": {REGISTRY: "test"}})
    assert docker_credentials(REGISTRY, environment) == Credentials(REGISTRY, "s")
    assert docker_credentials("other.example.com", environment) is None


def test_helper_that_gives_a_token(tmp_path: Path) -> None:
    helper(tmp_path, 'printf \'{"Username":"<token>","Secret":"refresh"}\'')
    environment = write(tmp_path, {"credsStore": "test"})
    assert docker_credentials(REGISTRY, environment) == Credentials("", "", "refresh")


def test_helper_that_knows_nothing(tmp_path: Path) -> None:
    helper(tmp_path, 'echo "credentials not found in native keychain"; exit 1')
    assert docker_credentials(REGISTRY, write(tmp_path, {"credsStore": "test"})) is None


def test_helper_that_talks_does_not_get_its_answer_into_the_error(tmp_path: Path) -> None:
    helper(tmp_path, "echo s3cret")
    with pytest.raises(OutputError, match="something else than JSON") as raised:
        docker_credentials(REGISTRY, write(tmp_path, {"credsStore": "test"}))
    assert "s3cret" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_helper_that_fails_or_is_missing(tmp_path: Path) -> None:
    helper(tmp_path, 'echo "keychain is locked"; exit 1')
    with pytest.raises(OutputError, match="keychain is locked"):
        docker_credentials(REGISTRY, write(tmp_path, {"credsStore": "test"}))
    with pytest.raises(OutputError, match="`docker-credential-absent` is not installed"):
        docker_credentials(REGISTRY, write(tmp_path, {"credsStore": "absent"}))


@pytest.mark.parametrize("document", ["{", '{"auths": {"registry.example.com:5000": {"auth": "%%"}}}'])
def test_damaged_file_is_named(tmp_path: Path, document: str) -> None:
    environment = write(tmp_path, {})
    (tmp_path / "config.json").write_text(document)
    with pytest.raises(OutputError, match=r"config\.json cannot be read"):
        docker_credentials(REGISTRY, environment)


@pytest.mark.parametrize(
    ("headers", "challenges"),
    [
        (
            ['Bearer realm="https://a/t",service="s",scope="repository:a/b:pull,push"'],
            [("bearer", {"realm": "https://a/t", "service": "s", "scope": "repository:a/b:pull,push"})],
        ),
        (['Negotiate, Basic realm="a, b=c"'], [("negotiate", {}), ("basic", {"realm": "a, b=c"})]),
        (
            ["Basic realm=plain", 'Bearer realm="b"'],
            [("basic", {"realm": "plain"}), ("bearer", {"realm": "b"})],
        ),
        ([r'Basic realm="say \"x\""'], [("basic", {"realm": 'say "x"'})]),
        ([], []),
    ],
)
def test_challenges(headers: list[str], challenges: list[tuple[str, dict[str, str]]]) -> None:
    assert Challenge.parse(headers) == [Challenge(*challenge) for challenge in challenges]
