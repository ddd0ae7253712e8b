"""Whether a guest's file systems are frozen for its snapshot, and which answers mean that this failed."""

from __future__ import annotations

from pyVmomi import vim

from orchestrator.errors import QuiesceError
from orchestrator.vsphere import inventory
from orchestrator.vsphere.faults import describe
from orchestrator.vsphere.properties import Row
from orchestrator.vsphere.values import QuiescePolicy

FACTS = ("runtime.powerState", "guest.toolsRunningStatus")
"""Properties of a VM that ``decide`` reads."""
_FAULTS = (
    vim.fault.ApplicationQuiesceFault,
    vim.fault.FilesystemQuiesceFault,
    vim.fault.ToolsUnavailable,
    vim.fault.Timedout,
)


def decide(row: Row, name: str, policy: QuiescePolicy) -> tuple[bool, str]:
    """Whether to quiesce, and what a person should know about it. Raises ``QuiesceError``."""
    running = row.get("runtime.powerState") == "poweredOn"
    tools = row.get("guest.toolsRunningStatus") in inventory.TOOLS_RUNNING
    match policy:
        case QuiescePolicy.NEVER:
            return False, ""
        case _ if tools and running:
            return True, ""
        case _ if row.get("runtime.powerState") == "poweredOff":
            return False, ""
        case QuiescePolicy.REQUIRE:
            raise QuiesceError(
                f"{name} cannot be quiesced: VMware Tools do not run",
                "start open-vm-tools in the guest, power it off, or use --quiesce prefer",
            )
        case QuiescePolicy.PREFER:
            return False, "crash-consistent: VMware Tools do not run"


def failed(fault: Exception) -> bool:
    """Whether a quiesced snapshot failed with this because of the guest."""
    # Some hosts answer a general fault whose text alone says it ("msg.snapshot.error-QUIESCINGERROR").
    return isinstance(fault, _FAULTS) or "quiesc" in describe(fault).lower()


def refused(name: str, why: str) -> QuiesceError:
    """The error for a guest that policy wants quiesced and that cannot be."""
    return QuiesceError(
        f"{name} cannot be quiesced: {why}",
        "see VMware Tools' log and the freeze scripts in the guest, or use --quiesce prefer",
    )
