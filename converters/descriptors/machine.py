"""A machine as its descriptor tells it: sizes, shares, disks in the order of their addresses. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from converters.disks.base import FilePart


class Bus(StrEnum):
    """What a disk hangs on."""

    SCSI = "scsi"
    IDE = "ide"
    SATA = "sata"
    NVME = "nvme"


_FIRST_KEY = {Bus.SCSI: 2000, Bus.IDE: 3000, Bus.SATA: 16000, Bus.NVME: 31000}
_UNITS = {Bus.SCSI: 16, Bus.IDE: 2, Bus.SATA: 30, Bus.NVME: 64}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a disk hangs."""

    bus: Bus
    number: int
    """Of the controller."""
    unit: int

    @property
    def key(self) -> int:
        """vSphere's number of such a device (SCSI from 2000, IDE 3000, SATA 16000, NVMe 31000).

        Its order is that of a VM's disks in vSphere's lists, so a machine has the same order from either.
        """
        return _FIRST_KEY[self.bus] + self.number * _UNITS[self.bus] + self.unit

    def __str__(self) -> str:
        return f"{self.bus}{self.number}:{self.unit}"


@dataclass(frozen=True, slots=True)
class Share:
    """A machine's share of CPU (MHz) or memory (MiB)."""

    reservation: int = 0
    limit: int | None = None
    """None: unlimited."""
    shares: int = 0
    """0: not told."""


@dataclass(frozen=True, slots=True)
class MachineDisk:
    """A hard disk that a descriptor names."""

    address: Address
    file_names: tuple[bytes, ...] = ()
    """Its file as the descriptor names it, in the encodings it may have on disk; empty: see ``parts``."""
    parts: tuple[FilePart, ...] = ()
    """Where its bytes lie in a package; empty with no name: it has no content yet."""
    capacity: int | None = None
    """Bytes; None: the descriptor does not say."""
    mode: str = "persistent"
    """``persistent``, ``independent-persistent``…"""

    @property
    def name(self) -> str:
        """For people."""
        return self.file_names[0].decode("utf-8", "backslashreplace") if self.file_names else ""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a descriptor tells of one machine; 0 and empty where it does not."""

    name: str
    uuid: str = ""
    """Instance UUID, or else that of the BIOS: ``8-4-4-4-12`` hexadecimal digits."""
    cpus: int = 0
    memory_mib: int = 0
    cpu: Share = Share()
    """In MHz."""
    memory: Share = Share()
    """In MiB."""
    firmware: str = ""
    """``bios`` or ``efi``."""
    guest_os: str = ""
    """The descriptor's word: ``rhel7-64`` of a VMX, ``rhel7_64Guest`` of an OVF."""
    guest_name: str = ""
    """The same for people."""
    annotation: str = ""
    restart_priority: str = ""
    """vSphere HA's word; a descriptor has it only where a tool wrote it there."""
    disks: tuple[MachineDisk, ...] = ()
    """As the machine's firmware sees them."""
    suspended: bool = False
    """Whether a part of its state is in a memory image and not on its disks."""
    encrypted: bool = False
    notes: tuple[str, ...] = ()
    """What a person should know of the descriptor, each a sentence."""
