"""What changes around the VMs of a run: where they are, and which datastores have room. Pure.

What guests write while their snapshots are open goes to their datastores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.fleet.states import Failure
from orchestrator.vsphere.values import DatastoreInfo, Placement

AGAIN = 1.2
"""How many times the limit has to be free before a datastore that fell below it is used again: snapshots that
are removed give some room back, and the next ones would take it at once."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A VM has another host, datastore or name than it had."""

    job: str
    placement: Placement


@dataclass(frozen=True, slots=True)
class Crowded:
    """Datastores without room, and what is said of each; told at every look, also when there are none."""

    datastores: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Snapshots of earlier runs that are still there, by datastore: they count like this run's own."""

    going: Mapping[str, int] = field(default_factory=dict)
    """Being removed, or about to be."""
    staying: Mapping[str, int] = field(default_factory=dict)
    """They could not be removed."""


def crowded(
    before: Mapping[str, str], stores: Iterable[DatastoreInfo], free_fraction: float
) -> dict[str, str]:
    """What is said of each datastore without room, by name.

    Args:
        before: the same at the last look; what was not looked at now stays.
        stores: as they are now; one that is not accessible tells nothing about its room.
        free_fraction: part of a datastore that must be free.
    """
    found = dict(before)
    for store in stores:
        if not store.accessible or not store.capacity:
            continue
        free = store.free / store.capacity
        if free < free_fraction * (AGAIN if store.name in before else 1.0):
            found[store.name] = (
                f"datastore {store.name} has {free:.1%} free; the limit is {free_fraction:.0%}"
            )
        else:
            found.pop(store.name, None)
    return found


def no_room(reason: str) -> Failure:
    """Why a VM has no snapshot, or has it no longer; ``reason`` is what is said of its datastore."""
    return Failure(
        "datastore-full",
        f"no snapshot may be open: {reason}",
        "make room on it, then run again; --datastore-free sets the limit",
        retryable=True,
        put_off=True,
    )
