"""What confinement takes from the reading process and its children, asked of the kernel in a child."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from converters.reader import landlock

needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")
PRELUDE = """
import ctypes, errno, json, os, resource, socket, subprocess, sys
from converters.errors import UnsupportedError
from converters.reader import confine as confining, landlock, reach
from converters.disks import RawFile
from converters.reading import Reading

DISK, SCRATCH = sys.argv[1:] or ("/dev/null", "/nowhere")

def confine(memory):
    keys = os.path.join(os.path.dirname(SCRATCH), "keys")
    confining.confine(memory, reach.rules([RawFile(DISK)], Reading(luks_keys=keys), SCRATCH))

def attempt(action):
    try:
        return action() or "done"
    except OSError as error:
        return errno.errorcode[error.errno]

def make(family, type=socket.SOCK_STREAM):
    return attempt(lambda: socket.socket(family, type).close())

def call(*arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(*(ctypes.c_long(argument) for argument in arguments)) < 0:
        raise OSError(ctypes.get_errno(), "")
"""


def probe(script: str, *arguments: str, before: Sequence[str] = ()) -> Any:
    """What ``script`` prints as JSON; it must be confined in a process that ends with the test."""
    command = [*before, sys.executable, "-I", "-c", PRELUDE + script, *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_only_unix_sockets_are_left() -> None:
    before, after = probe("""
def all():
    return {
        "unix": make(socket.AF_UNIX),
        "pair": attempt(lambda: [end.close() for end in socket.socketpair()] and None),
        "inet": make(socket.AF_INET),
        "inet6": make(socket.AF_INET6),
        "netlink": make(socket.AF_NETLINK, socket.SOCK_RAW),
        "packet": make(socket.AF_PACKET, socket.SOCK_RAW),
        "vsock": make(socket.AF_VSOCK),
    }
before = all()
confine(1 << 30)
print(json.dumps([before, all()]))
""")
    assert before["inet"] == "done"
    assert after == {
        "unix": "done",
        "pair": "done",
        "inet": "EPERM",
        "inet6": "EPERM",
        "netlink": "EPERM",
        "packet": "EPERM",
        "vsock": "EPERM",
    }


@pytest.mark.skipif(sys.platform != "linux" or not sys.maxsize > 1 << 32, reason="system call numbers")
def test_no_way_around_the_socket_call() -> None:
    # An io_uring opens sockets without the call; the x32 numbers are other names for the same calls.
    found = probe("""
confine(1 << 30)
import platform
answers = {"io_uring": attempt(lambda: call(425, 1, 0))}
if platform.machine() == "x86_64":
    answers["x32"] = attempt(lambda: call(0x40000000 | 41, socket.AF_INET, socket.SOCK_STREAM, 0))
    answers["high bits"] = attempt(lambda: call(41, socket.AF_UNIX | 1 << 32, socket.SOCK_STREAM, 0))
print(json.dumps(answers))
""")
    assert found.pop("io_uring") == "EPERM"
    # The kernel takes the family as 32 bits, and so does the filter.
    assert found in ({}, {"x32": "EPERM", "high bits": "done"})


def test_children_inherit_it_and_cannot_shed_it() -> None:
    found = probe("""
confine(1 << 30)
child = "import socket; socket.socket(socket.AF_INET)"
done = subprocess.run([sys.executable, "-I", "-c", child], capture_output=True)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "child": b"PermissionError" in done.stderr,
    "seccomp": status["Seccomp"].strip(),
    "no new privileges": status["NoNewPrivs"].strip(),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
}))
""")
    assert found == {"child": True, "seccomp": "2", "no new privileges": "1", "core": [0, 0]}


def test_memory_is_bounded_also_for_children() -> None:
    found = probe("""
confine(300 << 20)
def take():
    try:
        return len(bytearray(400 << 20))
    except MemoryError:
        return "MemoryError"
child = "bytearray(400 << 20)"
done = subprocess.run([sys.executable, "-I", "-c", child], capture_output=True)
print(json.dumps([take(), b"MemoryError" in done.stderr]))
""")
    assert found == ["MemoryError", True]


def test_a_lower_limit_of_ours_stays() -> None:
    found = probe("""
resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))
confine(1 << 30)
print(json.dumps(resource.getrlimit(resource.RLIMIT_AS)))
""")
    assert found == [200 << 20, 200 << 20]


def test_without_a_filter_for_the_machine_nothing_is_read() -> None:
    found = probe("""
import platform
platform.machine = lambda: "riscv64"
try:
    confine(1 << 30)
except UnsupportedError as error:
    print(json.dumps(str(error)))
""")
    assert "no system call filter for riscv64" in found


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that is not in ``/tmp``, where root's helpers may make and remove sockets."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


@needs_landlock
def test_of_files_only_disks_scratch_and_the_system_are_left(place: Path) -> None:
    disk, scratch, secret = (place / name for name in ("disks/disk.raw", "scratch", "disks/secret"))
    disk.parent.mkdir()
    disk.write_bytes(b"disk")
    secret.write_text("password")
    scratch.mkdir()
    (place / "keys").mkdir()
    (place / "keys" / "uuid").write_text("key of a volume")
    found = probe(
        """
