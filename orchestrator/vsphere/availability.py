"""What a cluster's HA and DRS say of its VMs: restart priorities, and which must not be frozen together."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pyVmomi import vim

from orchestrator.vsphere.values import RestartPriority

_FROM_CLUSTER = "clusterRestartPriority"


@dataclass(frozen=True, slots=True)
class ClusterHa:
    """HA of one cluster."""

    enabled: bool
    default: RestartPriority
    overrides: Mapping[str, RestartPriority]
    """Moref of a VM → its own priority."""

    def priority(self, vm: str) -> RestartPriority:
        """The priority in force for the VM with this moref."""
        return self.overrides.get(vm, self.default)


@dataclass(frozen=True, slots=True)
class Availability:
    """HA and DRS of a datacenter's clusters."""

    clusters: Mapping[str, ClusterHa]
    """Moref of a cluster → its HA."""
    anti_affinity: tuple[frozenset[str], ...] = ()
    """Morefs of VMs that an enabled rule keeps on separate hosts."""


def availability(configurations: Mapping[str, Any]) -> Availability:
    """Read ``configurationEx`` (ClusterConfigInfoEx) of clusters, by moref."""
    rules = itertools.chain.from_iterable(config.rule or () for config in configurations.values())
    return Availability(
        {moref: _ha(config) for moref, config in configurations.items()},
        tuple(
            frozenset(vm._moId for vm in rule.vm)
            for rule in rules
            if isinstance(rule, vim.cluster.AntiAffinityRuleSpec) and rule.enabled is not False
        ),
    )


def _ha(config: Any) -> ClusterHa:
    das = config.dasConfig
    settings = das.defaultVmSettings if das else None
    default = _priority(settings.restartPriority if settings else None) or RestartPriority.MEDIUM
    overrides = dict(_overrides(config.dasVmConfig or ()))
    return ClusterHa(bool(das and das.enabled), default, overrides)


def _overrides(entries: Iterable[Any]) -> Iterable[tuple[str, RestartPriority]]:
    for entry in entries:
        # dasSettings replaced the entry's own restartPriority in API 2.5; vCenter may still send either.
        word = entry.dasSettings.restartPriority if entry.dasSettings else None
        priority = _priority(word or entry.restartPriority)
        if priority is not None:
            yield entry.key._moId, priority


def _priority(word: str | None) -> RestartPriority | None:
    """None where the cluster's own setting is in force."""
    return RestartPriority(word) if word and word != _FROM_CLUSTER else None
