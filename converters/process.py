"""The one door to external processes: list arguments, an explicit environment, no shell, no orphans."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from converters.errors import ConvertError

PIPE = subprocess.PIPE
"""For ``running``: the child's stream is ours to read or write."""

MINIMAL_ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
}
"""What a child sees unless its caller says otherwise: no credentials, no home, messages in English."""

PACKAGES: Mapping[str, str] = {
    "btrfs": "btrfs-progs",
    "linux.uml": "user-mode-linux",
    "nbdkit": "nbdkit",
    "prlimit": "util-linux",
    "qemu-img": "qemu-utils",
    "qemu-nbd": "qemu-utils",
    "rpm": "rpm",
    "setpriv": "util-linux",
}
"""Debian package of a program, for the message when it is missing."""

_UNLESS_ORPHANED = '[ "$PPID" = "$1" ] || exit 1; shift; unset PWD OLDPWD SHLVL; exec "$@"'
"""A parent that ended before the signal was set would never send it: then the program does not start. What
the shell adds to the environment is taken out again."""

_STDERR_LINES = 8
_STDERR_BYTES = 64 << 10
_PATIENCE = 5.0


class ProcessError(ConvertError):
    """An external program is missing, failed, or ran past its time.

    ``returncode`` is its exit status, negative for a signal, None when it did not start or end in time.
    """

    kind = "process"

    def __init__(self, message: str, hint: str = "", returncode: int | None = None) -> None:
        super().__init__(message, hint)
        self.returncode = returncode


@dataclass(frozen=True, slots=True)
class Limits:
    """Resource limits of a child (prlimit(1))."""

    address_space: int | None = None
    """Bytes."""
    cpu_seconds: int | None = None
    file_size: int | None = None
    """Bytes."""

    def arguments(self) -> list[str]:
        """The words that put a program under these limits, before its own."""
        limits = (
            ("--as", resource.RLIMIT_AS, self.address_space),
            ("--cpu", resource.RLIMIT_CPU, self.cpu_seconds),
            ("--fsize", resource.RLIMIT_FSIZE, self.file_size),
        )
        options = [f"{option}={_allowed(kind, value)}" for option, kind, value in limits if value is not None]
        return ["prlimit", *options, "--"] if options else []


NO_LIMITS = Limits()


def _allowed(kind: int, value: int) -> int:
    """``value``, or our own hard limit where that is lower: raising it takes a privilege we may not have."""
    _, hard = resource.getrlimit(kind)
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended with an accepted exit status."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] = MINIMAL_ENVIRONMENT,
    timeout: float = 60.0,
    input: bytes = b"",
    cwd: str | None = None,
    pass_fds: Collection[int] = (),
    accept: Collection[int] = (0,),
    limits: Limits = NO_LIMITS,
) -> Completed:
    """Run a program to its end, its output held in memory.

    Args:
        argv: the program, found on the ``PATH`` of ``env``, and its arguments.
        env: the child's whole environment.
        timeout: seconds until the child's process group is killed.
        input: its standard input; empty means end of file at once.
        accept: exit statuses that are not failures.

    Raises:
        ProcessError: not installed, another exit status, or out of time.
    """
    pipe = subprocess.PIPE
    process = _start(argv, env, cwd, pass_fds, limits, pipe, pipe, pipe)
    try:
        stdout, stderr = process.communicate(input, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise ProcessError(f"`{argv[0]}` did not end within {timeout:g} seconds") from None
    finally:
        _stop(process, patience=0)
    if process.returncode not in accept:
        raise failure(argv, process.returncode, stderr)
    return Completed(tuple(argv), process.returncode, stdout, stderr)


@dataclass(frozen=True, slots=True)
class Running:
    """A child that runs beside us; what it writes to standard error is kept for the failure message."""

    argv: tuple[str, ...]
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    @property
    def pid(self) -> int:
        """Process id, and the id of its process group."""
        return self.process.pid

    def ended(self) -> int | None:
        """Exit status, or None while it runs."""
        return self.process.poll()

    def wait(self, timeout: float) -> int:
        """Wait for the end and give the exit status.

        Raises:
            ProcessError: it still runs after ``timeout`` seconds.
        """
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"`{self.argv[0]}` did not end within {timeout:g} seconds") from None

    def stderr(self) -> bytes:
        """The end of what it wrote to standard error so far, at most 64 KiB."""
        descriptor = self.log.fileno()
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, _STDERR_BYTES, max(0, size - _STDERR_BYTES))

    def failure(self) -> ProcessError:
        """The error that tells how it ended, for the caller to raise."""
        return failure(self.argv, self.process.poll(), self.stderr())


