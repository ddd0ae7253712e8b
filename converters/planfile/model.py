"""What stands in plan files and rule files: values that check themselves, and give the JSON schemas.

A key that is absent leaves what was found as it is. Each value is a text in YAML: ``no`` is a user's name
where that is wanted, and false where a truth value is.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from converters.guest.facts import Role
from converters.init.specification import SIGNALS

VERSION = 1
"""Of both files; raised when a key changes its meaning or goes."""

MOST_SERVICES = 1000
"""Services that one plan lists, and jobs: a guest can have any number of them."""
MOST_WORDS = 1000
LONGEST_KEY = 4096
"""Characters of a name that a plan lists."""
LONGEST_TEXT = 32 << 10
"""Characters of a word or a value."""

_SERVICE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9@._:-]{0,127}")
_PORT = re.compile(r"(\d{1,5})(?:/(tcp|udp))?")
_SIGNAL = re.compile(r"(?:SIGRTMIN\+)?[1-9]\d?")
_SCHEDULE = re.compile(r"[0-9*,/-]{1,200}(?: [0-9*,/-]{1,200}){4}")
_MEMORY = re.compile(r"(\d{1,12}) ?(KiB|MiB|GiB|TiB)?")
_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character, which no process can be given")
    return text


def _one_line(text: str) -> str:
    if any(ord(letter) < 32 for letter in text):
        raise ValueError("holds a line break or another control character")
    return text


def _service_name(name: str) -> str:
    if not _SERVICE_NAME.fullmatch(name):
        raise ValueError("letters, digits, @ . _ : and - are allowed, at most 128 of them")
    return name


def _port(text: str) -> str:
    found = _PORT.fullmatch(text)
    if found is None or not 0 < int(found[1]) < 65536:
        raise ValueError("write PORT, PORT/tcp or PORT/udp, from 1 to 65535")
    return f"{int(found[1])}/{found[2] or 'tcp'}"


def _signal(text: str) -> str:
    name = text if text.startswith("SIG") or _SIGNAL.fullmatch(text) else f"SIG{text}"
    if name not in SIGNALS and not _SIGNAL.fullmatch(name):
        raise ValueError(f"is no signal; there are: {', '.join(sorted(SIGNALS))}, numbers and SIGRTMIN+n")
    return name


def _schedule(text: str) -> str:
    if text and not _SCHEDULE.fullmatch(text):
        raise ValueError("write five fields of crontab(5), numbers for names: `30 3 * * 1-5`")
    return text


def _absolute(path: str) -> str:
    if not path.startswith("/") or ".." in path.split("/"):
        raise ValueError("write an absolute path without `..`")
    return path


def _memory(text: str) -> str:
    found = _MEMORY.fullmatch(text)
    if found is None or not int(found[1]):
        raise ValueError("write a size such as 512MiB or 2GiB")
    return text


def memory_bytes(text: str) -> int:
    """Bytes of a size that was checked."""
    found = _MEMORY.fullmatch(text)
    return int(found[1]) * _UNITS[found[2] or ""] if found else 0


def memory_text(size: int) -> str:
    """The shortest text for so many bytes."""
    unit = next(unit for unit in ("TiB", "GiB", "MiB", "KiB", "") if size % _UNITS[unit] == 0)
    return f"{size // _UNITS[unit]}{unit}"


Version = Annotated[int, Field(ge=VERSION, le=VERSION)]
Line = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_one_line)]
Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_no_nul)]
Name = Annotated[str, AfterValidator(_service_name)]
PortText = Annotated[str, AfterValidator(_port)]
SignalText = Annotated[str, AfterValidator(_signal)]
Schedule = Annotated[str, AfterValidator(_schedule)]
AbsolutePath = Annotated[Line, AfterValidator(_absolute)]
Memory = Annotated[str, AfterValidator(_memory)]
Key = Annotated[str, StringConstraints(max_length=LONGEST_KEY)]
"""A name as the machine has it, whatever it is."""
VariableName = Annotated[str, StringConstraints(pattern=r"^[^=\x00-\x1f]{1,4096}$")]
Words = Annotated[tuple[Text, ...], Field(min_length=1, max_length=MOST_WORDS)]


class Strict(BaseModel):
    """A mapping of the file; keys that it does not have are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ResourcesEntry(Strict):
    """What a container may take of its host."""

    cpus: float | None = Field(None, gt=0, le=4096)
    """Cores, at most."""
    memory: Memory | None = None
    """At most: ``512MiB``, ``2GiB``."""
    cpus_reserved: float | None = Field(None, ge=0, le=4096)
    """Cores that are kept free for it."""
    memory_reserved: Memory | None = None


