"""From the transport that was asked for to what lets disks be read in that way."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

from orchestrator.datastores import DatastoreExporter
from orchestrator.errors import ConnectError, UsageError
from orchestrator.fleet.admission import Budgets
from orchestrator.in_place import InPlaceExporter, Transport
from orchestrator.nbdkit import Vddk
from orchestrator.preflight.checks import Check
from orchestrator.proxy import Proxy
from orchestrator.settings import Settings
from orchestrator.vddk import VddkExporter
from orchestrator.vsphere import tls
from orchestrator.vsphere.client import VCenter
from orchestrator.vsphere.values import CheckResult
from orchestrator.wiring import HOUR, vcenter_settings

LOOPBACK = "127.0.0.1"


@contextmanager
def exporter(settings: Settings, vcenter: VCenter) -> Iterator[InPlaceExporter | None]:
    """What lets disks be read in place while the block runs; None: leases are exported.

    Raises:
        UsageError: something that the transport takes is missing.
        ConnectError: no address at which workers could reach this process.
    """
    seconds = settings.lease_hours * HOUR
    match settings.transport:
        case _ if settings.dry_run:
            yield None
        case Transport.NFC:
            yield None
        case Transport.DATASTORE:
            with (
                closing(vcenter.datastores(Budgets().vcenter_disks)) as reader,
                Proxy(own_address(settings.scheduler)) as proxy,
            ):
                yield DatastoreExporter(reader, proxy, seconds)
        case Transport.VDDK:
            library = vddk(settings)
            library.require()
            with (
                closing(vcenter.datastores(Budgets().vcenter_disks)) as reader,
                Proxy(own_address(settings.scheduler)) as proxy,
                VddkExporter(reader, library, proxy, seconds) as found,
            ):
                yield found


def vddk(settings: Settings) -> Vddk:
    """How nbdkit reads disks of this vCenter.

    Raises:
        ConnectError: vCenter's certificate cannot be had.
    """
    vcenter = vcenter_settings(settings)
    try:
        thumbprint = tls.sha1_thumbprint(vcenter)
    except OSError as error:
        raise ConnectError(f"the certificate of {vcenter.host} cannot be had: {error}") from error
    return Vddk(vcenter, thumbprint, str(settings.vddk_libdir or ""), settings.vddk_transports)


def needless_checks(transport: Transport) -> frozenset[Check]:
    """Tests of workers that a run does without: read in place, disks come through this process."""
    return frozenset() if transport is Transport.NFC else frozenset({Check.HOSTS})


def check_transport(settings: Settings) -> Iterator[CheckResult]:
    """What the transport takes on this machine. Raises ``ConnectError``."""
    transport = settings.transport
    if transport is Transport.NFC:
        return
    through = f"through this process at {own_address(settings.scheduler)}, which workers must reach"
    if transport is Transport.DATASTORE:
        yield CheckResult(transport, True, f"disks are read in place, {through}")
        return
    try:
        vddk(settings).require()
    except UsageError as error:
        yield CheckResult(transport, False, error.message, error.hint)
    else:
        detail = f"nbdkit and a library are there; disks are read {through}; not run against the real library"
        yield CheckResult(transport, True, detail)


def own_address(scheduler: str) -> str:
    """The address of this machine for workers to come to: the one that faces the scheduler."""
    if not scheduler:
        return LOOPBACK
    parts = urlsplit(scheduler)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.connect(address)  # nothing is sent: the system only chooses a way
            return str(trial.getsockname()[0])
    except (OSError, ValueError) as error:
        raise ConnectError(f"no way to the Dask scheduler {scheduler}: {error}") from error
