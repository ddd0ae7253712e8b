"""A registry that behaves in ways the specification allows and Debian's ``docker-registry`` does not.

Relative locations that change with every answer, tokens that end, 429 with ``Retry-After``, connections that
break in the middle of a chunk. It keeps one upload at a time and is only as much of a registry as that needs.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

TOKEN_USER = "Basic dXNlcjpzZWNyZXQ="  # user:secret


@dataclass
class Behaviour:
    """What to do oddly, and what happened."""

    token_uses: int | None = None
    """Requests that one token is good for; None: no token is asked for."""
    busy: dict[str, list[str]] = field(default_factory=dict)
    """By method, the ``Retry-After`` values of the 429 answers to give first."""
    break_after: list[int] = field(default_factory=list)
    """For each of the first chunks, after how many bytes the connection breaks; what came is kept."""
    break_answers: list[str] = field(default_factory=list)
    """Methods whose next answer is lost after the work is done."""
    corrupt: bool = False
    """Damage what is received."""
    least_chunk: int = 0
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    """Method and path, in order."""
    chunks: list[int] = field(default_factory=list)
    tokens: int = 0
    upload: bytearray | None = None
    state: int = 0
    uses_left: int = 0


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def handle_any(self) -> None:
        odd = self.server.behaviour
        odd.requests.append(f"{self.command} {self.path}")
        url = urlsplit(self.path)
        if url.path == "/token":
            self._give_token()
        elif self._refused_for_token():
            self._answer(401, {"WWW-Authenticate": self._challenge()})
        elif odd.busy.get(self.command):
            self._answer(429, {"Retry-After": odd.busy[self.command].pop(0)})
        elif "/blobs/uploads/" in url.path:
            self._upload(parse_qs(url.query))
        elif "/blobs/" in url.path:
            self._answer(200 if url.path.rpartition("/")[2] in odd.blobs else 404)
        else:
            odd.manifests[url.path.rpartition("/")[2]] = self._body()
            self._answer(201)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def _give_token(self) -> None:
        odd = self.server.behaviour
        if self.headers.get("Authorization") != TOKEN_USER:
            self._answer(401)
            return
        odd.tokens += 1
        odd.uses_left = odd.token_uses or 0
        self._answer(200, body=json.dumps({"token": f"t{odd.tokens}"}).encode())

    def _refused_for_token(self) -> bool:
        odd = self.server.behaviour
        if odd.token_uses is None:
            return False
        if self.headers.get("Authorization") != f"Bearer t{odd.tokens}" or odd.uses_left <= 0:
            return True
        odd.uses_left -= 1
        return False

    def _challenge(self) -> str:
        return (
            f'Bearer realm="http://{self.headers["Host"]}/token",service="odd",scope="repository:r:pull,push"'
        )

    def _upload(self, query: dict[str, list[str]]) -> None:
        odd = self.server.behaviour
        if self.command == "POST":
            odd.upload = bytearray()
            self._answer(202, {"Location": self._location(), "OCI-Chunk-Min-Length": str(odd.least_chunk)})
        elif odd.upload is not None and self.command == "GET":
            self._answer(204, self._standing(odd.upload))
        elif odd.upload is None or query.get("state") != [f"a b{odd.state}"]:
            self._answer(404, body=b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"no such upload"}]}')
        elif self.command == "PATCH":
            self._patch(odd.upload)
        elif self.command == "PUT":
            self._commit(odd.upload, query["digest"][0])
        else:
            odd.upload = None
            self._answer(204)

    def _patch(self, upload: bytearray) -> None:
        odd = self.server.behaviour
        first = int(self.headers["Content-Range"].partition("-")[0])
        if first != len(upload):
            self._answer(416, self._standing(upload))
            return
        if odd.break_after:
            upload += self.rfile.read(odd.break_after.pop(0))
            self.close_connection = True
            self.connection.close()
            return
        body = self._body()
        odd.chunks.append(len(body))
        upload += body[::-1] if odd.corrupt else body
        self._answer(202, self._standing(upload))

    def _commit(self, upload: bytearray, digest: str) -> None:
        odd = self.server.behaviour
        if f"sha256:{hashlib.sha256(upload).hexdigest()}" != digest:
            self._answer(400, body=b'{"errors":[{"code":"DIGEST_INVALID","message":"digest differs"}]}')
            return
        odd.blobs[digest] = bytes(upload)
        odd.upload = None
        self._answer(201)

    def _standing(self, upload: bytearray) -> dict[str, str]:
        return {"Location": self._location(), "Range": f"0-{max(0, len(upload) - 1)}"}

    def _location(self) -> str:
        """Relative, another one each time, with a query that must come back as it is."""
        if self.command != "GET":
            self.server.behaviour.state += 1
        return f"/v2/r/blobs/uploads/u?state=a%20b{self.server.behaviour.state}"

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        odd = self.server.behaviour
        if self.command in ("PATCH", "PUT", "POST") and status not in (201, 202):
            self._body()
        if self.command in odd.break_answers and status < 300:
            odd.break_answers.remove(self.command)
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(http.server.ThreadingHTTPServer):
    behaviour: Behaviour

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are what this server is for."""


@contextmanager
def odd_registry(behaviour: Behaviour) -> Iterator[str]:
    """Serve on a free port of the loopback address; gives the repository to push to."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.behaviour = behaviour
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}/r"
        finally:
            server.shutdown()
            thread.join()
