"""What a conversion is asked for and what it gives: values that pickle, to cross to a worker and back."""

from __future__ import annotations

from dataclasses import dataclass

from converters.disks.base import DiskSource
from converters.grouping import Grouping
from converters.guest.facts import Inspection
from converters.guest.kernel.values import TargetKernel
from converters.guest.secrets.values import SecretFile
from converters.hardening import STANDARD, Hardening
from converters.image.removals import Removal
from converters.outputs.base import Descriptor
from converters.plan import ImagePlan, MachineFacts
from converters.planfile.decide import NO_DECISIONS, Decisions
from converters.reading import DEFAULT_READING, Reading
from converters.running.document import RunningFacts


@dataclass(frozen=True, slots=True)
class Target:
    """Where an image goes. Credentials are not part of it: the process that pushes has its own."""

    repository: str
    """``host:port/path``."""
    tags: tuple[str, ...] = ("latest",)


@dataclass(frozen=True, slots=True)
class Request:
    """One guest to convert."""

    disks: tuple[DiskSource, ...]
    machine: MachineFacts
    target: Target
    labels: tuple[tuple[str, str], ...] = ()
    """Further image labels, by name."""
    reading: Reading = DEFAULT_READING
    hardening: Hardening = STANDARD
    grouping: Grouping = Grouping.SERVICE
    target_kernel: TargetKernel | None = None
    """Of the hosts that will run the containers; None: that of the machine that converts."""
    running: RunningFacts | None = None
    """What was seen of the machine while it ran."""
    decisions: Decisions = NO_DECISIONS


@dataclass(frozen=True, slots=True)
class Progress:
    """A sign of life of a running conversion; counts only grow."""

    read_bytes: int = 0
    """Bytes of the guest's tree read so far, as tar."""
    pushed_bytes: int = 0
    """Compressed bytes sent to the output so far."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a conversion would make of a guest, for a person to look at and to change."""

    inspection: Inspection
    plan: ImagePlan
    text: str
    """The plan file."""


@dataclass(frozen=True, slots=True)
class ServiceImage:
    """The image of one service of a machine that has several; its layers are those of the machine's own."""

    name: str
    manifest: bytes
    digest: str
    """Of the manifest."""


@dataclass(frozen=True, slots=True)
class Converted:
    """An image whose blobs are in the output and whose manifest is not published yet."""

    target: Target
    manifest: bytes
    media_type: str
    digest: str
    """Of the manifest; the image's identity."""
    config: Descriptor
    layers: tuple[Descriptor, ...]
    diff_ids: tuple[str, ...]
    inspection: Inspection
    plan: ImagePlan
    removals: tuple[Removal, ...]
    """What of the guest's tree is not in the image, and why."""
    entries: int
    """Entries in the image's tree."""
    read_bytes: int
    pushed_bytes: int
    """Bytes sent; blobs the output had already are not counted."""
    seconds: tuple[tuple[str, float], ...] = ()
    """Wall time of each phase."""
    services: tuple[ServiceImage, ...] = ()
    """Of a machine that has several services."""
    secret_files: tuple[SecretFile, ...] = ()
    """What was moved out of the images, for files beside the deployment files and for nothing else."""

    @property
    def secrets(self) -> dict[str, bytes]:
        """What was moved out of the images, by name."""
        return {one.name: one.content for one in self.secret_files}

    @property
    def size(self) -> int:
        """Compressed bytes of the image: what a pull transfers."""
        return self.config.size + sum(layer.size for layer in self.layers)
