"""Conversions as tests ask for them: a disk on this machine into a registry of the test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from converters import pipeline
from converters.disks import detect
from converters.outputs.client import RegistryAccess
from converters.outputs.registry import RegistryOutput
from converters.plan import MachineFacts
from converters.reader.parent import Reader
from converters.reading import Reading
from converters.request import Converted, Progress, Request, Target
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


def convert(
    wanted: Request,
    registry: RegistryOutput,
    scratch: Path,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Converted:
    """Convert, publishing nothing."""
    with Reader(wanted.disks, wanted.reading, scratch) as reader:
        return pipeline.convert(wanted, reader, registry, on_progress)


def run(wanted: Request, scratch: Path) -> Converted:
    """Convert and publish; nothing may stay in the scratch folder."""
    with output(wanted) as registry:
        converted = convert(wanted, registry, scratch)
        published = pipeline.publish(converted, registry)
    assert published.digest == converted.digest
    assert not list(scratch.iterdir())
    return converted
