"""What was done, durable: runs, VMs, snapshots, images. SQLite unless a URL says otherwise."""

from orchestrator.ledger.engine import LedgerError, default_location
from orchestrator.ledger.ledger import Ledger, LedgerInUseError
from orchestrator.ledger.records import EnlistedVm, ImageRecord, JobRecord, OpenSnapshot, RunRecord
from orchestrator.ledger.run import RunLedger

__all__ = [
    "EnlistedVm",
    "ImageRecord",
    "JobRecord",
    "Ledger",
    "LedgerError",
    "LedgerInUseError",
    "OpenSnapshot",
    "RunLedger",
    "RunRecord",
    "default_location",
]
