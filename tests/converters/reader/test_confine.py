"""What confinement takes from the reading process and its children, asked of the kernel in a child."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

PRELUDE = """
import ctypes, errno, json, os, resource, socket, subprocess, sys
from converters.errors import UnsupportedError
from converters.reader.confine import confine

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


def probe(script: str) -> Any:
    """What ``script`` prints as JSON; it must be confined in a process that ends with the test."""
    done = subprocess.run([sys.executable, "-I", "-c", PRELUDE + script], capture_output=True, check=False)
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
