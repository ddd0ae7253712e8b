"""A server that shakes hands and says nothing, as an ESXi host does to whoever only tries."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.demo import certificates


@contextmanager
def tls_server(folder: Path, host: str, port: int = 0) -> Iterator[int]:
    """Serve TLS while the block runs; gives the port. Its certificates are written to ``folder``."""
    files = certificates.make(folder, "orchestrate test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with socket.create_server((host, port)) as server:
        thread = threading.Thread(target=_serve, args=(server, context), name="tls-server")
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket, context: ssl.SSLContext) -> None:
    with suppress(OSError):  # the listening socket is shut down at the end
        while True:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.settimeout(5)
                context.wrap_socket(connection, server_side=True).close()