class HealthEntry(Strict):
    """How an engine finds out whether a service is well: by a command, or by a TCP port."""

    command: Words | None = None
    """Run in the container; well when it ends with 0."""
    port: int | None = Field(None, ge=1, le=65535)
    """Well when it accepts a connection."""
    path: AbsolutePath | None = None
    """Asked for by HTTP on that port; well when the answer is 2xx or 3xx."""
    interval_seconds: float = Field(30, ge=1, le=86400)

    @model_validator(mode="after")
    def _one_way(self) -> HealthEntry:
        if (self.command is None) == (self.port is None):
            raise ValueError("give either `command` or `port`")
        if self.path is not None and self.port is None:
            raise ValueError("`path` is asked for on a `port`")
        return self


class ServiceChange(Strict):
    """What can be decided about any service."""

    run: bool | None = None
    """Whether it gets a container."""
    reason: Line | None = None
    """Why, in your own words; the report repeats them."""
    user: Line | None = None
    """By name or number; empty: root."""
    group: Line | None = None
    """Empty: the user's own."""
    environment: dict[VariableName, Text] | None = None
    """In a plan all of its variables, in a rule those that are added or changed."""
    stop_signal: SignalText | None = None
    ports: Annotated[tuple[PortText, ...], Field(max_length=MOST_WORDS)] | None = None
    """Those that others reach: in a plan all, in a rule those that are added."""
    local_ports: Annotated[tuple[PortText, ...], Field(max_length=MOST_WORDS)] | None = None
    """Those that only the machine's other services reach."""
    volumes: Annotated[tuple[AbsolutePath, ...], Field(max_length=MOST_WORDS)] | None = None
    """Directories whose content is kept: in a plan all, in a rule those that are added."""
    resources: ResourcesEntry | None = None
    """Its own, in place of the machine's."""
    health: HealthEntry | None = None


class ServiceEntry(ServiceChange):
    """One service of a plan."""

    name: Name | None = None
    """What its container and its image's tag are called."""
    command: Words | None = None
    """Program and arguments, which must stay in the foreground. No shell reads them."""
    working_directory: Line | None = None


class JobEntry(Strict):
    """Something that the machine ran by the clock."""

    run: bool | None = None
    """Whether the deployment files have it."""
    reason: Line | None = None
    """Why, in your own words."""
    schedule: Schedule | None = None
    """Five fields of crontab(5); empty: by hand."""
    timezone: Line | None = None
    """A name of the tz database, such as ``Europe/Berlin``."""
    user: Line | None = None
    commands: Annotated[tuple[Words, ...], Field(max_length=MOST_WORDS)] | None = None
    """Command lines, one after the other, each a list of words."""
    environment: dict[VariableName, Text] | None = None
    """In a plan all of its variables, in a rule those that are added or changed."""


class MachineEntry(Strict):
    """The machine as a whole."""

    starts: Key | None = None
    """What its own image starts: ``auto`` (the only service, of several none), ``shell``, or a service."""
    resources: ResourcesEntry | None = None
    """Of each container that has none of its own."""


class GuestEntry(Strict):
    """The guest that the plan was made of; another one is told, or refused."""

    release: Key = ""
    architecture: Key = ""


class PlanFile(MachineEntry):
    """The plan of one machine."""

    version: Version
    machine: Key
    """The machine's name: the plan is refused for another one."""
    uuid: Key = ""
    """The VM's instance UUID, which tells machines of one name apart; empty: the name is enough."""
    guest: GuestEntry = GuestEntry()
    services: Annotated[dict[Key, ServiceEntry], Field(max_length=MOST_SERVICES)] = {}
    """By the names that the machine has for them."""
    jobs: Annotated[dict[Key, JobEntry], Field(max_length=MOST_SERVICES)] = {}
    """By the names under which they were found."""


class RoleEntry(Strict):
    """What services of some names are for: asked before the built-in table, which has the same form."""

    services: Annotated[tuple[Line, ...], Field(min_length=1, max_length=MOST_WORDS)]
    """Names or shell patterns (``acme-*``), without ``.service``."""
    role: Role
    """Only an ``application`` gets a container."""
    reason: Line
    """Why; the report repeats it."""


class RuleEntry(Strict):
    """One rule: a condition, and what it decides about what meets it."""

    when: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    """An expression over facts, such as ``machine matches "web-*" and service == "nginx"``."""
    service: ServiceChange | None = None
    """Decided about each service for which the condition holds."""
    job: JobEntry | None = None
    """Decided about each job for which it holds."""
    machine: MachineEntry | None = None
    """Decided about each machine for which it holds."""

    @model_validator(mode="after")
    def _one_subject(self) -> RuleEntry:
        given = [one for one in (self.service, self.job, self.machine) if one is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of `service`, `job` and `machine`")
        return self


class RuleFile(Strict):
    """Rules over many machines, in order: a later one wins."""

    version: Version
    builtin: bool = True
    """Whether the built-in table of services that belong to the machine counts."""
    classify: Annotated[tuple[RoleEntry, ...], Field(max_length=MOST_WORDS)] = ()
    rules: Annotated[tuple[RuleEntry, ...], Field(max_length=MOST_WORDS)] = ()
