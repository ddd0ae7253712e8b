"""A proxy that cuts connections: at once, for a while, or between a commit and its answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_COMMIT = b"COMMIT"
_PIECE = 1 << 16


class Proxy:
    """Forwards ``address`` to a server on loopback."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        """``host:port`` to connect to."""
        self.refusing = False
        """Whether new connections are closed at once."""
        self.deaf = False
        """Whether what clients send goes nowhere, and nothing comes back."""
        self.answers_to_lose = 0
        """How many of the next commits lose their answer, and with it the connection."""
        self.lost = 0
        """How many have."""
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def serve(self) -> None:
        """Until ``close``."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def cut(self) -> None:
        """End every connection now."""
        with self._lock:
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End everything."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _forward(self, client: socket.socket) -> None:
        if self.refusing:
            client.close()
            return
        with client, socket.create_connection(self._target) as server:
            with self._lock:
                self._open |= {client, server}
            back = threading.Thread(target=self._copy_back, args=(server, client), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                while piece := client.recv(_PIECE):
                    if self.deaf:
                        continue
                    if _COMMIT in piece and self.answers_to_lose:
                        self.answers_to_lose -= 1
                        self.lost += 1
                        client.shutdown(socket.SHUT_WR)  # before the server can answer
                    server.sendall(piece)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join()
            with self._lock:
                self._open -= {client, server}

    def _copy_back(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := server.recv(_PIECE):
                if not self.deaf:
                    client.sendall(piece)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    """A proxy before ``target`` (``host:port``), open while the block runs."""
    proxy = Proxy(target)
    thread = threading.Thread(target=proxy.serve, name="proxy")
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join()
