"""Every setting, declared once: flag, configuration key, environment variable, default, help.

A setting is a field of ``Settings``; its flag is the field's name with dashes, its key in the configuration
file either spelling. Precedence: flag, environment, configuration file, default. Secrets have no flag: they
come from the environment or from a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic.fields import FieldInfo

from converters.descriptors.package import Verification
from converters.errors import OutputError
from converters.grouping import Grouping
from converters.guest.kernel.target import FORM as TARGET_FORM
from converters.guest.kernel.target import parse_target
from converters.guest.privilege.values import Ceiling
from converters.guest.secrets.values import SecretKind
from converters.hardening import Secrets
from converters.image.rules import select
from converters.manifests.kinds import Manifest
from converters.outputs.reference import TAG, split_repository
from orchestrator.errors import UsageError
from orchestrator.in_place import Transport
from orchestrator.preflight.checks import Check
from orchestrator.vsphere.rules import HOST_QUIESCE_MINUTES
from orchestrator.vsphere.values import QuiescePolicy

_PREFIX_FORM = (
    "HOST[:PORT]/PREFIX in lower case, without a scheme; without a port, HOST has a dot or is localhost"
)
_SIZE = re.compile(r"\d+(\.\d+)? ?([kKMGT]i?)?B")


class Verb(StrEnum):
    """The verbs of the command line, for saying which take a setting."""

    RUN = "run"
    CONVERT = "convert"
    CHECK = "check"
    STATUS = "status"
    SWEEP = "sweep"


class Section(StrEnum):
    """Headings of ``--help``."""

    VCENTER = "vCenter"
    SELECTION = "Which VMs"
    REGISTRY = "Registry"
    CLUSTER = "Dask"
    BUDGETS = "Budgets"
    READING = "Reading disks"
    CONTAINERS = "Containers"
    VERIFYING = "Trying the containers"
    PLANS = "Plans"
    RECORDS = "Records"


class LogFormat(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    JSON = "json"


class Format(StrEnum):
    """How results are printed."""

    TABLE = "table"
    JSON = "json"


class Engine(StrEnum):
    """What can read a file system, fastest first."""

    EXT2FS = "ext2fs"
    XFS = "xfs"
    BTRFS = "btrfs"
    UML = "uml"
    GUESTFS = "guestfs"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a field says beyond its type, default and help."""

    section: Section
    verbs: frozenset[Verb]
    env: str
    """Environment variable; empty: ``ORCHESTRATE_`` and the name in capitals."""
    secret: bool = False
    """No flag and no configuration key."""


VCENTER_VERBS = frozenset({Verb.RUN, Verb.CHECK, Verb.SWEEP})
RUN_VERBS = frozenset({Verb.RUN, Verb.CHECK})
IMAGE_VERBS = frozenset({Verb.RUN, Verb.CONVERT})
LEDGER_VERBS = frozenset({Verb.RUN, Verb.STATUS, Verb.SWEEP})
ALL_VERBS = frozenset(Verb)


def _setting(
    default: Any,
    section: Section,
    verbs: frozenset[Verb],
    help: str,
    env: str = "",
    secret: bool = False,
    **limits: Any,
) -> Any:
    """A field with its declaration; ``limits`` are pydantic's (``gt``, ``ge``…)."""
    field = Field(default, description=help, **limits)
    field.metadata.append(Declaration(section, verbs, env, secret))
    return field


