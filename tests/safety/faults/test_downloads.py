"""Hosts, leases and streams fail in the middle of an export; each costs its own VM's attempts only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from deploy.demo.disturbances import Download, Rule
from deploy.demo.registry import Registry
from deploy.demo.simulator import Simulator
from orchestrator.errors import ExitCode
from tests.safety.faults.crowd import LOST, SHAKY, WORKERS, Fault, ended, inject
from tests.safety.harness import digests
from tests.safety.link import Link
from tests.safety.settling import settling

AT = 300_000
"""Position in a disk of 1.2 MB on the wire."""
STREAM, LEASE = ("download", "stream"), ("export", "lease")


def once(what: Download) -> Download:
    """What happens to the first download of a VM's disk alone."""
    return replace(what, count=1)


SLOW = once(Download(rate=128 << 10))
"""Takes ten seconds: long enough to be met in the middle."""

FAULTS = (
    Fault("vm-1", "its host is away for 7 s", downloads=(SLOW,), errors=(STREAM,) * 2, says="refused"),
    Fault(
        "vm-2",
        "its host is away for ever",
        downloads=(SLOW,),
        state="failed",
        errors=(STREAM,) * 3,
        says="refused",
    ),
    Fault(
        "vm-3",
        "its lease expires",
        (Rule("HttpNfcLeaseProgress", drop=True, count=8),),
        (SLOW,),
        errors=(STREAM,),
        says="its export lease had ended",
    ),
    Fault(
        "vm-4",
        "its lease fails while it opens",
        (Rule("ExportSnapshot", "task", fault="FileFault", count=1),),
        errors=(LEASE,),
        says="FileFault",
    ),
    Fault(
        "vm-5",
        "its lease fails while it is used",
        downloads=(SLOW,),
        errors=(STREAM,),
        says="GenericVmConfigFault",
    ),
    Fault(
        "vm-6", "its host refuses once", downloads=(once(Download(status=503)),), errors=(STREAM,), says="503"
    ),
    Fault(
        "vm-7",
        "its stream is short once",
        downloads=(once(Download(end_after=AT)),),
        errors=(STREAM,),
        says="before its end marker",
    ),
    Fault(
        "vm-8",
        "its stream is always short",
        downloads=(Download(end_after=AT),),
        state="failed",
        errors=(STREAM,) * 3,
        says="before its end marker",
    ),
    Fault(
        "vm-9",
        "a byte is damaged once",
        downloads=(once(Download(flip_at=AT)),),
        errors=(STREAM,),
        says="damaged",
    ),
    Fault(
        "vm-10",
        "a byte is always damaged",
        downloads=(Download(flip_at=AT),),
        state="failed",
        errors=(STREAM,) * 3,
        says="damaged",
    ),
    Fault("big", "nothing"),
)


@pytest.fixture(scope="module")
def told(
    undisturbed: Mapping[str, str],
    vcenter: Simulator,
    images: Registry,
    link: Link,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Any]:
    """What the report of one run says in which each VM meets its fault; a rerun does the rest."""
    with settling(vcenter, images, link, tmp_path_factory.mktemp("downloads")) as site:
        inject(vcenter, FAULTS)
        with site.converting(*WORKERS) as command:
            site.until_downloading("vm-1")
            vcenter.take_away(SHAKY, 7)
            site.until_downloading("vm-2")
            vcenter.take_away(LOST)
            site.until_downloading("vm-5")
            vcenter.fail_leases("vm-5", "GenericVmConfigFault")
            ended(command, ExitCode.SOME_FAILED)
        told = site.report()
        assert site.ours() == []
        site.undisturb()
        assert digests(site.convert(*WORKERS)) == site.tagged() == undisturbed
        return told


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_fault_of_an_export_costs_its_own_vm_only(told: Mapping[str, Any], fault: Fault) -> None:
    fault.assert_told(told)
