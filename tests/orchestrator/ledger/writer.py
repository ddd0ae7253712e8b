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

_LONGEST = 0.25
"""Seconds of a process's life."""


def write(location: str, password: str) -> None:
    """Write until killed."""
    ledger = Ledger(location, password)
    run = ledger.begin_run("vc-1", "/DC0")
    run.enlist([EnlistedVm("j1", "uuid-1", "vm-1", "web", "prod", "r/web")])
    for number in itertools.count():
        name = f"{run.id} {number}"
        run.snapshot_intended("j1", "vm-1", name)
        os.write(sys.stdout.fileno(), f"{name}\n".encode())


def main() -> None:
    """Begin and kill one process after another."""
    location, rounds, password = sys.argv[1], int(sys.argv[2]), sys.stdin.read()
    instants = random.Random(7)
    for _ in range(rounds):
        child = os.fork()
        if child == 0:
            write(location, password)
        time.sleep(instants.uniform(0.0, _LONGEST))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
