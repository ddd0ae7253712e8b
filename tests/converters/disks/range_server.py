"""An HTTP server that gives files in ranges, and can be made to fail."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from converters.disks.remote import HttpRange


class RangeServer(http.server.ThreadingHTTPServer):
    """Gives the files of a folder; ``requests`` are the ranges that were given out."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.requests: list[tuple[str, int, int]] = []
        self.failures: list[int] = []
        """Statuses in place of the next answers; 0 breaks the connection in the middle."""
        self.tags: dict[str, str] = {}

    def file(self, name: str, tag: str = "") -> HttpRange:
        """Where a file is read."""
        if tag:
            self.tags[name] = tag
        url = f"http://127.0.0.1:{self.server_address[1]}/{name}"
        return HttpRange(url, (self.folder / name).stat().st_size, version=tag)

    @property
    def given(self) -> int:
        """Bytes."""
        return sum(last + 1 - first for _, first, last in self.requests)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RangeServer

    def do_GET(self) -> None:
        name = self.path.removeprefix("/")
        failure = self.server.failures.pop(0) if self.server.failures else None
        if failure:
            self.send_response(failure)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"no\n\n")
            return
        data = (self.server.folder / name).read_bytes()
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        self.server.requests.append((name, first, last))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - first))
        if name in self.server.tags:
            self.send_header("ETag", self.server.tags[name])
        self.end_headers()
        part = data[first : last + 1]
        self.wfile.write(part[: len(part) // 2] if failure == 0 else part)
        if failure == 0:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests look at ``requests``."""


@contextmanager
def range_server(folder: Path) -> Iterator[RangeServer]:
    """A server of the folder's files while the block runs."""
    with RangeServer(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
