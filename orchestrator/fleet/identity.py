"""How a VM is known from run to run: its job's identifier, its place in the registry, its fingerprint."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping

from converters.image.names import repository_names
from orchestrator.vsphere.values import VirtualMachine

_JOB_DIGITS = 12
_KEY_LETTERS = 40
_GRANULE = 16 << 20


def job_ids(vcenter: str, vms: Iterable[VirtualMachine]) -> dict[str, str]:
    """The job of each VM, by moref: letters and digits, the same in every run.

    It is made from vCenter's and the VM's instance UUID, which survive a rename and a vMotion. A copied VM
    can share its UUID with another until vCenter gives it a new one: such VMs are told apart by moref.
    """
    listed = tuple(vms)
    shared = Counter(vm.instance_uuid for vm in listed)
    return {
        vm.moref: _digest(vcenter, vm.instance_uuid)
        if vm.instance_uuid and shared[vm.instance_uuid] == 1
        else _digest(vcenter, vm.instance_uuid, vm.moref)
        for vm in listed
    }


def key_name(name: str) -> str:
    """A VM's name as it can stand in a task's key."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-")[:_KEY_LETTERS] or "vm"


def repositories(
    prefix: str, vms: Iterable[VirtualMachine], jobs: Mapping[str, str], known: Mapping[str, str]
) -> dict[str, str]:
    """The repository of each VM, by job; those that are ``known`` below ``prefix`` keep theirs.

    Args:
        prefix: ``host[:port]/path``.
        vms: all of the datacenter, so that a selection changes no name.
        jobs: by moref.
        known: repositories by job, of earlier runs.
    """
    base = prefix.rstrip("/") + "/"
    kept = {job: repository for job, repository in known.items() if repository.startswith(base)}
    names = repository_names((vm.name, jobs[vm.moref]) for vm in vms)
    taken = set(kept.values())
    found: dict[str, str] = {}
    for job, name in names.items():
        fresh = base + name
        found[job] = kept.get(job) or (f"{fresh}-{job}" if fresh in taken else fresh)
    return found


def fingerprint(vm: VirtualMachine) -> str:
    """What is told of a VM's disks without reading them: another one means that they have changed.

    Of disks that are files, their sizes and times tell. Else it is what vCenter tells.
    Of a VM that is powered off these count: power state, the disks' files and sizes, and the used space in
    granules of 16 MiB (logs and descriptors grow a little by themselves). One that was started, wrote little
    and was stopped in between is not noticed. A VM that runs writes all the time, and would never be done; so
    its used space does not count, and it stays converted until its disks or its power state change.
    ``--refresh`` converts either again.
    """
    if vm.contents:
        return _digest(vm.contents, digits=32)
    running = vm.power_state == "poweredOn"
    return _digest(
        json.dumps(
            {
                "power": vm.power_state,
                "disks": sorted((disk.key, disk.file, disk.capacity) for disk in vm.disks),
                "used": 0 if running else vm.used_bytes // _GRANULE,
            }
        ),
        digits=32,
    )


def settings_fingerprint(*parts: object) -> str:
    """One word for the settings that shape an image: another word, another image."""
    return _digest(*(repr(part) for part in parts), digits=32)


def _digest(*parts: str, digits: int = _JOB_DIGITS) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:digits]
