"""What the static init is told of a service: the values of ``program/spec.go``, and their JSON.

The words and their meaning are systemd's (systemd.service(5), systemd.exec(5), systemd.kill(5),
systemd.socket(5)); times are seconds, 0 means without limit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

VERSION = 1
"""Of the format; an init refuses another one."""

INFINITY = -1
"""A limit that is none."""

CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
"""capabilities(7), by number."""


SIGNALS = frozenset(
    f"SIG{name}"
    for name in (
        *(
            "HUP",
            "INT",
            "QUIT",
            "ABRT",
            "KILL",
            "USR1",
            "USR2",
            "PIPE",
            "ALRM",
            "TERM",
            "CONT",
            "WINCH",
            "IO",
        ),
        *("PWR", "RTMIN"),
    )
)
"""Names of signals that the init knows; it takes numbers and ``SIGRTMIN+n`` too."""
KILL_MODES = ("control-group", "mixed", "process", "none")
LARGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Limit:
    """A resource limit."""

    name: str
    """setrlimit(2)'s, without ``RLIMIT_``."""
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Execution:
    """In which surroundings commands run; empty values are the container's own."""

    user: str = ""
    group: str = ""
    supplementary_groups: tuple[str, ...] = ()
    umask: str = ""
    working_directory: str = ""
    working_directory_optional: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    limits: tuple[Limit, ...] = ()
    ambient_capabilities: tuple[str, ...] = ()
    bounding_capabilities: tuple[str, ...] | None = None
    """All that it can ever get; None: what the engine gives."""
    no_new_privileges: bool = False
    nice: int = 0
    oom_score_adjust: int = 0
    standard_input: str = ""
    """``socket`` for what an accepted connection is; else nothing is read."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command line of a unit."""

    words: tuple[str, ...]
    name: str = ""
    """``argv[0]`` where it is not the program."""
    expand: bool = False
    """Whether variables in the words are replaced at the start."""
    may_fail: bool = False
    privileged: bool = False
    execution: Execution | None = None
    """None: the service's own."""


@dataclass(frozen=True, slots=True)
class Path:
    """What is made at every start, below /run above all."""

    kind: str
    """``directory``, ``file``, ``symlink`` or ``fifo``."""
    path: str
    mode: str = ""
    user: str = ""
    group: str = ""
    text: str = ""
    target: str = ""
    source: str = ""
    """A file whose content it gets at each start, in place of ``text``."""


@dataclass(frozen=True, slots=True)
class Socket:
    """One address of a socket unit."""

    kind: str
    """``stream``, ``datagram``, ``sequential`` or ``fifo``."""
    address: str
    """A path, ``@name``, ``PORT``, ``IPv4:PORT`` or ``[IPv6]:PORT``."""
    name: str = ""
    bind_ipv6_only: str = ""
    backlog: int = 0
    mode: str = ""
    user: str = ""
    group: str = ""
    accept: bool = False
    max_connections: int = 0
    reuse_port: bool = False
    free_bind: bool = False


@dataclass(frozen=True, slots=True)
class Specification:
    """How one service is run."""

    service: str
    type: str = "simple"
    start: tuple[Command, ...] = ()
    before: tuple[Command, ...] = ()
    start_pre: tuple[Command, ...] = ()
    start_post: tuple[Command, ...] = ()
    reload: tuple[Command, ...] = ()
    stop: tuple[Command, ...] = ()
    stop_post: tuple[Command, ...] = ()
    pid_file: str = ""
    paths: tuple[Path, ...] = ()
    remove: tuple[str, ...] = ()
    sockets: tuple[Socket, ...] = ()
    dev_log: bool = True
    machine_id: bool = False
    """Whether an empty /etc/machine-id gets a number of the container's own."""
    secret_environment: str = ""
    """A file with variables that the image must not hold: an object of JSON."""
    execution: Execution = Execution()
    start_seconds: float = 90
    stop_seconds: float = 90
    kill_signal: str = "SIGTERM"
    final_signal: str = "SIGKILL"
    kill_mode: str = "control-group"
    send_hup: bool = False
    success_status: tuple[str, ...] = ()


def to_json(specification: Specification) -> bytes:
    """The file that the init reads; the same specification gives the same bytes."""
    document = {"version": VERSION, **_document(specification)}
    return json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1).encode(
        "utf-8", "backslashreplace"
    )


def _document(value: Any) -> dict[str, Any]:
    """A value's fields by name, those left out that have their default."""
    document: dict[str, Any] = {}
    for one in fields(value):
        found = getattr(value, one.name)
        if found != one.default or one.name in ("service", "type", "kind", "address", "path", "words"):
            document[one.name] = _plain(one.name, found)
    # What the program takes for given differs from what is the usual case here.
    if isinstance(value, Specification):
        document["dev_log"] = value.dev_log
    return document


def _plain(name: str, value: Any) -> Any:
    match value:
        case tuple() if name == "limits":
            return {limit.name: {"soft": limit.soft, "hard": limit.hard} for limit in value}
        case tuple() if name == "environment":
            return dict(value)
        case tuple():
            return [_document(item) if is_dataclass(item) else item for item in value]
        case _ if is_dataclass(value):
            return _document(value)
        case _:
            return value
