"""What workers are asked to find out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from itertools import islice

from converters.outputs.client import RegistryAccess
from orchestrator.fleet.files import FileMark, MachineFiles
from orchestrator.preflight.checks import Check
from orchestrator.probe import registry
from orchestrator.probe.worker import ProbeOrder

_PATIENCE = 10.0
"""Seconds that a registry may be away: it was there a moment ago, or the answer says that it was not."""

_SAMPLE = 5
"""Machines whose files each worker is asked for before the run begins; each job asks for all of its own."""


def probe_order(
    prefix: str,
    hosts: Iterable[str],
    access: RegistryAccess,
    scratch: str,
    engines: tuple[str, ...],
    *,
    skip: Collection[Check],
    thorough: bool,
    deep: bool = False,
    files: tuple[FileMark, ...] = (),
) -> ProbeOrder:
    """What to ask of each worker; see ``ProbeOrder`` for what each argument is.

    Args:
        prefix: of the run's repositories.
    """
    return ProbeOrder(
        hosts=() if Check.HOSTS in skip else tuple(hosts),
        repository="" if Check.REGISTRY in skip else registry.repository(prefix),
        access=replace(access, credentials=None, patience=min(_PATIENCE, access.patience)),
        scratch=scratch,
        engines=engines,
        thorough=thorough,
        deep=deep,
        files=files,
    )


def sample(machines: Iterable[MachineFiles]) -> tuple[FileMark, ...]:
    """A few of the machines' files: a worker that sees these has the source folder at the same path."""
    return tuple(machine.marks[0] for machine in islice(machines, _SAMPLE) if machine.marks)
