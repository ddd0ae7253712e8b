"""What vCenter knows, as values: only these and morefs leave ``orchestrator.vsphere``. No pyvmomi here."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from orchestrator.vsphere.backups import BackupSnapshot


class QuiescePolicy(StrEnum):
    """Whether the guest's file systems are frozen around the snapshot."""

    REQUIRE = "require"
    PREFER = "prefer"
    NEVER = "never"


class RestartPriority(StrEnum):
    """vSphere HA's restart priority of a VM."""

    DISABLED = "disabled"
    LOWEST = "lowest"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    HIGHEST = "highest"
    UNKNOWN = ""
    """Of a machine that is not in vCenter's inventory."""


class Refusal(StrEnum):
    """Why a VM gets no snapshot: making one would fail, be of no use, or harm."""

    TEMPLATE = "template"
    NOT_CONNECTED = "not-connected"
    NO_DISK = "no-disk"
    PHYSICAL_RDM = "physical-rdm"
    INDEPENDENT_DISK = "independent-disk"
    SHARED_DISK = "shared-disk"
    FAULT_TOLERANCE = "fault-tolerance"
    CONSOLIDATION_NEEDED = "consolidation-needed"
    CHAIN_TOO_DEEP = "chain-too-deep"
    DATASTORE_FULL = "datastore-full"
    MANAGED = "managed-by-solution"


@dataclass(frozen=True, slots=True)
class DiskDevice:
    """A virtual disk of a VM."""

    key: int
    label: str
    capacity: int
    """Bytes."""
    file: str
    """``[datastore] folder/name.vmdk``; empty for a disk without file backing."""
    mode: str
    """``persistent``, ``independent_persistent``…"""
    physical_rdm: bool = False
    sharing: bool = False
    """Multi-writer, or on a controller that shares its bus."""
    parents: tuple[str, ...] = ()
    """Files that hold what ``file`` does not, nearest first: one a snapshot, and more in a linked clone."""


@dataclass(frozen=True, slots=True)
class HostInfo:
    """An ESXi host."""

    moref: str
    name: str
    cpu_mhz: int
    """Clock of one core in MHz; vSphere gives CPU limits in MHz, so cores are limit / this."""
    connected: bool = True


@dataclass(frozen=True, slots=True)
class Allocation:
    """A VM's share of CPU (MHz) or memory (MiB)."""

    reservation: int = 0
    limit: int | None = None
    """None: unlimited (the API says -1)."""
    shares: int = 0


@dataclass(frozen=True, slots=True)
class VirtualMachine:
    """One VM as the inventory sees it."""

    moref: str
    name: str
    """As people see it: ``%2f``, ``%5c`` and ``%25`` decoded."""
    folder: str
    """Path of the VM's folder in the datacenter, ``/`` between names, ``%2f`` in them; empty at the root."""
    datacenter: str
    instance_uuid: str
    power_state: str
    """``poweredOn``, ``poweredOff`` or ``suspended``."""
    connection_state: str
    guest_id: str
    guest_family: str
    """``linuxGuest``, ``windowsGuest``… from VMware Tools; empty when they never ran."""
    guest_full_name: str
    template: bool
    tools_running: bool
    host: HostInfo | None
    datastores: tuple[str, ...]
    """Names; the moref of one that the account may not read. Until it is described, ISO images', too."""
    cpus: int
    memory_mib: int
    cpu: Allocation = Allocation()
    memory: Allocation = Allocation()
    restart_priority: RestartPriority = RestartPriority.MEDIUM
    ha: bool = False
    """Whether the VM runs in a cluster with HA switched on, so that ``restart_priority`` is in force."""
    disks: tuple[DiskDevice, ...] = ()
    used_bytes: int = 0
    """Committed storage (``summary.storage.committed``)."""
    contents: str = ""
    """Of a machine whose disks are files, their sizes and times in one word; empty: vCenter does not tell."""
    snapshots: tuple[str, ...] = ()
    """Names of the snapshots the VM has, root first."""
    consolidation_needed: bool | None = False
    """None: vCenter does not tell this account."""
    fault_tolerance: bool = False
    managed_by: str = ""
    """Extension key of the solution that owns the VM (``config.managedBy``)."""
    backup: BackupSnapshot | None = None
    """The newest snapshot that a backup product has on it."""
    annotation: str = ""
    networks: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class DatastoreInfo:
    """A datastore; the name is unique in its datacenter."""

    moref: str
    name: str
    capacity: int
    """Bytes."""
    free: int
    """Bytes."""
    accessible: bool = True


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a VM is at one moment: DRS, HA and people move VMs, and rename them."""

    vm: str
    """Moref."""
    name: str
    host: HostInfo | None
    datastores: tuple[str, ...]
    """Names of those that it writes to."""

    @property
    def host_name(self) -> str:
        """Empty when the VM has no host."""
        return self.host.name if self.host else ""


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where some VMs are, and what room their datastores have; VMs that are gone are left out."""

    placements: tuple[Placement, ...]
    datastores: tuple[DatastoreInfo, ...]


