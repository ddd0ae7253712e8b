"""Who pushes: credentials, and a registry's challenges answered with them.

RFC 9110, 11; distribution, "Token Authentication Specification".
"""

from __future__ import annotations

import base64
import re
from collections.abc import Generator
from dataclasses import dataclass, field

import httpx

from converters.errors import OutputError

_CLIENT = "orchestrate"
_CREDENTIALS_HINT = "check --registry-username and its password, or run `docker login` for this registry"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A registry user; secrets stay out of ``repr``, so out of logs and tracebacks."""

    username: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """An OAuth2 refresh token in place of a password, as some credential helpers give."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One ``WWW-Authenticate`` challenge."""

    scheme: str
    """In lower case."""
    parameters: dict[str, str]

    @classmethod
    def parse(cls, headers: list[str]) -> list[Challenge]:
        """The challenges of all the headers, in their order."""
        challenges: list[Challenge] = []
        for scheme, name, quoted, plain in _CHALLENGE.findall(",".join(headers)):
            if scheme:
                challenges.append(cls(scheme.lower(), {}))
            elif challenges:
                challenges[-1].parameters[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) or plain
        return challenges


# A scheme is a word followed by another word or the end; a parameter is a word followed by an equals sign.
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_CHALLENGE = re.compile(
    rf'({_WORD})(?=\s+{_WORD}\s*=|\s*(?:,|$))(?!\s*=)|({_WORD})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))'
)


class RegistryAuth(httpx.Auth):
    """Answers the challenges of one registry, and sends at once what answered the last of them.

    A token that ends in the middle of a push is renewed: the registry's next challenge fetches another, and
    the request is sent again. Requests to other hosts (storage that a registry names) carry no credentials.
    """

    requires_response_body = True

    def __init__(self, registry: httpx.URL, credentials: Credentials | None) -> None:
        self._registry = registry
        self._credentials = credentials
        self._authorization = ""

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See ``httpx.Auth``.

        Raises:
            OutputError: the token server refuses the credentials, or the challenge would send them in clear.
        """
        if request.url.netloc != self._registry.netloc:
            yield request
            return
        if self._authorization:
            request.headers["Authorization"] = self._authorization
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED:
            return
        challenges = Challenge.parse(response.headers.get_list("WWW-Authenticate"))
        for challenge in challenges:
            match challenge.scheme:
                case "bearer":
                    token = yield self._token_request(challenge)
                    self._authorization = f"Bearer {self._token(token)}"
                case "basic" if self._credentials is not None and not self._credentials.identity_token:
                    self._authorization = f"Basic {_basic(self._credentials)}"
                case _:
                    continue
            request.headers["Authorization"] = self._authorization
            yield request
            return

    def _token_request(self, challenge: Challenge) -> httpx.Request:
        try:
            realm = httpx.URL(challenge.parameters.get("realm", ""))
        except httpx.InvalidURL:
            realm = httpx.URL()
        if not realm.host:
            raise OutputError(f"{self._registry.host} asks for a token and does not say where to get one")
        if self._credentials and realm.scheme != "https" and self._registry.scheme == "https":
            raise OutputError(
                f"{self._registry.host} wants the credentials sent without encryption, to {realm}",
                "mend the token realm in the registry's configuration",
            )
        wanted = {key: value for key in ("service", "scope") if (value := challenge.parameters.get(key))}
        if self._credentials is None:
            return httpx.Request("GET", realm.copy_merge_params(wanted))
        if self._credentials.identity_token:
            grant = {"grant_type": "refresh_token", "refresh_token": self._credentials.identity_token}
            return httpx.Request("POST", realm, data={**wanted, **grant, "client_id": _CLIENT})
        url = realm.copy_merge_params({**wanted, "client_id": _CLIENT, "account": self._credentials.username})
        return httpx.Request("GET", url, headers={"Authorization": f"Basic {_basic(self._credentials)}"})

    def _token(self, response: httpx.Response) -> str:
        host = response.request.url.host
        if response.is_success:
            try:
                answer = response.json()
                return str(answer.get("token") or answer["access_token"])
            except (ValueError, KeyError, AttributeError) as error:
                raise OutputError(
                    f"the token server {host} of {self._registry.host} gave no token"
                ) from error
        if response.is_client_error and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
            who = f"the user {self._credentials.username}" if self._credentials else "anonymous access"
            raise OutputError(
                f"the token server {host} of {self._registry.host} refuses {who}", _CREDENTIALS_HINT
            )
        raise httpx.RemoteProtocolError(f"the token server {host} answers {response.status_code}")


def _basic(credentials: Credentials) -> str:
    return base64.b64encode(f"{credentials.username}:{credentials.password}".encode()).decode()
