"""What the description of a snapshot of ours says: to the person who finds it, and to a later sweep. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

PREFIX = "orchestrate-"
_TAG = "orchestrate/1"
_LINE = re.compile(
    rf"^{_TAG} ledger=(?P<ledger>[\w.-]+) run=(?P<run>[\w.-]+) job=(?P<job>[\w.-]+)"
    r" expires=(?P<expires>\S+)$",
    re.MULTILINE,
)
_ID = re.compile(r"[\w.-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Marker:
    """Whose snapshot it is. Identifiers are letters, digits, ``_``, ``.`` and ``-``."""

    ledger: str
    """Identity of the ledger, so of one orchestrator's memory."""
    run: str
    job: str
    expires: float
    """Seconds since 1970-01-01 UTC, whole, by vCenter's clock: until when the run may want it. For people."""

    def __post_init__(self) -> None:
        for word in (self.ledger, self.run, self.job):
            if not _ID.fullmatch(word):
                raise ValueError(f"{word!r} cannot stand in a snapshot's description")

    @property
    def name(self) -> str:
        """The snapshot's name: the same for each attempt of one job, so that a rerun finds it."""
        return f"{PREFIX}{self.job}"


def format_marker(marker: Marker) -> str:
    """The description of the snapshot that ``marker`` names."""
    expires = datetime.fromtimestamp(int(marker.expires), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return (
        "Made by orchestrate to read this VM's disks; it removes the snapshot by itself.\n"
        "Safe to delete when no run of orchestrate is active, or with: orchestrate sweep\n"
        f"{_TAG} ledger={marker.ledger} run={marker.run} job={marker.job} expires={expires}"
    )


def parse_marker(description: str) -> Marker | None:
    """The marker in a snapshot's description; None for a snapshot that is not ours."""
    found = _LINE.search(description.replace("\r\n", "\n"))
    if found is None:
        return None
    try:
        expires = datetime.fromisoformat(found["expires"])
        return Marker(found["ledger"], found["run"], found["job"], expires.timestamp())
    except ValueError:
        return None


def same_job(one: Marker, other: Marker) -> bool:
    """Whether both belong to the same job of the same run; the expiry may differ between attempts."""
    return (one.ledger, one.run, one.job) == (other.ledger, other.run, other.job)


def may_sweep(marker: Marker | None, ledger: str, live_runs: Collection[str]) -> bool:
    """Whether a sweep by the orchestrator with this ``ledger`` may remove the snapshot.

    Only its own ledger's, and only when the run has ended: it is not among ``live_runs``. A live run's is
    never touched, however old any clock says that it is: clocks are set, and the run will remove it.
    """
    return marker is not None and marker.ledger == ledger and marker.run not in live_runs
