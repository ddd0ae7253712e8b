"""What the control endpoint of the simulated vCenter shows, as values."""

from __future__ import annotations

from dataclasses import dataclass


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
    failed: int
    """Ended by a fault of theirs, or by a restart of vCenter."""


@dataclass(frozen=True, slots=True)
class DatastoreReads:
    """What was read of datastores' files since the start."""

    requests: int
    bytes: int


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
