"""A link to a server that can be slow: TCP on the loopback interface, forwarded at a set pace."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PIECE = 16 << 10
_BURST_SECONDS = 0.02


class Link:
    """Forwards ``address`` to a server; what clients send passes at ``rate``."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self.address = ""
        """``host:port`` to connect to."""
        self.rate = 0
        """Bytes a second from all clients to the server, from now on; 0: as fast as it goes."""
        self.sent = 0
        """Bytes that clients have sent through it."""

    async def serve(self, ready: Callable[[asyncio.AbstractEventLoop, asyncio.Event], None]) -> None:
        """Forward until the event that ``ready`` is given is set."""
        over = asyncio.Event()
        server = await asyncio.start_server(self._forward, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            ready(asyncio.get_running_loop(), over)
            await over.wait()

    async def _forward(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            server, requests = await asyncio.open_connection(*self._target)
            there = asyncio.create_task(self._send(client, requests))
            back = asyncio.create_task(_copy(server, answers))
            # One direction's end is the other's: half-open connections have no use here.
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            for task in (there, back):
                task.cancel()
            requests.close()
        answers.close()

    async def _send(self, client: asyncio.StreamReader, requests: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await client.read(self._piece()):
                self.sent += len(piece)
                if self.rate:
                    await asyncio.sleep(len(piece) / self.rate)
                requests.write(piece)
                await requests.drain()

    def _piece(self) -> int:
        """Few bytes at a time on a slow link, so that a new rate takes effect at once."""
        return min(_PIECE, max(1, int(self.rate * _BURST_SECONDS))) if self.rate else _PIECE


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(_PIECE):
            target.write(piece)
            await target.drain()


@contextmanager
def linked(target: str) -> Iterator[Link]:
    """A link to the server at ``target`` (``host:port``), open while the block runs."""
    link = Link(target)
    started: queue.SimpleQueue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = queue.SimpleQueue()

    def run() -> None:
        asyncio.run(link.serve(lambda *control: started.put(control)))

    thread = threading.Thread(target=run, name="link")
    thread.start()
    loop, over = started.get(timeout=10)
    try:
        yield link
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