@contextmanager
def running(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] = MINIMAL_ENVIRONMENT,
    cwd: str | None = None,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = subprocess.DEVNULL,
    pass_fds: Collection[int] = (),
    patience: float = _PATIENCE,
    limits: Limits = NO_LIMITS,
) -> Iterator[Running]:
    """Run a program beside us; on exit its process group is terminated, after ``patience`` seconds killed.

    Enter it in a thread that lives as long as the child: the kernel kills the child when the thread that
    started it ends (PR_SET_PDEATHSIG, prctl(2)).

    Raises:
        ProcessError: the program is not installed or cannot be started.
    """
    with tempfile.TemporaryFile() as log:
        process = _start(argv, env, cwd, pass_fds, limits, stdin, stdout, log)
        try:
            yield Running(tuple(argv), process, log)
        finally:
            _stop(process, patience)


def failure(argv: Sequence[str], returncode: int | None, stderr: bytes) -> ProcessError:
    """The error for a program that ended with ``returncode``, with the last lines it wrote."""
    if returncode is None:
        how = "did not do its work"
    elif returncode < 0:
        how = f"was ended by {signal.Signals(-returncode).name}"
    else:
        how = f"ended with exit status {returncode}"
    lines = stderr.decode("utf-8", "backslashreplace").strip().splitlines()[-_STDERR_LINES:]
    said = ": " + " | ".join(lines) if lines else ""
    return ProcessError(f"`{argv[0]}` {how}{said}", returncode=returncode)


def _start(
    argv: Sequence[str],
    env: Mapping[str, str],
    cwd: str | None,
    pass_fds: Collection[int],
    limits: Limits,
    stdin: int | IO[bytes] | None,
    stdout: int | IO[bytes] | None,
    stderr: int | IO[bytes],
) -> subprocess.Popen[bytes]:
    program = _find(argv[0], env)
    # setpriv(1) sets the parent-death signal in the child and becomes the program: a preexec_fn would run
    # Python between fork and exec, where a lock that another thread holds is held for ever.
    guard = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "--",
        "/bin/sh",
        "-c",
        _UNLESS_ORPHANED,
        "sh",
        str(os.getpid()),
    ]
    command = [*guard, *limits.arguments(), program, *argv[1:]]
    try:
        return subprocess.Popen(
            [_find(command[0], MINIMAL_ENVIRONMENT), *command[1:]],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=dict(env),
            cwd=cwd,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
    except OSError as error:
        raise ProcessError(f"cannot start `{argv[0]}`: {error}") from error


def _find(program: str, env: Mapping[str, str]) -> str:
    found = shutil.which(program, path=env.get("PATH", ""))
    if found is None:
        package = PACKAGES.get(Path(program).name)
        hint = f"install the Debian package {package}" if package else "install it or add it to PATH"
        raise ProcessError(f"the program `{program}` is not installed", hint)
    return found


def _stop(process: subprocess.Popen[bytes], patience: float) -> None:
    """End the child's whole process group, reap the child, close our ends of its pipes."""
    if process.returncode is None:  # not reaped: its number, and so its group's, cannot belong to another yet
        if patience > 0:
            _signal_group(process, signal.SIGTERM)
            _await_exit(process, patience)
        _signal_group(process, signal.SIGKILL)
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _await_exit(process: subprocess.Popen[bytes], patience: float) -> None:
    """Wait until the child has ended, leaving it to be reaped, for at most ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
            return
        time.sleep(0.005)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return
