"""Running a program and measuring it."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measured:
    """What a program took."""

    seconds: float
    peak_rss_mib: float
    """Largest resident size of the program or any of its children."""


def run(command: Sequence[str], env: Mapping[str, str]) -> Measured:
    """Run a program to its end, its output thrown away.

    Raises:
        RuntimeError: it failed; the message ends with what it said.
    """
    with tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            said = errors.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"`{' '.join(command)}` ended with {process.returncode}: {said}")
    return Measured(seconds, usage.ru_maxrss / 1024)
