"""A vCenter to try things on: starts the simulator in ``simulator/``, and talks to its control endpoint."""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from converters import process
from deploy.demo import certificates, golang, service
from deploy.demo.fleet import Fleet

USERNAME = "administrator@vsphere.local"
_START_SECONDS = 240.0
"""10,000 VMs take 40 seconds on two idle processors."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot the vCenter holds, whoever made it."""

    vm: str
    moref: str
    name: str
    description: str
    quiesced: bool


@dataclass(frozen=True, slots=True)
class OpenLease:
    """An export lease that is neither completed, aborted nor expired."""

    vm: str
    moref: str
    state: str
    reports: int
    """How often progress was reported."""
    sent: dict[str, int]
    """Bytes by the last part of the device URL."""


@dataclass(frozen=True, slots=True)
class Leases:
    """The open export leases, and how many there were since the start."""

    open: tuple[OpenLease, ...]
    made: int
    completed: int
    aborted: int
    expired: int


@dataclass(frozen=True, slots=True)
class Session:
    """A login."""

    user: str
    agent: str
    calls: int


@dataclass(frozen=True, slots=True)
class Call:
    """How often clients called a method of an object: one round trip each."""

    method: str
    object: str
    count: int


@dataclass(frozen=True, slots=True)
class MachineState:
    """A VM as the vCenter has it now."""

    moref: str
    name: str
    power: str
    consolidation_needed: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """What is to happen to calls of ``method``; see ``rules.go``."""

    method: str
    stage: str = "call"
    """``call``: the call itself; ``task``: the task it starts; ``reply``: it works, its answer is lost."""
    object: str = ""
    """Moref or name of the object or its VM; empty: any."""
    fault: str = ""
    """vSphere's name of a fault: ``TaskInProgress``, ``ApplicationQuiesceFault``…"""
    drop: bool = False
    """Close the connection without an answer, the call not done."""
    delay_ms: int = 0
    """Milliseconds that call or task waits first."""
    quiesced_only: bool = False
    skip: int = 0
    """How many matching calls pass first."""
    count: int = 0
    """How many are hit; 0: all."""


@dataclass(frozen=True, slots=True)
class Download:
    """What is to happen to downloads of a VM's disks."""

    vm: str = ""
    """Name; empty: any."""
    cut_after: int = 0
    """Bytes after which the connection is closed; 0: never."""
    rate: int = 0
    """Bytes a second; 0: as fast as it goes."""
    status: int = 0
    """HTTP status instead of the disk; 0: none."""
    count: int = 0
    """How many downloads are hit; 0: all."""


