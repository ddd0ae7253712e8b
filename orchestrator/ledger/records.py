"""Rows of the ledger as values. Times are seconds since 1970-01-01 UTC, and for people."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.fleet.states import JobState


@dataclass(frozen=True, slots=True)
class EnlistedVm:
    """A VM that a run takes up."""

    job: str
    instance_uuid: str
    moref: str
    name: str
    folder: str
    repository: str
    """Where its images go, without tag."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """A published image, and what it was made from."""

    reference: str
    digest: str
    config_digest: str
    size: int
    """Compressed bytes."""
    published: float
    snapshot_time: float | None
    fingerprint: str
    """Of the VM when it was converted (``orchestrator.fleet.identity``)."""
    settings: str
    """Fingerprint of the settings that shaped the image."""


@dataclass(frozen=True, slots=True)
class OpenSnapshot:
    """A snapshot that was asked for and, as far as the ledger knows, may still be there."""

    run: str
    job: str
    vm: str
    """Moref."""
    name: str
    intended: float
    vcenter: str
    """Instance UUID."""
    datacenter: str
    """Path."""
    made: bool = False
    """Whether vCenter has had it: the VM's disks may have to be merged although it is gone."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A VM in a run."""

    job: str
    vm: str
    """Name."""
    folder: str
    state: JobState
    attempt: int
    queued: float
    ended: float | None
    error_kind: str = ""
    error_message: str = ""
    error_hint: str = ""
    reason: str = ""
    remedy: str = ""
    reference: str = ""
    """Of the image this run published; empty when it did not."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process among all of the world's."""

    place: str
    """Boot of a machine and namespace of process ids: where ``pid`` names this process and no other."""
    pid: int
    started: int
    """Clock ticks from the machine's start to its own: numbers are used again."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run."""

    run: str
    number: int
    """Counted from 1 in each ledger."""
    vcenter: str
    datacenter: str
    started: float
    heartbeat: float
    """Seconds by ``clock``."""
    clock: str
    """Which clock its heartbeats follow; empty: the wall clock of its machine, by an older version."""
    host: str
    """For people."""
    pid: int
    """For people."""
    process: Process | None
    """None when an older version began it."""
    ended: float | None
    outcome: str
    """``done``, ``interrupted``, ``died``…; empty while it is at work."""
