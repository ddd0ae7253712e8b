"""Facts about a guest: values that travel as JSON from the reading process.

Strings come from a guest, so they are untrusted: bytes that are not UTF-8 appear as backslash escapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from converters.guest.containers.values import ExistingContainer
from converters.guest.kernel.values import KernelFacts
from converters.guest.packages.values import PackageFacts
from converters.guest.privilege.values import Needs
from converters.guest.secrets.values import Secret
from converters.init.specification import Specification


@dataclass(frozen=True, slots=True)
class Release:
    """Which distribution a guest runs (os-release(5), or the older files)."""

    id: str
    """``debian``, ``centos``, ``sles``…; ``linux`` when nothing says."""
    version: str
    name: str
    family: str
    """``debian``, ``redhat``, ``suse``, ``alpine``, ``arch``, or empty."""
    source: str
    """The file that said so."""
    code_name: str = ""
    """``bookworm``, ``Tikanga``…; empty where it has none, or nothing says."""
    end_of_life: str = ""
    """Day (ISO 8601) after which its distributor mends nothing for everybody; empty where it is not known."""


class Role(StrEnum):
    """Whether a container should run a service."""

    APPLICATION = "application"
    PLATFORM = "platform"
    """The machine's own: a container does not need it."""
    DESKTOP = "desktop"
    """Part of a graphical desktop: told, and not converted."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port a service listens on, and where that was learned."""

    number: int
    protocol: str
    """``tcp`` or ``udp``."""
    source: str
    loopback: bool = False
    """Whether the configuration opens it for the machine itself only."""
    ipv6_loopback: bool = False
    """Whether the configuration asks for ``::1``: some programs do not start where that is missing."""


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A directory whose content a service keeps and changes."""

    path: str
    source: str
    """The file that said so, or what else did."""


@dataclass(frozen=True, slots=True)
class Service:
    """An enabled service of the guest."""

    name: str
    """Unit name without ``.service``, or the name of the SysV script."""
    unit: str
    """Path of the unit or script in the guest."""
    role: Role
    reason: str
    """Why it has this role."""
    command: tuple[str, ...]
    """Command line that stays in the foreground; empty when none could be worked out."""
    user: str = ""
    group: str = ""
    working_directory: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    stop_signal: str = "SIGTERM"
    ports: tuple[Port, ...] = ()
    notes: tuple[str, ...] = ()
    data: tuple[DataDirectory, ...] = ()
    specification: Specification | None = None
    """How the static init runs it; None where nothing but a command line is known."""
    needs: Needs = field(default_factory=Needs)
    """What of the kernel and the host it needs."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something the guest runs by the clock, or once at boot, and that ends."""

    name: str
    """Unique among the guest's jobs of one source."""
    source: str
    """The crontab, script or timer that says so."""
    role: Role
    reason: str
    """Why it has this role."""
    commands: tuple[tuple[str, ...], ...]
    """Command lines, one after the other; empty when none could be worked out."""
    schedule: str = ""
    """Five fields of crontab(5), numbers for names; empty when those cannot say it, or it runs at boot."""
    at_boot: bool = False
    user: str = ""
    input: str = ""
    """What the command reads on its standard input."""
    environment: tuple[tuple[str, str], ...] = ()
    timezone: str = ""
    """Of the schedule; empty: the guest's own."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory that the guest makes anew at each boot, below ``/run``, where an image has nothing."""

    path: str
    mode: int
    uid: int
    gid: int
    source: str
    """The unit or tmpfiles.d(5) file that asks for it."""


@dataclass(frozen=True, slots=True)
class GuestFacts:
    """What a look at a guest's files tells."""

    release: Release
    architecture: str
    """OCI's word: ``amd64``, ``386``, ``arm64``…; read from the guest's own programs."""
    hostname: str
    init: str
    """``systemd``, ``sysv``, ``openrc``, ``upstart`` or empty."""
    services: tuple[Service, ...] = ()
    jobs: tuple[Job, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    timezone: str = ""
    directories: tuple[Directory, ...] = ()
    """Parents before their children."""
    hosts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Addresses of its /etc/hosts with their names."""
    search_domains: tuple[str, ...] = ()
    """Domains in which it looks names up."""
    secrets: tuple[Secret, ...] = ()
    """By path and name."""
    notes: tuple[str, ...] = ()
    """What could not be read or was passed over, each a sentence."""
    kernel: KernelFacts = field(default_factory=KernelFacts)
    """What it has of a kernel and asks of one."""
    containers: tuple[ExistingContainer, ...] = ()
    """What it runs in containers already: told, and not converted."""
    packages: PackageFacts | None = None
    """What its package manager has installed; None where it has none."""


@dataclass(frozen=True, slots=True)
class StepDown:
    """A reading engine that could not do it, and why the next one took over."""

    volume: str
    engine: str
    instead: str
    reason: str


class VolumeRole(StrEnum):
    """What a volume of a guest is for, by where it is mounted."""

    SYSTEM = "system"
    """The operating system and its state: ``/``, ``/usr``, ``/boot``, ``/var``…"""
    DATA = "data"
    """What the machine is there for: a candidate for a volume of the container."""


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One volume in the guest's tree."""

    path: str
    device: str
    """``disk 0 partition 1``."""
    type: str
    engine: str
    """``ext2fs``, ``uml+ext2fs`` or ``guestfs``."""
    recovered: bool
    """True when a journal was replayed over a copy-on-write file."""
    role: VolumeRole = VolumeRole.SYSTEM
    size: int = 0
    """Bytes of the volume; 0 where only the appliance sees it."""
    subvolume: str = ""
    """``subvol=…`` and ``subvolid=…`` where a part of the volume is mounted."""
    bound: str = ""
    """The directory or file of the guest that a bind mount shows here; empty for a mount of a volume."""


@dataclass(frozen=True, slots=True)
class UnreadMount:
    """A volume that the guest mounts at boot, and that is on none of its disks that were read."""

    path: str
    source: str
    """As its fstab names it: ``UUID=…``, ``/dev/sdb1``."""


@dataclass(frozen=True, slots=True)
class UnmountedVolume:
    """A volume of the guest's disks that nothing mounts at boot: what it holds is in no image."""

    device: str
    """``disk 0 partition 1``, ``/dev/vg/old``."""
    type: str
    """In blkid(8)'s words; empty when nothing is recognised."""
    uuid: str
    label: str
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the reading process found before any file is converted."""

    guest: GuestFacts
    mounts: tuple[MountPoint, ...]
    step_downs: tuple[StepDown, ...] = ()
    notes: tuple[str, ...] = field(default=())
    unread: tuple[UnreadMount, ...] = ()
    unmounted: tuple[UnmountedVolume, ...] = ()
