"""Starting a server beside us: bounded waits, and an error that shows what the server said."""

from __future__ import annotations

import json
import select
import time
from collections.abc import Callable
from typing import Any

from converters.process import ProcessError, Running

_POLL_SECONDS = 0.05


def first_line(child: Running, seconds: float) -> dict[str, Any]:
    """The JSON object that a server prints as its first line once it is ready.

    Raises:
        ProcessError: it ended, or said nothing for ``seconds``.
    """
    stream = child.process.stdout
    assert stream is not None
    readable, _, _ = select.select([stream], [], [], seconds)
    line = stream.readline() if readable else b""
    if not line:
        raise _failure(child, seconds)
    value: dict[str, Any] = json.loads(line)
    return value


def wait_until(child: Running, ready: Callable[[], bool], seconds: float) -> None:
    """Wait until a server answers.

    Raises:
        ProcessError: it ended, or is not ready after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if child.ended() is not None or time.monotonic() > deadline:
            raise _failure(child, seconds)
        time.sleep(_POLL_SECONDS)


def _failure(child: Running, seconds: float) -> ProcessError:
    try:
        child.wait(timeout=0.5)  # a server that closed its output is about to end
    except ProcessError:
        said = child.stderr().decode("utf-8", "backslashreplace").strip().splitlines()[-20:]
        text = "\n".join(said) or "it has written nothing to standard error"
        return ProcessError(f"`{child.argv[0]}` was not ready within {seconds:g} seconds; its log:\n{text}")
    return child.failure()
