"""What runs on workers: a VM's disks come in, an image's blobs go out.

Orders are plain values without credentials: a worker has the registry's from its own environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from converters.disks import AbsentDisk
from converters.disks.remote import RemoteDisk, at_hand
from converters.errors import ConvertError
from converters.outputs.auth import Credentials
from converters.outputs.client import RegistryAccess
from converters.outputs.registry import RegistryOutput
from converters.pipeline import convert, propose
from converters.reader.parent import Reader
from converters.request import Converted, Progress, Proposal, Request
from orchestrator.cluster import WorkerStage
from orchestrator.download import Downloaded, DownloadOrder, download
from orchestrator.files import files_stage, require_unchanged
from orchestrator.fleet.files import FileMark
from orchestrator.settings import Settings, environment_name
from orchestrator.wiring import registry_access
from orchestrator.work import Work


@dataclass(frozen=True, slots=True)
class ConvertOrder:
    """What a worker converts, and how it reaches the registry."""

    request: Request
    access: RegistryAccess
    files: tuple[FileMark, ...] = ()
    """Files that must not change while they are read."""
    remote: tuple[RemoteDisk | AbsentDisk, ...] = ()
    """The disks, where they are read in place; the request then has none."""
    plan_only: bool = False
    """Whether the guest is only looked at."""


def convert_stage(order: ConvertOrder, work: Work) -> Converted | Proposal:
    """Convert a guest and push the image's blobs, or only say what would be done. Raises ``ConvertError``."""
    if not order.remote:
        return _convert(order, work)
    with at_hand(order.remote, work.scratch, on_copy=lambda count: work.report(received=count)) as hand:
        local = replace(order, request=replace(order.request, disks=tuple(hand.disks)))
        try:
            converted = _convert(local, work, lambda: hand.received)
        except ConvertError:
            hand.check()  # whoever reads hears only that it failed
            raise
        hand.check()
        work.report(received=hand.received)
        return converted


def _convert(
    order: ConvertOrder, work: Work, received: Callable[[], int] | None = None
) -> Converted | Proposal:
    def report(progress: Progress) -> None:
        counts = {} if received is None else {"received": received()}
        work.report(read=progress.read_bytes, pushed=progress.pushed_bytes, **counts)

    converted: Converted | Proposal
    try:
        with Reader(order.request.disks, order.request.reading, work.scratch) as reader:
            if order.plan_only:
                converted = propose(order.request, reader)
            else:
                access = replace(order.access, credentials=own_credentials())
                with RegistryOutput(order.request.target.repository, access) as output:
                    converted = convert(order.request, reader, output, report)
    except ConvertError as error:
        work.keep = error.retryable  # the disks are here: another try needs no second download
        error.hint = _hint(error, order.request)
        raise
    require_unchanged(order.files)
    return converted


def _hint(error: ConvertError, request: Request) -> str:
    """What to do about a failure; that a disk was left out may be why there is one."""
    names = [disk.name for disk in request.disks if isinstance(disk, AbsentDisk)]
    if not names or error.retryable:
        return error.hint
    left_out = f"{', '.join(names)} was left out; --largest-data-disk says from which size on"
    return f"{error.hint}; {left_out}" if error.hint else left_out


def download_stage(order: DownloadOrder, work: Work) -> Downloaded:
    """Bring a VM's disks to this worker's scratch."""
    downloaded = download(order, work)
    work.keep = True
    return downloaded


def own_credentials() -> Credentials | None:
    """The registry's credentials as this process's environment has them."""
    names = ("registry_username", "registry_password", "registry_password_file")
    variables = {name: os.environ.get(environment_name(name)) for name in names}
    return registry_access(
        Settings.model_validate({name: value for name, value in variables.items() if value is not None})
    ).credentials


@dataclass(frozen=True, slots=True)
class Stages:
    """The functions that run on workers."""

    download: WorkerStage = download_stage
    convert: WorkerStage = convert_stage
    files: WorkerStage = files_stage
