"""What workers are asked to find out."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from converters.outputs.client import RegistryAccess
from orchestrator.preflight.checks import Check
from orchestrator.probe import registry
from orchestrator.probe.worker import ProbeOrder

_PATIENCE = 10.0
"""Seconds that a registry may be away: it was there a moment ago, or the answer says that it was not."""


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
    )
