"""A vCenter to try things on: starts the simulator in ``simulator/``, and talks to its control endpoint."""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx

from converters import process
from deploy.demo import certificates, golang, service
from deploy.demo.disturbances import Download, Rule
from deploy.demo.fleet import Fleet
from deploy.demo.observed import Call, DatastoreReads, Leases, MachineState, OpenLease, Session, Snapshot

__all__ = [
    "Call",
    "DatastoreReads",
    "Download",
    "Leases",
    "MachineState",
    "OpenLease",
    "Rule",
    "Session",
    "Simulator",
    "Snapshot",
    "running",
]

USERNAME = "administrator@vsphere.local"
_START_SECONDS = 240.0
"""10,000 VMs take 40 seconds on two idle processors."""


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
        """The variables with which govc and the product connect.

        The simulator serves the disks itself: its hosts are names that nobody resolves.
        """
        return {
            "ORCHESTRATE_SKIP_CHECK": "hosts",
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

    def datastore_reads(self) -> DatastoreReads:
        """What was read of datastores' files."""
        return DatastoreReads(**self._get("/datastore-reads"))

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

    def restart(self, seconds: float = 0) -> None:
        """Stop vCenter's service, and start it after ``seconds``; 0: at ``reset``.

        The inventory stays, hosts go on with their tasks; sessions, views, leases and task objects are gone.
        """
        self._send("POST", "/outages", {"seconds": seconds})

    def take_away(self, host: str, seconds: float = 0) -> None:
        """Break an ESXi host's downloads and refuse new ones for ``seconds``; 0: until ``reset``."""
        self._send("POST", "/outages", {"host": host, "seconds": seconds})

    def fail_leases(self, vm: str, fault: str) -> None:
        """End the open leases of a VM with a fault."""
        self._send("POST", "/lease-failures", {"vm": vm, "fault": fault})

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

    def mount_image(self, vm: str, datastore: str) -> None:
        """Put an ISO image of another datastore into a VM's drive."""
        self._send("POST", "/mounts", {"vm": vm, "datastore": datastore})

    def reset(self) -> None:
        """End every disturbance: rules, downloads and outages, not settings."""
        self._send("DELETE", "/rules")
        self._send("DELETE", "/outages")
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
