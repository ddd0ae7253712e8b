"""Runs the static init as the first process of a name space of its own, as a container engine does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.waiting import until

_CONTAINER = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
dev=$(mktemp -d) && mount -t tmpfs tmpfs $dev && cp -a /dev/null /dev/zero /dev/urandom $dev/
ln -s /proc/self/fd $dev/fd && mount --move $dev /dev && rmdir $dev
exec "$@"
"""
"""Gives the name space a /run and a /dev of its own, as a container has."""


def command(*words: str, **more: object) -> dict[str, object]:
    """A command of a specification."""
    return {"words": list(words), **more}


def shell(script: str, **more: object) -> dict[str, object]:
    """A command that runs a line of shell."""
    return command("/bin/sh", "-c", script, **more)


def specification(folder: Path, **fields: Any) -> Path:
    """A specification file for a service that ends within seconds, whatever happens."""
    document = {"version": 1, "service": "test", "start_seconds": 10, "stop_seconds": 5, **fields}
    path = folder / "service.json"
    path.write_text(json.dumps(document))
    return path


@dataclass(slots=True)
class Container:
    """An init that runs."""

    process: subprocess.Popen[str]

    @property
    def pid(self) -> int:
        """The init's number outside its name space; 0 as long as there is none."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the init."""
        os.kill(self.pid, number)

    def finish(self, seconds: float = 15) -> tuple[int, str]:
        """Exit status, and what it wrote to both outputs."""
        output, _ = self.process.communicate(timeout=seconds)
        return self.process.returncode, output


@contextmanager
def running(
    program: Path,
    spec: Path,
    environment: Mapping[str, str] | None = None,
    before: Sequence[str] = (),
    more: Sequence[Path] = (),
) -> Iterator[Container]:
    """An init at work; killed, with all that it started, when the block ends.

    Args:
        before: words that start the init with fewer rights.
        more: specifications of further services in the same container.
    """
    argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", _CONTAINER, "sh"]
    process = subprocess.Popen(
        [*argv, *before, str(program), str(spec), *map(str, more)],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    container = Container(process)
    try:
        yield container
    finally:
        process.kill()
        process.communicate()


def finished(
    program: Path, spec: Path, environment: Mapping[str, str] | None = None, before: Sequence[str] = ()
) -> tuple[int, str]:
    """Exit status and output of a service that ends by itself."""
    with running(program, spec, environment, before) as container:
        return container.finish()


def said(path: Path, text: str) -> None:
    """Wait until a file holds a text."""
    until(lambda: path.exists() and text in path.read_text())
