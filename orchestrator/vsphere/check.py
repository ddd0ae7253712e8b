"""The parts of the pre-flight check that concern vCenter."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from pyVmomi import vim

from orchestrator.in_place import Transport
from orchestrator.skew import clock
from orchestrator.vsphere import certificate, inventory, names, privileges
from orchestrator.vsphere.properties import below
from orchestrator.vsphere.rules import SnapshotLimits, datastores_refusal
from orchestrator.vsphere.session import Session
from orchestrator.vsphere.values import CheckResult, DatastoreInfo, VirtualMachine

ENDS_SOON_DAYS = 14
"""A run of thousands of VMs takes days; a certificate that ends meanwhile ends the run."""
_DAY = 86400.0


def check(
    session: Session,
    datacenter: str,
    vms: Sequence[VirtualMachine] = (),
    limits: SnapshotLimits | None = None,
    transport: Transport = Transport.NFC,
) -> tuple[CheckResult, ...]:
    """Version, clock, privileges and room, in the order in which a person should mend them.

    Raises ``NotFoundError`` for an unknown datacenter.
    """
    moref, path = names.find_datacenter(inventory.datacenter_tree(session), datacenter)
    root = session.managed(vim.Datacenter, moref)
    about = session.about()
    paths = {vim.Datastore: inventory.SURROUNDINGS[vim.Datastore]}
    stores = below(session, root, paths, inventory.datastore)
    return (
        CheckResult("vCenter", True, f"{about.name}, API {about.api_version}"),
        _trust(session),
        _clock(session),
        *privileges.on_datacenter(session, moref, path),
        *privileges.on_vms(session, vms, stores, transport),
        *_room(vms, stores, limits or SnapshotLimits()),
    )


def _trust(session: Session) -> CheckResult:
    settings = session.settings
    trusted = bool(settings.thumbprint) or not settings.insecure
    how = "pinned by thumbprint" if settings.thumbprint else "verified by its CA"
    found = [how if trusted else "not verified"]
    remedies = [] if trusted else ["give --ca-file (GOVC_TLS_CA_CERTS) or --thumbprint, not --insecure"]
    try:
        shown = certificate.validity(settings.host, settings.port)
    except OSError as error:
        shown = certificate.Validity(None, f"cannot be looked at: {error}")
    if shown.problem:
        found.append(shown.problem)
    elif shown.until is not None:
        days = int((shown.until - time.time()) // _DAY)
        found.append(f"valid for {days} more days")
        if days < ENDS_SOON_DAYS:
            remedies.append("replace vCenter's certificate before it ends: calls then fail")
    return CheckResult("certificate", not remedies, ", ".join(found), "; ".join(remedies), blocks=False)


def _clock(session: Session) -> CheckResult:
    before = time.time()
    skew = session.current_time() - (before + time.time()) / 2
    return clock("clock", skew, "vCenter's clock", "this machine's")


def _room(
    vms: Sequence[VirtualMachine], datastores: Iterable[DatastoreInfo], limits: SnapshotLimits
) -> Iterator[CheckResult]:
    used = {name for vm in vms for name in vm.datastores}
    for store in sorted(datastores, key=lambda store: store.name):
        if vms and store.name not in used:
            continue
        problem = datastores_refusal([store], limits)
        yield CheckResult(
            f"datastore {store.name}",
            problem is None,
            problem[1] if problem else f"{store.free / max(store.capacity, 1):.0%} free",
            "free space, or lower --datastore-free; its VMs get no snapshot until then" if problem else "",
            blocks=False,
        )