class Settings(BaseModel):
    """What a person can set. Units are in the help."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vcenter: str = _setting(
        "", Section.VCENTER, VCENTER_VERBS, "vCenter's host name or URL (https://HOST/sdk).", env="GOVC_URL"
    )
    username: str = _setting("", Section.VCENTER, VCENTER_VERBS, "User to log in as.", env="GOVC_USERNAME")
    username_file: Path | None = _setting(
        None, Section.VCENTER, VCENTER_VERBS, "File that holds the user's name, in place of --username."
    )
    password: SecretStr = _setting(
        SecretStr(""),
        Section.VCENTER,
        VCENTER_VERBS,
        "The user's password.",
        env="GOVC_PASSWORD",
        secret=True,
    )
    password_file: Path | None = _setting(
        None, Section.VCENTER, VCENTER_VERBS, "File that holds the password, in place of GOVC_PASSWORD."
    )
    token_file: Path | None = _setting(
        None,
        Section.VCENTER,
        VCENTER_VERBS,
        "File that holds a session cookie (`govc session.login -l`) or a SAML bearer token, in place of user "
        "and password.",
    )
    insecure: bool = _setting(
        False, Section.VCENTER, VCENTER_VERBS, "Do not verify vCenter's certificate.", env="GOVC_INSECURE"
    )
    ca_file: Path | None = _setting(
        None,
        Section.VCENTER,
        VCENTER_VERBS,
        "PEM file of the certificate authorities that vouch for vCenter.",
        env="GOVC_TLS_CA_CERTS",
    )
    thumbprint: str = _setting(
        "", Section.VCENTER, VCENTER_VERBS, "SHA-1 or SHA-256 of vCenter's certificate, to trust exactly it."
    )
    datacenter: str = _setting(
        "",
        Section.VCENTER,
        VCENTER_VERBS,
        "The datacenter: its name, or its path where a name repeats.",
        env="GOVC_DATACENTER",
    )

    source: Path | None = _setting(
        None,
        Section.SELECTION,
        RUN_VERBS,
        "Folder of machines (VMX, OVF, OVA, disk images) to convert in place of a datacenter's; workers read "
        "it at the same path.",
    )
    package_digests: Verification = _setting(
        Verification.CHECK,
        Section.SELECTION,
        IMAGE_VERBS | RUN_VERBS,
        "What manifests (.mf) of OVF packages are for: a wrong digest fails the machine; with require, so "
        "does what cannot be verified; skip does not read them.",
    )
    include: tuple[str, ...] = _setting(
        (),
        Section.SELECTION,
        RUN_VERBS,
        "Convert only VMs whose name or folder path matches this pattern (* ? []); repeat for several.",
    )
    exclude: tuple[str, ...] = _setting(
        (),
        Section.SELECTION,
        RUN_VERBS,
        "Leave out VMs that match this pattern; repeat for several; wins over --include.",
    )
    dry_run: bool = _setting(
        False,
        Section.SELECTION,
        frozenset({Verb.RUN, Verb.SWEEP}),
        "Show what would be done and why not; change nothing.",
    )
    refresh: bool = _setting(
        False,
        Section.SELECTION,
        frozenset({Verb.RUN}),
        "Convert also what was converted before and is unchanged.",
    )
    largest_data_disk: float | None = _setting(
        None,
        Section.SELECTION,
        frozenset({Verb.RUN}),
        "GiB of the largest data disk to put into an image; larger ones are left out, to be attached as "
        "volumes, and 0 leaves out all but the first disk. Default: every disk is converted.",
        ge=0,
    )
    quiesce: QuiescePolicy = _setting(
        QuiescePolicy.PREFER,
        Section.SELECTION,
        frozenset({Verb.RUN}),
        "Whether guests' file systems are frozen for the snapshot, where VMware Tools run.",
    )
    quiesce_minutes: int = _setting(
        HOST_QUIESCE_MINUTES,
        Section.SELECTION,
        frozenset({Verb.RUN}),
        "Minutes a guest may take for that, its scripts included; then --quiesce says what follows.",
        ge=5,
        le=240,
    )

    transport: Transport = _setting(
        Transport.NFC,
        Section.READING,
        RUN_VERBS,
        "How disks come to the workers. nfc: an export lease, whole disks are copied from the ESXi host to "
        "scratch. datastore: read in place through vCenter's HTTP access to datastores, only what is used, "
        "and the snapshot stays until the image is out. vddk: read in place by VMware's library, see "
        "--vddk-libdir. What the last two cannot read goes by nfc.",
    )
    vddk_libdir: Path | None = _setting(
        None,
        Section.READING,
        RUN_VERBS,
        "Folder of VMware's VDDK on this machine (vmware-vix-disklib-distrib), for --transport vddk, which "
        "also takes nbdkit and its plugin vddk here. Not run against the real library yet.",
    )
    vddk_transports: str = _setting(
        "",
        Section.READING,
        RUN_VERBS,
        "VDDK's own transport modes in order, such as nbdssl:nbd; default: what VDDK chooses.",
    )
    registry: str = _setting(
        "", Section.REGISTRY, IMAGE_VERBS | RUN_VERBS, "Where images go: HOST[:PORT]/PREFIX."
    )
    tag: str = _setting("latest", Section.REGISTRY, IMAGE_VERBS, "Tag of the images, beside their digest.")
    registry_username: str = _setting(
        "",
        Section.REGISTRY,
        IMAGE_VERBS | RUN_VERBS,
        "User at the registry; without it Docker's configuration file is asked.",
    )
    registry_password: SecretStr = _setting(
        SecretStr(""), Section.REGISTRY, IMAGE_VERBS | RUN_VERBS, "That user's password.", secret=True
    )
    registry_password_file: Path | None = _setting(
        None, Section.REGISTRY, IMAGE_VERBS | RUN_VERBS, "File that holds that user's password."
    )
    registry_insecure: bool = _setting(
        False,
        Section.REGISTRY,
        IMAGE_VERBS | RUN_VERBS,
        "Use plain HTTP also with a registry that is not local.",
    )
    registry_ca_file: Path | None = _setting(
        None,
        Section.REGISTRY,
        IMAGE_VERBS | RUN_VERBS,
        "PEM file of the authorities that vouch for the registry.",
    )
    registry_patience: float = _setting(
        120, Section.REGISTRY, IMAGE_VERBS, "Seconds a registry may stay away before a push fails.", ge=0
    )

    scheduler: str = _setting(
        "",
        Section.CLUSTER,
        RUN_VERBS,
        "Address of a running Dask scheduler (tcp://HOST:PORT), each peer of which is as trusted as this "
        "process. Without it, workers are started on this machine.",
    )
    workers: int | None = _setting(
        None, Section.CLUSTER, RUN_VERBS, "Local workers; default: one for each processor core.", gt=0
    )
    worker_memory: str = _setting(
        "2GiB", Section.CLUSTER, RUN_VERBS, "Memory a local worker may use before it is restarted."
    )
    worker_silence: float = _setting(
        45,
        Section.CLUSTER,
        frozenset({Verb.RUN}),
        "Seconds without a sign of life after which a worker counts as lost; a local one is then killed.",
        gt=0,
    )
    skip_check: tuple[Check, ...] = _setting(
        (),
        Section.CLUSTER,
        RUN_VERBS,
        "Test of workers to leave out, where it is wrong about a site that works; repeat for several.",
    )
    scratch: Path | None = _setting(
        None,
        Section.READING,
        IMAGE_VERBS | RUN_VERBS | frozenset({Verb.SWEEP}),
        "Folder for downloaded disks and temporary files (on each worker); default: one under TMPDIR.",
    )

    max_vms: int | None = _setting(
        None,
        Section.BUDGETS,
        frozenset({Verb.RUN}),
        "VMs at work at once; default: one for each worker.",
        gt=0,
    )
    disks_per_host: int = _setting(
        8, Section.BUDGETS, frozenset({Verb.RUN}), "Disks read at once through one ESXi host.", gt=0
    )
    snapshots_per_datastore: int = _setting(
        4, Section.BUDGETS, frozenset({Verb.RUN}), "Snapshots open at once on one datastore.", gt=0
    )
    datastore_free: float = _setting(
        10,
        Section.BUDGETS,
        RUN_VERBS,
        "Percent of a datastore that must be free: what guests write while snapshots are open goes there.",
        ge=0,
        lt=100,
    )
    attempts: int = _setting(
        3,
        Section.BUDGETS,
        frozenset({Verb.RUN}),
        "Times a VM is tried when what failed can pass by itself.",
        gt=0,
    )
    put_off_hours: float = _setting(
        4,
        Section.BUDGETS,
        frozenset({Verb.RUN}),
        "Hours for which a VM is put off while a backup, another task or its host's absence is in the way.",
        ge=0,
    )
    removal_hours: float = _setting(
        1,
        Section.BUDGETS,
        frozenset({Verb.RUN}),
        "Hours for which a snapshot's removal that vCenter refuses is tried again; one that goes on is "
        "waited for however long it takes.",
        ge=0,
    )
    lease_hours: float = _setting(
        12, Section.BUDGETS, frozenset({Verb.RUN}), "Hours after which an export lease is ended.", gt=0
    )
    stall_seconds: float = _setting(
        300,
        Section.BUDGETS,
        frozenset({Verb.RUN}),
        "Seconds without a byte after which a download is ended.",
        gt=0,
    )
    grace_seconds: float = _setting(
        25,
        Section.BUDGETS,
        frozenset({Verb.RUN}),
        "Seconds for cleaning up after SIGTERM or a second Ctrl-C.",
        gt=0,
    )

    engines: tuple[Engine, ...] = _setting(
        tuple(Engine),
        Section.READING,
        IMAGE_VERBS | RUN_VERBS,
        "File system readers that may be used; repeat for several.",
    )
    root: str = _setting(
        "",
        Section.READING,
        frozenset({Verb.CONVERT}),
        "Volume of the root file system: DISK:PARTITION from 0:1, UUID=…, LABEL=… or a device's name.",
    )
    luks_keys: Path | None = _setting(
        None,
        Section.READING,
        IMAGE_VERBS,
        "Folder with the keys of encrypted volumes, in files named by their UUIDs; on each worker.",
    )
    keep: tuple[str, ...] = _setting(
        (),
        Section.READING,
        IMAGE_VERBS,
        "Clean-up rule to switch off, by its name in docs/cleaning.md; repeat for several.",
    )
    clean: tuple[str, ...] = _setting(
        (), Section.READING, IMAGE_VERBS, "Clean-up rule to switch on, by its name in docs/cleaning.md."
    )
    reader_memory: int = _setting(
        4096, Section.READING, IMAGE_VERBS, "MiB of address space of the process that reads a disk.", ge=512
    )
    reader_tree: int | None = _setting(
        None,
        Section.READING,
        IMAGE_VERBS,
        "GiB of tar that process may give before it is ended; default: 8 times its disks and 1 TiB.",
        gt=0,
    )
    target_kernel: str = _setting(
        "",
        Section.READING,
        IMAGE_VERBS,
        "Kernel of the hosts that will run the containers, for the verdict on what runs there: "
        f"{TARGET_FORM}; default: that of the machine that converts.",
    )
    reader_stall: float = _setting(
        600,
        Section.READING,
        IMAGE_VERBS,
        "Seconds without a sign of life after which that process is ended.",
        gt=0,
    )
    reader_hours: float | None = _setting(
        None,
        Section.READING,
        IMAGE_VERBS,
        "Hours it may be waited for in all; default: 1, and what --reader-tree takes at 16 MiB a second.",
        gt=0,
    )

    grouping: Grouping = _setting(
        Grouping.SERVICE,
        Section.CONTAINERS,
        IMAGE_VERBS,
        "A container for each service of a machine, or one for all of them: for services that act on each "
        "other's processes or files. The plan's notes say where that is so.",
    )
    privilege_ceiling: Ceiling = _setting(
        Ceiling.DEFAULT,
        Section.CONTAINERS,
        IMAGE_VERBS,
        "The most that a container is given: what engines give every one, any other capability, devices, the "
        "host's network, everything. What a service needs beyond is told, and not given.",
    )
    facts: Path | None = _setting(
        None,
        Section.READING,
        IMAGE_VERBS,
        "Folder with what was seen of machines while they ran, NAME.json each: docs/running-facts.md.",
    )

    verify: bool = _setting(
        False,
        Section.VERIFYING,
        IMAGE_VERBS,
        "Start each machine's containers in an engine, see whether they serve, and remove them again.",
    )
    observe: bool = _setting(
        False,
        Section.VERIFYING,
        IMAGE_VERBS,
        "Start each service alone, without a network, for 12 seconds, and tell which ports it opens.",
    )
    verify_engine: str = _setting(
        "",
        Section.VERIFYING,
        IMAGE_VERBS,
        "That engine: unix:///PATH or tcp://HOST:PORT; default: DOCKER_HOST, or this machine's Docker.",
        pattern=r"^((unix|tcp)://.+)?$",
    )
    verify_seconds: float = _setting(
        90, Section.VERIFYING, IMAGE_VERBS, "Seconds that services may take until they answer.", gt=0, le=3600
    )
    verify_at_once: int = _setting(
        2, Section.VERIFYING, frozenset({Verb.RUN}), "Machines started at once.", gt=0, le=64
    )

    reader_unpack: int = _setting(
        4096,
        Section.READING,
        IMAGE_VERBS,
        "GiB that a gzip'd disk image may unpack to where no envelope tells its size.",
        gt=0,
    )
    uml_seconds: float = _setting(
        300,
        Section.READING,
        IMAGE_VERBS,
        "Seconds for a journal's replay by user-mode Linux, and for each of its answers where it reads.",
        gt=0,
    )
    uml_memory: int = _setting(
        1536,
        Section.READING,
        IMAGE_VERBS,
        "MiB of memory of its kernel, which holds a bit for each sector of a disk: 256 MiB a TiB.",
        ge=256,
    )
    uml_changes: int = _setting(
        8, Section.READING, IMAGE_VERBS, "GiB of a guest's disks that it may change in its copy.", gt=0
    )

    plan_only: bool = _setting(
        False,
        Section.PLANS,
        IMAGE_VERBS,
        "Write each machine's plan, to be edited and handed back, and convert nothing. That takes a look at "
        "the disks: a VM's snapshot is made and removed, and with --transport nfc its disks are copied as "
        "for a conversion; --transport datastore reads what the look needs.",
    )
    plan: Path | None = _setting(
        None, Section.PLANS, frozenset({Verb.CONVERT}), "Plan file of the machine: it decides."
    )
    plans: Path | None = _setting(
        None,
        Section.PLANS,
        IMAGE_VERBS,
        "Folder of plan files (*.yaml), each for the machine that it names; with --plan-only, where they are "
        "written. A machine without one is converted as it was found.",
    )
    rules: Path | None = _setting(
        None,
        Section.PLANS,
        IMAGE_VERBS,
        "YAML file of rules about all machines (docs/plan.md); a machine's own plan wins over them.",
    )
    secrets: Secrets = _setting(
        Secrets.REPORT,
        Section.CONTAINERS,
        IMAGE_VERBS,
        "What becomes of keys, passwords and tokens: told, and left in the image; or moved out of it, into "
        "files beside the deployment files.",
    )
    extract: tuple[str, ...] = _setting(
        (),
        Section.CONTAINERS,
        IMAGE_VERBS,
        "Kind of secrets (private-key, password…) or path in the machine that --secrets extract moves out, a "
        "path with * for any characters; repeat for several. Default: all.",
    )

    output: Path = _setting(
        Path("orchestrate-out"), Section.RECORDS, IMAGE_VERBS, "Folder for report and deployment files."
    )
    manifests: tuple[Manifest, ...] = _setting(
        (Manifest.COMPOSE, Manifest.KUBERNETES),
        Section.RECORDS,
        IMAGE_VERBS,
        "Kind of deployment file that each machine gets; repeat for several.",
    )
    ledger: str = _setting(
        "",
        Section.RECORDS,
        LEDGER_VERBS,
        "Where what was done is kept: a file, or postgresql://USER@HOST/DATABASE for several orchestrators; "
        "default: under XDG_STATE_HOME.",
        repr=False,
    )
    ledger_password: SecretStr = _setting(
        SecretStr(""), Section.RECORDS, LEDGER_VERBS, "That database user's password.", secret=True
    )
    ledger_password_file: Path | None = _setting(
        None, Section.RECORDS, LEDGER_VERBS, "File that holds that user's password."
    )
    ledger_patience: float = _setting(
        120,
        Section.RECORDS,
        LEDGER_VERBS,
        "Seconds a ledger may stay away, or be without room, before a run undoes what it began.",
        ge=0,
    )
    metrics_port: int | None = _setting(
        None,
        Section.RECORDS,
        frozenset({Verb.RUN}),
        "Port for Prometheus' metrics; 0 picks a free one.",
        ge=0,
        le=65535,
    )
    metrics_address: str = _setting(
        "127.0.0.1", Section.RECORDS, frozenset({Verb.RUN}), "Address to serve metrics on."
    )
    deep: bool = _setting(
        False,
        Section.READING,
        frozenset({Verb.CHECK}),
        "Also start libguestfs' appliance on each worker: 768 MiB and up to a minute.",
    )
    format: Format = _setting(
        Format.TABLE,
        Section.RECORDS,
        frozenset({Verb.CHECK}),
        "How the results are printed: for people, or as one JSON document.",
    )
    log_format: LogFormat = _setting(LogFormat.TEXT, Section.RECORDS, ALL_VERBS, "How log lines are written.")

    @field_validator("keep", "clean")
    @classmethod
    def _are_rules(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        select(names, names)
        return names

    @field_validator("target_kernel")
    @classmethod
    def _is_kernel(cls, kernel: str) -> str:
        if kernel:
            parse_target(kernel)
        return kernel

    @field_validator("extract")
    @classmethod
    def _are_secrets(cls, wanted: tuple[str, ...]) -> tuple[str, ...]:
        for one in wanted:
            if not one.startswith("/") and one not in list(SecretKind):
                raise ValueError(
                    f"{one!r} is no path and no kind of secret; there are: {', '.join(SecretKind)}"
                )
        return wanted

    @field_validator("tag")
    @classmethod
    def _is_tag(cls, tag: str) -> str:
        if not TAG.fullmatch(tag):
            raise ValueError(f"{tag!r} is no valid tag: letters, digits, ., _ and -, at most 128")
        return tag

    @field_validator("registry")
    @classmethod
    def _is_registry(cls, prefix: str) -> str:
        if prefix:
            try:
                split_repository(f"{prefix.rstrip('/')}/vm")
            except OutputError:
                raise ValueError(f"{prefix!r} is not {_PREFIX_FORM}") from None
        return prefix

    @field_validator("worker_memory")
    @classmethod
    def _is_size(cls, size: str) -> str:
        if not _SIZE.fullmatch(size):
            raise ValueError(f"{size!r} is no size: write 2GiB or 1500MB")
        return size

    def from_file(self, name: str) -> str:
        """The setting ``name``, from the file that ``NAME_file`` points to if that is set.

        Raises:
            UsageError: the file cannot be read.
        """
        file: Path | None = getattr(self, f"{name}_file")
        if file is None:
            value: str | SecretStr = getattr(self, name)
            return value.get_secret_value() if isinstance(value, SecretStr) else value
        try:
            return file.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{flag(name + '_file')}: cannot read {file}: {error}") from None


def declaration(field: FieldInfo) -> Declaration:
    """What a field of ``Settings`` declares."""
    return next(item for item in field.metadata if isinstance(item, Declaration))


def environment_name(name: str) -> str:
    """The environment variable of a setting."""
    return declaration(Settings.model_fields[name]).env or f"ORCHESTRATE_{name.upper()}"


def flag(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")
