"""Processes that write intended snapshots to a ledger and are killed at random instants.

``python -m tests.orchestrator.ledger.writer LOCATION ROUNDS``, the password on standard input. Each name that
the ledger has acknowledged is a line on standard output.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import time

from orchestrator.ledger import EnlistedVm, Ledger

_LIVES = 3.0
"""The longest life of a process, in the time that one needs until its first write is acknowledged."""


def write(location: str, password: str) -> None:
    """Write until killed."""
    ledger = Ledger(location, password)
    run = ledger.begin_run("vc-1", "/DC0")
    run.enlist([EnlistedVm("j1", "uuid-1", "vm-1", "web", "prod", "r/web")])
    for number in itertools.count():
        name = f"{run.id} {number}"
        run.snapshot_intended("j1", "vm-1", name)
        os.write(sys.stdout.fileno(), f"{name}\n".encode())


def begin(location: str, password: str, output: int) -> int:
    """The number of a new process that writes to ``output`` what is acknowledged."""
    child = os.fork()
    if child == 0:
        os.dup2(output, sys.stdout.fileno())
        write(location, password)
    return child


def kill(child: int) -> None:
    """End a process at once."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def first_write(location: str, password: str) -> float:
    """Seconds that a process needs until its first write is acknowledged, on this machine, now."""
    began = time.monotonic()
    heard, said = os.pipe()
    child = begin(location, password, said)
    os.close(said)
    os.read(heard, 1)
    seconds = time.monotonic() - began
    kill(child)
    return seconds


def main() -> None:
    """Begin and kill one process after another."""
    location, rounds, password = sys.argv[1], int(sys.argv[2]), sys.stdin.read()
    longest = _LIVES * first_write(location, password)
    instants = random.Random(7)
    for _ in range(rounds):
        child = begin(location, password, sys.stdout.fileno())
        time.sleep(instants.uniform(0.0, longest))
        kill(child)


if __name__ == "__main__":
    main()
