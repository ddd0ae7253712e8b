"""Conversions as tests ask for them: a disk on this machine into a registry of the test."""

from __future__ import annotations

from pathlib import Path

from converters.disks import detect
from converters.outputs.client import RegistryAccess
from converters.outputs.registry import RegistryOutput
from converters.pipeline import convert, publish
from converters.plan import MachineFacts
from converters.request import Converted, Reading, Request, Target
from deploy.demo.registry import Registry

FAST = Reading(engines=("ext2fs", "uml"))
"""Without the engine that starts a virtual machine: tests of the rest need none."""
TAGS = ("latest", "first")


def request(
    server: Registry,
    name: str,
    *disks: Path,
    reading: Reading = FAST,
    machine: MachineFacts | None = None,
) -> Request:
    """A request for an image ``vms/NAME`` with the tags ``TAGS``."""
    return Request(
        disks=tuple(detect(str(disk)) for disk in disks),
        machine=machine or MachineFacts(name=name),
        target=Target(f"{server.address}/vms/{name}", TAGS),
        reading=reading,
    )


def output(wanted: Request, patience: float = 5) -> RegistryOutput:
    """The registry output of a request, anonymous."""
    return RegistryOutput(wanted.target.repository, RegistryAccess(patience=patience))


def run(wanted: Request, scratch: Path) -> Converted:
    """Convert and publish; nothing may stay in the scratch folder."""
    with output(wanted) as registry:
        converted = convert(wanted, registry, scratch)
        published = publish(converted, registry)
    assert published.digest == converted.digest
    assert not list(scratch.iterdir())
    return converted