@dataclass(frozen=True, slots=True)
class About:
    """Which vCenter this is."""

    name: str
    """Product with version and build."""
    api_version: str
    instance_uuid: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """One datacenter at one moment."""

    datacenter: str
    """Its name."""
    datacenter_path: str
    """``/folder/name``: unique in the vCenter."""
    vms: tuple[VirtualMachine, ...]
    hosts: tuple[HostInfo, ...]
    datastores: tuple[DatastoreInfo, ...]
    anti_affinity: tuple[frozenset[str], ...] = ()
    """Morefs of VMs that DRS keeps on separate hosts: of a guest cluster, freeze one at a time."""
    round_trips: int = 0
    """Calls to vCenter that the listing took."""


class Grade(StrEnum):
    """What a line of the pre-flight check means for a run."""

    FINE = "fine"
    WARNING = "warning"
    """A run can begin, and something of it will go badly or not at all."""
    BLOCKING = "blocking"
    """A run does not begin."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the pre-flight check."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    """What to do; empty when ``ok``."""
    blocks: bool = True
    """Whether a run must not begin with it when it is not ``ok``."""

    @property
    def grade(self) -> Grade:
        """What it means for a run."""
        if self.ok:
            return Grade.FINE
        return Grade.BLOCKING if self.blocks else Grade.WARNING


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """A snapshot of ours."""

    vm: str
    """Moref of the VM."""
    moref: str
    name: str
    description: str
    created: float
    """Seconds since 1970-01-01 UTC, by vCenter's clock."""
    quiesced: bool = False
    vm_name: str = ""
    """For messages."""
    note: str = ""
    """What a person should know, such as why it is crash-consistent only; empty when all went as asked."""


@dataclass(frozen=True, slots=True)
class Removal:
    """How a snapshot's removal went."""

    already_gone: bool = False
    consolidated: bool = False
    """The VM's disks needed consolidation afterwards, and got it."""
    seconds: float = 0.0
    note: str = ""
    """What a person should know of it; empty when all is well."""


@dataclass(frozen=True, slots=True)
class LeaseDisk:
    """One disk of an export lease, as a worker needs it to download the disk."""

    key: str
    url: str
    """With the host's name in place of ``*``."""
    thumbprint: str
    """SHA-1 of the server's certificate, ``AB:CD:…``; empty: verify against the CA by name."""
    capacity: int
    """Bytes of the virtual disk."""
    file_size: int
    """Bytes to be expected on the wire; 0 when vCenter does not say."""
    device: int = 0
    """``DiskDevice.key`` of the disk."""


@dataclass(frozen=True, slots=True)
class Lease:
    """An open export lease."""

    moref: str
    vm: str
    disks: tuple[LeaseDisk, ...]
    timeout: int
    """Seconds after which vCenter ends the lease when no progress is reported."""
    placement: Placement | None = None
    """Where the VM is, and stays while the lease is open; None: not asked."""
    instead: str = ""
    """The transport that was asked for, and why it does not do for this VM; empty: the lease was."""
