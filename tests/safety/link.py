"""A link to a server that can be slow, or stop at a request: TCP on the loopback interface."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_PIECE = 16 << 10
_BURST_SECONDS = 0.02
_PAUSE = 0.02


@dataclass(slots=True, eq=False)
class Stop:
    """Where a link holds up a request that begins with ``start``, or the answer to it; it never arrives."""

    start: bytes
    at_answer: bool = False
    met: bool = False
    """Whether it has stopped there."""
    over: bool = False

    async def hold(self) -> None:
        """Wait until the connection may be cut."""
        self.met = True
        while not self.over:
            await asyncio.sleep(_PAUSE)


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
        self._stop: Stop | None = None

    def stop_at(self, start: str, at_answer: bool = False) -> Stop:
        """Hold up the next request that begins with ``start``, or the answer to it, until ``go_on``."""
        self._stop = Stop(start.encode(), at_answer)
        return self._stop

    def go_on(self) -> None:
        """Let everything pass, as fast as it goes; the connection that was held up is cut."""
        self.rate = 0
        if self._stop is not None:
            self._stop.over = True
            self._stop = None

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
            stopped: list[Stop] = []
            there = asyncio.create_task(self._send(client, requests, stopped))
            back = asyncio.create_task(_copy(server, answers, stopped))
            # One direction's end is the other's: half-open connections have no use here.
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
            for task in (there, back):
                task.cancel()
            requests.close()
        answers.close()

    async def _send(
        self, client: asyncio.StreamReader, requests: asyncio.StreamWriter, stopped: list[Stop]
    ) -> None:
        with contextlib.suppress(OSError):
            while piece := await client.read(self._piece()):
                self.sent += len(piece)
                stop = self._stop
                if stop is not None and not stop.met and piece.startswith(stop.start):
                    if stop.at_answer:
                        stopped.append(stop)
                    else:
                        await stop.hold()
                        return
                if self.rate:
                    await asyncio.sleep(len(piece) / self.rate)
                requests.write(piece)
                await requests.drain()

    def _piece(self) -> int:
        """Few bytes at a time on a slow link, so that a new rate takes effect at once."""
        return min(_PIECE, max(1, int(self.rate * _BURST_SECONDS))) if self.rate else _PIECE


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, stopped: list[Stop]) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(_PIECE):
            if stopped:
                await stopped.pop().hold()
                return
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