from pathlib import Path
confine(1 << 30)
disk, scratch = Path(DISK), Path(SCRATCH)
def write(path):
    path.write_text("x")
def in_scratch():
    (scratch / "folder").mkdir()
    write(scratch / "folder" / "file")
    (scratch / "folder" / "file").rename(scratch / "moved")
    os.truncate(scratch / "moved", 0)
    (scratch / "folder").rmdir()
child = f"open({str(disk.parent / 'secret')!r})"
print(json.dumps({
    "read the disk": disk.read_bytes().decode(),
    "read a volume's key": (scratch.parent / "keys" / "uuid").read_text(),
    "write a volume's key": attempt(lambda: write(scratch.parent / "keys" / "uuid")),
    "write the disk": attempt(lambda: write(disk)),
    "write scratch": attempt(in_scratch),
    "read beside the disk": attempt(lambda: (disk.parent / "secret").read_text()),
    "list beside the disk": attempt(lambda: os.listdir(disk.parent)),
    "remove beside the disk": attempt(lambda: os.unlink(disk.parent / "secret")),
    "list the home folder": attempt(lambda: os.listdir(Path.home())),
    "link a secret into scratch": attempt(lambda: os.link(disk.parent / "secret", scratch / "secret")),
    "write a program": attempt(lambda: write(Path(sys.prefix) / "x")),
    "in a child": b"PermissionError" in subprocess.run(
        [sys.executable, "-I", "-c", child], capture_output=True).stderr,
    "modules": attempt(lambda: __import__("guestfs") and None) in ("done", "ENOENT"),
    "randomness": len(os.urandom(1)),
}))
""",
        str(disk),
        str(scratch),
    )
    assert found == {
        "read the disk": "disk",
        "read a volume's key": "key of a volume",
        "write a volume's key": "EACCES",
        "write the disk": "EACCES",
        "write scratch": "done",
        "read beside the disk": "EACCES",
        "list beside the disk": "EACCES",
        "remove beside the disk": "EACCES",
        "list the home folder": "EACCES",
        "link a secret into scratch": "EXDEV",
        "write a program": "EACCES",
        "in a child": True,
        "modules": True,
        "randomness": 1,
    }


@needs_landlock
def test_no_process_that_is_not_its_own_is_within_reach() -> None:
    """Its parent's environment holds secrets."""
    found = probe("""
import ctypes, signal
confine(1 << 30)
parent, libc = os.getppid(), ctypes.CDLL(None, use_errno=True)
own = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(json.dumps({
    "environment": attempt(lambda: open(f"/proc/{parent}/environ").read() and None),
    "memory": attempt(lambda: open(f"/proc/{parent}/mem", "rb").read(1) and None),
    "trace": attempt(lambda: call(101, 16, parent, 0, 0)),
    "files": attempt(lambda: os.readlink(f"/proc/{parent}/fd/0") and None),
    "layout": attempt(lambda: open(f"/proc/{parent}/maps").read() and None),
    "signal": attempt(lambda: os.kill(parent, 0)) if landlock.version() >= 6 else "EPERM",
    "own child": attempt(own.kill),
}))
own.wait()
""")
    assert found.pop("own child") == "done"
    assert set(found.values()) <= {"EACCES", "EPERM"}, found


@pytest.mark.skipif(landlock.version() < 6, reason="Landlock of this kernel leaves abstract sockets")
def test_abstract_sockets_of_others_are_out_of_reach_and_own_ones_are_not() -> None:
    with socket.socket(socket.AF_UNIX) as service:
        service.bind("")  # a name that is free (unix(7), autobind)
        service.listen()
        found = probe(
            f"NAME = {service.getsockname()!r}"
            + """
confine(1 << 30)
own, other = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
own.bind("")
own.listen()
print(json.dumps([
    attempt(lambda: socket.socket(socket.AF_UNIX).connect(NAME)),
    attempt(lambda: other.connect(own.getsockname())),
]))
"""
        )
    assert found == ["EPERM", "done"]


def test_without_landlock_who_holds_secrets_becomes_unreadable_and_that_is_told_once() -> None:
    """One process tries to read the environment of another of the same user, who has no privileges."""
    found = probe(
        """
import logging
said = []
logging.getLogger("converters.reader.confine").addFilter(lambda record: said.append(record.getMessage()))
look = "import os; open(f'/proc/{os.getppid()}/environ').read()"
def readable():
    return subprocess.run([sys.executable, "-I", "-c", look], capture_output=True).returncode == 0
before = readable()
landlock.version = lambda: 0
confine(1 << 30)
confining.guard_secrets()
confining.guard_secrets()
print(json.dumps([before, readable(), len(said), "may read what files this user may" in said[0]]))
""",
        before=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.geteuid() == 0 else (),
    )
    assert found == [True, False, 1, True]


@needs_landlock
def test_a_disk_that_cannot_be_reached_is_told_by_who_opens_it(place: Path) -> None:
    loop = place / "disk.raw"
    loop.symlink_to(loop)
    script = "confine(1 << 30)\nprint(json.dumps(attempt(lambda: open(DISK))))"
    assert probe(script, str(loop), str(place)) == "ELOOP"
