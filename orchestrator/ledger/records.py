"""Rows of the ledger as values. Times are seconds since 1970-01-01 UTC."""

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
class RunRecord:
    """A run."""

    run: str
    vcenter: str
    datacenter: str
    started: float
    heartbeat: float
    host: str
    pid: int
    ended: float | None
    outcome: str
    """``done``, ``interrupted``, ``died``…; empty while it is at work."""
