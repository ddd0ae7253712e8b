from __future__ import annotations

from typing import Any

from pyVmomi import vim

from orchestrator.vsphere.availability import availability
from orchestrator.vsphere.values import RestartPriority


def managed(moref: str) -> Any:
    return vim.VirtualMachine(moref)


def override(moref: str, new: str | None = None, old: str | None = None) -> Any:
    settings = vim.cluster.DasVmSettings(restartPriority=new) if new else None
    return vim.cluster.DasVmConfigInfo(key=managed(moref), restartPriority=old, dasSettings=settings)


def cluster(default: str | None = "high", enabled: bool = True, **fields: Any) -> Any:
    settings = vim.cluster.DasVmSettings(restartPriority=default) if default else None
    das = vim.cluster.DasConfigInfo(enabled=enabled, defaultVmSettings=settings)
    return vim.cluster.ConfigInfoEx(dasConfig=das, **fields)


def test_both_forms_of_an_override_are_read_and_the_newer_wins() -> None:
    config = cluster(
        dasVmConfig=[
            override("vm-1", new="highest"),
            override("vm-2", old="low"),
            override("vm-3", new="lowest", old="high"),
        ]
    )
    ha = availability({"domain-c1": config}).clusters["domain-c1"]
    assert ha.priority("vm-1") is RestartPriority.HIGHEST
    assert ha.priority("vm-2") is RestartPriority.LOW
    assert ha.priority("vm-3") is RestartPriority.LOWEST


def test_without_an_override_of_its_own_the_clusters_is_in_force() -> None:
    config = cluster(dasVmConfig=[override("vm-1", new="clusterRestartPriority")])
    ha = availability({"c": config}).clusters["c"]
    assert ha.enabled
    assert ha.priority("vm-1") is ha.priority("vm-2") is RestartPriority.HIGH


def test_a_cluster_that_says_nothing_has_vspheres_default() -> None:
    ha = availability({"c": cluster(default=None, enabled=False)}).clusters["c"]
    assert not ha.enabled
    assert ha.priority("vm-1") is RestartPriority.MEDIUM
    assert availability({"c": vim.cluster.ConfigInfoEx()}).clusters["c"].default is RestartPriority.MEDIUM


def test_only_enabled_anti_affinity_rules_keep_vms_apart() -> None:
    apart = vim.cluster.AntiAffinityRuleSpec(enabled=True, vm=[managed("vm-1"), managed("vm-2")])
    off = vim.cluster.AntiAffinityRuleSpec(enabled=False, vm=[managed("vm-3"), managed("vm-4")])
    together = vim.cluster.AffinityRuleSpec(enabled=True, vm=[managed("vm-5"), managed("vm-6")])
    found = availability({"c": cluster(rule=[apart, off, together])})
    assert found.anti_affinity == (frozenset({"vm-1", "vm-2"}),)
