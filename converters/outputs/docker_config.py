"""Credentials that ``docker login`` or ``podman login`` left, in their file or behind a credential helper."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from converters.errors import OutputError
from converters.outputs.auth import Credentials
from converters.process import MINIMAL_ENVIRONMENT, ProcessError, run

_DOCKER_HUB = {"docker.io", "index.docker.io", "registry-1.docker.io"}
_HELPER_ENVIRONMENT = ("PATH", "HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
_HELPER_SECONDS = 30.0
_NOT_FOUND = "credentials not found"


def docker_credentials(registry: str, environment: Mapping[str, str] = os.environ) -> Credentials | None:
    """What this user is logged in with at ``registry`` (``host:port``); None: nothing.

    Looked for as docker and podman do: ``$DOCKER_CONFIG/config.json`` or ``~/.docker/config.json``, then
    ``$REGISTRY_AUTH_FILE`` or ``$XDG_RUNTIME_DIR/containers/auth.json``.

    Raises:
        OutputError: a file or a helper's answer cannot be read.
    """
    for path in _files(environment):
        try:
            document = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            raise OutputError(f"the credentials file {path} cannot be read: {error}") from error
        if found := _from_document(document, registry, environment, path):
            return found
    return None


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    home = Path(environment.get("HOME", "/nonexistent"))
    yield Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    if named := environment.get("REGISTRY_AUTH_FILE"):
        yield Path(named)
    elif runtime := environment.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"


def _from_document(
    document: Mapping[str, Any], registry: str, environment: Mapping[str, str], path: Path
) -> Credentials | None:
    helpers = document.get("credHelpers") or {}
    helper = next((value for key, value in helpers.items() if _host(key) == registry), None)
    if helper := helper or document.get("credsStore"):
        return _from_helper(str(helper), registry, environment)
    for key, value in (document.get("auths") or {}).items():
        if _is_for(key, registry) and value:
            try:
                return _from_entry(value)
            except (binascii.Error, UnicodeDecodeError) as error:
                raise OutputError(f"the entry {key} of {path} cannot be read: {error}") from error
    return None


def _from_entry(entry: Mapping[str, str]) -> Credentials | None:
    username, password = entry.get("username", ""), entry.get("password", "")
    if encoded := entry.get("auth"):
        username, _, password = base64.b64decode(encoded, validate=True).decode().rstrip("\0").partition(":")
    token = entry.get("identitytoken", "")
    return Credentials(username, password, token) if username or token else None


def _from_helper(helper: str, registry: str, environment: Mapping[str, str]) -> Credentials | None:
    """Docker's credential helper protocol: the server's name in, a JSON object out."""
    program = f"docker-credential-{helper}"
    server = "https://index.docker.io/v1/" if registry in _DOCKER_HUB else registry
    child = {
        **MINIMAL_ENVIRONMENT,
        **{key: environment[key] for key in _HELPER_ENVIRONMENT if key in environment},
    }
    try:
        completed = run(
            [program, "get"], env=child, input=server.encode(), timeout=_HELPER_SECONDS, accept=(0, 1)
        )
    except ProcessError as error:
        raise OutputError(
            f"the credential helper for {registry} failed: {error.message}", error.hint
        ) from error
    if completed.returncode:
        said = completed.stdout.decode("utf-8", "backslashreplace").strip()
        if _NOT_FOUND in said.lower():
            return None
        raise OutputError(f"the credential helper `{program}` gives nothing for {registry}: {said}")
    try:
        answer = json.loads(completed.stdout)
        username, secret = str(answer["Username"]), str(answer["Secret"])
    except (ValueError, KeyError, TypeError):
        # Without the cause: it would show what was answered, perhaps the secret.
        raise OutputError(f"the credential helper `{program}` answered something else than JSON") from None
    if username == "<token>":
        return Credentials("", identity_token=secret)
    return Credentials(username, secret)


def _is_for(key: str, registry: str) -> bool:
    host = _host(key)
    return host == registry or (host in _DOCKER_HUB and registry in _DOCKER_HUB)


def _host(key: str) -> str:
    """``host:port`` of a key, which may be a URL."""
    return key.removeprefix("https://").removeprefix("http://").partition("/")[0]
