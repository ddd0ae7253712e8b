"""What a simulated vCenter holds, as values; the same words as in simulator/fleet.go."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Disk:
    """A virtual disk. Without ``path`` it is empty and only its ``capacity`` is known."""

    path: str = ""
    """File whose bytes an export serves: a streamOptimized VMDK or a raw disk image."""
    flat: str = ""
    """Raw disk image that lies on the datastore as ``name-flat.vmdk``, with a descriptor beside it."""
    capacity: int = 0
    """Bytes; 0: what the file says."""
    mode: str = ""
    """``independent_persistent``…; empty: ``persistent``."""
    physical_rdm: bool = False
    multi_writer: bool = False
    files: tuple[tuple[str, str], ...] = ()
    """What else lies beside it on the datastore: name, and file of this machine."""


@dataclass(frozen=True, slots=True)
class UserSnapshot:
    """A snapshot that somebody else made."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """A VM. Names are as people see them."""

    name: str
    folders: tuple[str, ...] = ()
    """Folders in the datacenter's VM folder, outermost first."""
    cluster: str = ""
    host: str = ""
    datastore: str = ""
    guest_id: str = "debian12_64Guest"
    guest_family: str = "linuxGuest"
    """Empty: VMware Tools never ran."""
    guest_full_name: str = "Debian GNU/Linux 12 (64-bit)"
    cpus: int = 2
    memory_mib: int = 2048
    cpu_limit_mhz: int = 0
    """0: unlimited."""
    memory_limit_mib: int = 0
    restart_priority: str = ""
    """Override of the cluster's; empty: none."""
    power: str = "poweredOn"
    tools_running: bool = True
    template: bool = False
    annotation: str = ""
    managed_by: str = ""
    consolidation_needed: bool = False
    fault_tolerance: bool = False
    disks: tuple[Disk, ...] = ()
    snapshots: tuple[UserSnapshot, ...] = ()
    """A chain, oldest first."""


@dataclass(frozen=True, slots=True)
class Host:
    """An ESXi host; the clock of one core in MHz."""

    name: str
    cpu_mhz: int = 2000


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster with vSphere HA on."""

    name: str = "C0"
    restart_priority: str = "medium"
    """What VMs without an override have."""
    hosts: tuple[Host, ...] = (Host("esx-0.example.com"), Host("esx-1.example.com"))


@dataclass(frozen=True, slots=True)
class Datastore:
    """A datastore; sizes in bytes."""

    name: str = "datastore-0"
    capacity: int = 4 << 40
    free: int = 3 << 40
    type: str = "VMFS"
    """``VMFS``, ``NFS``, ``vsan``…"""


@dataclass(frozen=True, slots=True)
class Datacenter:
    """A datacenter with everything in it."""

    name: str = "DC0"
    folders: tuple[str, ...] = ()
    """Folders above the datacenter, outermost first."""
    datastores: tuple[Datastore, ...] = (Datastore(),)
    clusters: tuple[Cluster, ...] = (Cluster(),)
    vms: tuple[Machine, ...] = ()
    empty_vms: int = 0
    """How many VMs with an empty disk there are beside the others, ``vm-00000`` and so on."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the vCenter behaves; ``Simulator.change`` sets them at run time."""

    lease_timeout: float = 300.0
    """Seconds without progress after which an export lease ends."""
    lease_initialize: float = 0.05
    """Seconds until a new lease is ready."""
    wildcard_host: bool = False
    """Whether device URLs hold ``*`` for the host, as ESXi gives them."""
    file_size: bool = True
    """Whether a lease says how many bytes a disk has on the wire."""
    thumbprint: str = "server"
    """``server``, ``none`` or ``wrong``: what device URLs pin."""
    page_size: int = 0
    """Objects that an answer of the property collector holds at most; 0: as many as the client asks for."""
    latency: float = 0.0
    """Seconds that every call waits first."""
    delta_disks: bool = True
    """Whether a VM goes on to write to other files once it has a snapshot."""
    datastore_rate: float = 0.0
    """Bytes a second of each read of a datastore's file; 0: as fast as it goes."""
    denied_privileges: tuple[str, ...] = ()
    """What the account lacks: queries say so, and calls that need them fail."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """A whole vCenter."""

    datacenters: tuple[Datacenter, ...] = field(default=(Datacenter(),))
    settings: Settings = Settings()
