"""What a run needs of the place that its machines come from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from converters.outputs.base import Output
from orchestrator.board import Board
from orchestrator.fleet.assess import Verdict
from orchestrator.fleet.machine import Fleet
from orchestrator.job import JobSettings
from orchestrator.ledger import Ledger, RunLedger
from orchestrator.terms import Event, Keeper, Patience
from orchestrator.vsphere.values import CheckResult, Inventory, VirtualMachine

OpenOutput = Callable[[str], AbstractContextManager[Output]]


@dataclass(frozen=True, slots=True)
class Stock:
    """What there is at a source at one moment."""

    identity: str
    """Of the source, the same in every run: vCenter's instance UUID, or the folder's path."""
    inventory: Inventory
    notes: tuple[str, ...] = ()
    """What a person should know of it as a whole."""


@dataclass(frozen=True, slots=True)
class Errand:
    """A run, as far as a source has to do with it."""

    run: RunLedger
    ledger: Ledger
    board: Board
    job: JobSettings
    patience: Patience
    datastore_free: float
    """Part of a datastore that must be free while snapshots are open on it."""
    open_output: OpenOutput
    """Opens a repository with this process's credentials, to publish."""
    tell: Callable[[Event], None]
    """Hears what happens at the source; from any thread."""
    stopping: Callable[[], bool]
    """Whether somebody has asked the run to stop."""


class Access(Protocol):
    """A source while a run is at work."""

    @property
    def keeper(self) -> Keeper:
        """Who keeps leases."""
        ...

    @property
    def control(self) -> object:
        """What runs beside the run and not on workers; its methods are called by name."""
        ...

    def attending(self, fleet: Fleet, vms: Mapping[str, VirtualMachine]) -> AbstractContextManager[None]:
        """Tell what happens to the fleet's machines, by job, while the block runs."""
        ...

    def settle(self) -> None:
        """All machines are done: do what was left for the end."""
        ...


class Source(Protocol):
    """Where machines come from; ``orchestrator.cli.run`` picks one."""

    def stock(self) -> Stock:
        """What there is. Raises ``OrchestratorError`` when it cannot be listed."""
        ...

    def verdicts(self, vms: Iterable[VirtualMachine]) -> tuple[Verdict, ...]:
        """Whether each can be converted, in the same order; one that has gone is left out."""
        ...

    def lacking(self, vms: Iterable[VirtualMachine], inventory: Inventory) -> tuple[CheckResult, ...]:
        """What this account may not do that converting these takes."""
        ...

    def access(self, errand: Errand, stock: Stock) -> AbstractContextManager[Access]:
        """What a run works with; its end leaves nothing behind."""
        ...
