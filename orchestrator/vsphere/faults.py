"""vCenter's faults as the orchestrator's errors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pyVmomi import vim, vmodl

from orchestrator.errors import OrchestratorError, VCenterBusyError, VCenterError

BUSY = (
    vim.fault.TaskInProgress,
    vim.fault.ResourceInUse,
    vim.fault.ConcurrentAccess,
    vim.fault.Timedout,
    vim.fault.FileLocked,
    vmodl.fault.HostCommunication,
)
"""Faults that pass by themselves: another task holds the VM, a host is slow, a file is still locked."""
GONE = (vmodl.fault.ManagedObjectNotFound,)


def describe(fault: Exception) -> str:
    """One line of a fault: its type, vCenter's text, and the inner faults that say more than the outer."""
    texts = [
        type(fault).__name__.rpartition(".")[2],
        getattr(fault, "msg", None) or getattr(fault, "message", ""),
    ]
    if isinstance(fault, vim.fault.NoPermission):
        texts.append(f"the account lacks {fault.privilegeId or 'a privilege'} on {_moref(fault.object)}")
    texts += [message.message for message in getattr(fault, "faultMessage", None) or () if message.message]
    cause = getattr(fault, "faultCause", None)
    if isinstance(cause, Exception):
        texts.append(f"caused by {describe(cause)}")
    return ": ".join(dict.fromkeys(text.strip() for text in texts if text and text.strip()))


def translate(fault: Exception, doing: str) -> OrchestratorError:
    """The error for ``fault``, which vCenter answered to what ``doing`` names."""
    match fault:
        case vim.fault.NoPermission():
            return VCenterError(f"{doing}: {describe(fault)}", "`orchestrate check` lists all that is needed")
        case vmodl.fault.ManagedObjectNotFound():
            return VCenterError(f"{doing}: {_moref(fault.obj)} is no longer there")
        case _ if isinstance(fault, BUSY):
            return VCenterBusyError(f"{doing}: {describe(fault)}")
        case _:
            return VCenterError(f"{doing}: {describe(fault)}")


@contextlib.contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn a fault raised inside into the orchestrator's error, saying what was being done, and to what."""
    try:
        yield
    except vmodl.MethodFault as fault:
        raise translate(fault, doing) from fault


def _moref(found: object) -> str:
    return str(getattr(found, "_moId", found))
