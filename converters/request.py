"""What a conversion is asked for and what it gives: values that pickle, to cross to a worker and back."""

from __future__ import annotations

from dataclasses import dataclass

from converters.disks.base import DiskSource
from converters.filesystems.limits import DEFAULT_LIMITS, Limits
from converters.grouping import Grouping
from converters.guest.facts import Inspection
from converters.guest.kernel.values import TargetKernel
from converters.guest.secrets.values import SecretFile
from converters.hardening import STANDARD, Hardening
from converters.image.removals import Removal
from converters.outputs.base import Descriptor
from converters.plan import ImagePlan, MachineFacts
from converters.planfile.decide import NO_DECISIONS, Decisions
from converters.running.document import RunningFacts


@dataclass(frozen=True, slots=True)
class Reading:
    """How the guest's disks are read, and the limits of the process that does it."""

    engines: tuple[str, ...] = ("ext2fs", "xfs", "btrfs", "uml", "guestfs")
    """Engines that may be used, in order; leaving one out switches it off."""
    root: str = ""
    """The volume with the root file system, as ``roots.find_root`` takes it; empty: it is found."""
    luks_keys: str = ""
    """Folder on the machine that reads, with the keys of encrypted volumes in files named by their UUIDs."""
    memory_bytes: int = 4 << 30
    """Address space of the reading process."""
    stall_seconds: float = 600
    """The reading process is ended after this long without a sign of life."""
    tree_bytes: int | None = None
    """Most bytes of tar that it may give; None: what its disks can hold (``converters.reader.limits``)."""
    total_seconds: float | None = None
    """The reading process is ended once it was waited for this long in all; None: what its bytes take."""
    limits: Limits = DEFAULT_LIMITS
    """What opening the guest's volumes may take beside memory."""
    keep: tuple[str, ...] = ()
    """Names of clean-up rules that are switched off."""
    clean: tuple[str, ...] = ()
    """Names of clean-up rules that are switched on beside the default ones."""


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
    reading: Reading = Reading()
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
