"""The document with facts of a running machine, version 1: docs/running-facts.md tells what each field means.

Whoever collects it writes JSON; here it is validated and becomes values. It was written on a guest, so it is
untrusted: everything is bounded, and a process that is named need not exist.
"""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from converters.errors import ConvertError

VERSION = 1
_LARGEST_FILE = 32 << 20
_MOST_ROWS = 100_000

Word = Annotated[str, Field(max_length=4096)]
ProcessId = Annotated[int, Field(ge=0, le=1 << 32)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
Protocol = Literal["tcp", "udp"]


class RunningFactsError(ConvertError):
    """The facts of a running machine cannot be read, or are none."""

    kind = "running-facts"
    default_hint = "docs/running-facts.md tells the form; leave the file away to go by the disk alone"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Process(_Row):
    """A process."""

    pid: ProcessId
    parent: ProcessId = 0
    program: Word = ""
    """Path of what it runs."""
    command: Annotated[tuple[Word, ...], Field(max_length=1000)] = ()
    user: Word = ""
    unit: Word = ""
    """Unit of the service manager that it belongs to, with its suffix: ``nginx.service``."""


class ListeningSocket(_Row):
    """A socket that waits for others."""

    protocol: Protocol
    address: IPv4Address | IPv6Address
    """``0.0.0.0`` and ``::`` for all."""
    port: PortNumber
    process: ProcessId = 0
    """Who has it; 0 when nobody could tell."""
    unit: Word = ""
    """As a process's; that of the process when it is empty."""
    said: Word = ""
    """What it answered when it was asked, as a verification words it: ``HTTP 200, title Welcome``."""


class UnixSocket(_Row):
    """A socket in the file system."""

    path: Word
    process: ProcessId = 0
    unit: Word = ""


class Link(_Row):
    """A connection between two processes, or from one to another machine."""

    source: ProcessId
    target: ProcessId = 0
    """0: on another machine."""
    protocol: Literal["tcp", "udp", "unix"]
    address: Word = ""
    """Address, or path of a Unix socket."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0


class RunningFacts(_Row):
    """All that was seen at one moment."""

    version: Literal[1]
    machine: Word
    """The machine's name in the inventory."""
    taken: datetime
    collector: Word = ""
    """Which program saw it, and its version."""
    sockets: Annotated[tuple[ListeningSocket, ...], Field(max_length=_MOST_ROWS)] = ()
    unix_sockets: Annotated[tuple[UnixSocket, ...], Field(max_length=_MOST_ROWS)] = ()
    processes: Annotated[tuple[Process, ...], Field(max_length=_MOST_ROWS)] = ()
    links: Annotated[tuple[Link, ...], Field(max_length=_MOST_ROWS)] = ()

    @property
    def answers(self) -> dict[tuple[str, int], str]:
        """What its ports answered, by protocol and number."""
        return {(one.protocol, one.port): one.said for one in self.sockets if one.said}


def read_running_facts(folder: Path, machine: str) -> RunningFacts | None:
    """The facts of a machine in a folder that has a file for each, ``NAME.json``; None when there is none.

    As in vSphere's own paths, a slash in a name is written ``%2f`` in the file's.

    Raises:
        RunningFactsError: the file cannot be read, or is no such document, or another machine's.
    """
    path = folder / f"{machine.replace('/', '%2f')}.json"
    if path.name in (".json", "..json"):
        return None
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunningFactsError(f"{path} cannot be read: {error.strerror}") from error
    if len(text) > _LARGEST_FILE:
        raise RunningFactsError(f"{path} is larger than {_LARGEST_FILE >> 20} MiB")
    try:
        facts = RunningFacts.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the document"
        raise RunningFactsError(f"{path}: {place}: {first['msg']}") from error
    if facts.machine != machine:
        raise RunningFactsError(f"{path} has the facts of {facts.machine!r}, not of {machine!r}")
    return facts
