"""Settings become the values that converters, workers and vSphere want: one function for each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from converters.filesystems.limits import Limits
from converters.guest.kernel.target import parse_target
from converters.guest.kernel.values import TargetKernel
from converters.hardening import Hardening
from converters.outputs.auth import Credentials
from converters.outputs.client import RegistryAccess
from converters.reading import Reading
from converters.running.document import RunningFacts, read_running_facts
from orchestrator.errors import UsageError
from orchestrator.ledger import Ledger, Timing, default_location
from orchestrator.settings import Settings, environment_name
from orchestrator.verify.verifier import Verifier, VerifySettings
from orchestrator.vsphere.keeper import LeaseLimits
from orchestrator.vsphere.rules import SnapshotLimits
from orchestrator.vsphere.settings import VCenterSettings

HOUR = 3600.0
GIB = 1 << 30


def vcenter_settings(settings: Settings) -> VCenterSettings:
    """Where vCenter is, who logs in, and what is trusted.

    Raises:
        UsageError: something is missing or cannot be read.
    """
    if not settings.vcenter:
        raise UsageError("no vCenter is given", "set --vcenter or GOVC_URL")
    return VCenterSettings.parse(
        settings.vcenter,
        settings.from_file("username"),
        SecretStr(settings.from_file("password")),
        insecure=settings.insecure,
        ca_file=str(settings.ca_file or ""),
        thumbprint=settings.thumbprint,
        token_file=str(settings.token_file or ""),
    )


def open_ledger(settings: Settings) -> Ledger:
    """The ledger, to be closed by the caller.

    Raises:
        UsageError: the password's file cannot be read.
        LedgerError: it cannot be opened.
    """
    timing = replace(Timing(), patience=settings.ledger_patience)
    return Ledger(settings.ledger or default_location(), settings.from_file("ledger_password"), timing)


def lease_limits(settings: Settings) -> LeaseLimits:
    """How long an export lease may be kept."""
    return LeaseLimits(total=settings.lease_hours * HOUR, idle=settings.stall_seconds)


def data_disk_limit(settings: Settings) -> int | None:
    """Bytes of the largest data disk that is downloaded; None: all are."""
    largest = settings.largest_data_disk
    return None if largest is None else int(largest * GIB)


def snapshot_limits(settings: Settings) -> SnapshotLimits:
    """When a VM gets no snapshot."""
    return SnapshotLimits(
        free_fraction=settings.datastore_free / 100, quiesce_minutes=settings.quiesce_minutes
    )


def registry_prefix(settings: Settings) -> str:
    """Where images go.

    Raises:
        UsageError: nothing says so.
    """
    if not settings.registry:
        raise UsageError("no registry to push to", "say where: --registry HOST[:PORT]/PREFIX")
    return settings.registry.rstrip("/")


def registry_environment(settings: Settings) -> dict[str, str]:
    """The variables from which a worker of this machine has the registry's credentials."""
    if not settings.registry_username:
        return {}
    return {
        environment_name("registry_username"): settings.registry_username,
        environment_name("registry_password"): settings.from_file("registry_password"),
    }


def reading(settings: Settings) -> Reading:
    """How disks are read."""
    return Reading(
        engines=tuple(engine.value for engine in settings.engines),
        root=settings.root,
        luks_keys=str(settings.luks_keys or ""),
        memory_bytes=settings.reader_memory << 20,
        tree_bytes=settings.reader_tree << 30 if settings.reader_tree else None,
        stall_seconds=settings.reader_stall,
        total_seconds=settings.reader_hours * 3600 if settings.reader_hours else None,
        limits=Limits(
            unpacked_bytes=settings.reader_unpack << 30,
            uml_seconds=settings.uml_seconds,
            uml_memory_mib=settings.uml_memory,
            uml_written_bytes=settings.uml_changes << 30,
        ),
        keep=settings.keep,
        clean=settings.clean,
    )


def hardening(settings: Settings) -> Hardening:
    """How much containers may have, and what becomes of secrets."""
    return Hardening(settings.privilege_ceiling, settings.secrets, settings.extract)


def target_kernel(settings: Settings) -> TargetKernel | None:
    """The kernel of the containers' hosts, where a person has said which."""
    return parse_target(settings.target_kernel) if settings.target_kernel else None


def running_facts(settings: Settings, machine: str) -> RunningFacts | None:
    """What was seen of a machine while it ran; None: nothing.

    Raises:
        RunningFactsError: there is a file, and it cannot be used.
    """
    return None if settings.facts is None else read_running_facts(settings.facts, machine)


def verifier(settings: Settings) -> Verifier | None:
    """Who tries the containers of an image; None: nobody wants that."""
    if not settings.verify and not settings.observe:
        return None
    wanted = VerifySettings(
        settings.verify_engine,
        settings.verify_at_once,
        settings.verify_seconds,
        together=settings.verify,
        alone=settings.observe,
    )
    return Verifier(wanted, registry_access(settings).credentials, settings.output / "verify")


def registry_access(settings: Settings) -> RegistryAccess:
    """How the registry is reached from this process, with its credentials.

    Raises:
        UsageError: the password's file cannot be read.
    """
    username = settings.registry_username
    password = settings.from_file("registry_password")
    return RegistryAccess(
        credentials=Credentials(username, password) if username else None,
        plain_http=settings.registry_insecure,
        ca_file=str(settings.registry_ca_file or ""),
        patience=settings.registry_patience,
    )


def publishing_access(settings: Settings) -> RegistryAccess:
    """The same, to push manifests: these are not tried for longer than a run is certain to be its VMs' owner.

    That was asked just before; a run that cannot tell the ledger since then may be taken for dead, and its
    VMs be another's, after ``Timing.silent`` seconds. The stage is tried again, and asks again.
    """
    access = registry_access(settings)
    return replace(access, patience=min(access.patience, Timing().silent / 2))


@contextmanager
def scratch_folder(settings: Settings) -> Iterator[Path]:
    """A private folder for one conversion on this machine, removed with everything in it."""
    if settings.scratch is not None:
        settings.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="orchestrate-", dir=settings.scratch) as folder:
        yield Path(folder)