class Simulator:
    """A running vCenter. What makes things go wrong stays in force until ``reset``."""

    def __init__(
        self, child: process.Running, ready: Mapping[str, str], password: str, ca_file: Path
    ) -> None:
        self.url = ready["url"]
        """``https://127.0.0.1:PORT/sdk``."""
        self.thumbprint = ready["thumbprint"]
        """SHA-1 of the server's certificate, ``AB:CD:…``."""
        self.username = USERNAME
        self.password = password
        self.ca_file = ca_file
        """PEM file of the authority that signed the server's certificate."""
        self._child = child
        self._http = httpx.Client(base_url=ready["control"], trust_env=False, timeout=30.0)

    def environment(self) -> dict[str, str]:
        """The variables with which govc and the product connect."""
        return {
            "GOVC_URL": self.url,
            "GOVC_USERNAME": self.username,
            "GOVC_PASSWORD": self.password,
            "GOVC_TLS_CA_CERTS": str(self.ca_file),
        }

    def snapshots(self) -> list[Snapshot]:
        """Every snapshot of every VM."""
        return [Snapshot(**item) for item in self._get("/snapshots")]

    def leases(self) -> Leases:
        """The export leases."""
        answer = self._get("/leases")
        return Leases(**{**answer, "open": tuple(OpenLease(**item) for item in answer["open"])})

    def sessions(self) -> list[Session]:
        """The logins that have not been ended."""
        return [Session(**item) for item in self._get("/sessions")]

    def calls(self) -> list[Call]:
        """What clients called since the start or ``forget_calls``."""
        return [Call(**item) for item in self._get("/calls")]

    def count(self, method: str) -> int:
        """How often clients called ``method``, on whatever object."""
        return sum(call.count for call in self.calls() if call.method == method)

    def vms(self) -> list[MachineState]:
        """Every VM."""
        return [MachineState(**item) for item in self._get("/vms")]

    def forget_calls(self) -> None:
        """Begin to count calls anew."""
        self._send("DELETE", "/calls")

    def end_sessions(self) -> int:
        """Log every client out, and say how many there were."""
        count: int = self._send("DELETE", "/sessions").json()
        return count

    def inject(self, rule: Rule) -> None:
        """Make calls or tasks fail, wait or get lost."""
        self._send("POST", "/rules", asdict(rule))

    def disturb_downloads(self, *downloads: Download) -> None:
        """Make downloads slow or incomplete, in place of what was asked for before; none: let them go on."""
        self._send("PUT", "/downloads", [asdict(download) for download in downloads])

    def change(self, **settings: Any) -> None:
        """Change fields of ``fleet.Settings``, for leases and calls from now on."""
        self._send("PATCH", "/settings", settings)

    def set_consolidation_needed(self, vm: str, needed: bool = True) -> None:
        """Have vCenter say that a VM's disks need consolidation."""
        self._send("PATCH", "/vms", {"vm": vm, "consolidation_needed": needed})

    def occupy(self, vm: str, task: str = "relocate", seconds: int = 1) -> None:
        """Have a vSphere task of somebody else at work on a VM."""
        self._send("POST", "/occupations", {"vm": vm, "task": task, "seconds": seconds})

    def set_host(self, host: str, connection: str) -> None:
        """Make an ESXi host, and its VMs, ``connected``, ``disconnected`` or ``notResponding``."""
        self._send("PATCH", "/hosts", {"host": host, "connection": connection})

    def set_free(self, datastore: str, free: int) -> None:
        """Leave ``free`` bytes on a datastore."""
        self._send("PATCH", "/datastores", {"datastore": datastore, "free": free})

    def link_clone(self, vm: str, parent: str) -> None:
        """Make a VM a linked clone, whose first disk has a disk of another VM for its parent."""
        self._send("POST", "/linked-clones", {"vm": vm, "parent": parent})

    def reset(self) -> None:
        """End every disturbance: rules and downloads, not settings."""
        self._send("DELETE", "/rules")
        self.disturb_downloads()

    def close(self) -> None:
        """End the connection to the control endpoint."""
        self._http.close()

    def _get(self, path: str) -> Any:
        return self._send("GET", path).json()

    def _send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        try:
            answer = self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            raise self._child.failure() from error
        if answer.is_error:
            raise ValueError(f"{method} {path}: {answer.text.strip()}")
        return answer


@contextmanager
def running(fleet: Fleet, listen: str = "127.0.0.1:0") -> Iterator[Simulator]:
    """A vCenter that holds ``fleet``, on a free port of the loopback interface by default.

    The password is made up for this run. Nothing stays behind, also when this process is killed.

    Raises:
        ProcessError: it cannot be built or does not start.
    """
    program = golang.program(".", "simulator")
    with tempfile.TemporaryDirectory(prefix="orchestrate-vcenter-") as name:
        home = Path(name)
        files = certificates.make(home, "orchestrate demo")
        password = secrets.token_urlsafe(12)
        (home / "password").write_text(password)
        (home / "fleet.json").write_text(json.dumps(asdict(fleet)))
        command = [
            str(program),
            *("--home", name),
            *("--fleet", str(home / "fleet.json")),
            *("--cert", str(files.certificate)),
            *("--key", str(files.key)),
            *("--user", USERNAME),
            *("--password-file", str(home / "password")),
            *("--listen", listen),
        ]
        with process.running(command, stdout=subprocess.PIPE, patience=15.0) as child:
            ready = service.first_line(child, _START_SECONDS)
            simulator = Simulator(child, ready, password, files.ca)
            try:
                yield simulator
            finally:
                simulator.close()
