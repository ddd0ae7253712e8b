"""What was done, durable: runs, VMs, snapshots, images. A SQLite file, or PostgreSQL by its URL."""

from orchestrator.ledger.errors import (
    LedgerAwayError,
    LedgerError,
    LedgerInUseError,
    NotIntendedError,
    RunClosedError,
)
from orchestrator.ledger.ledger import Ledger
from orchestrator.ledger.location import default_location
from orchestrator.ledger.presence import Timing
from orchestrator.ledger.records import EnlistedVm, ImageRecord, JobRecord, OpenSnapshot, RunRecord
from orchestrator.ledger.run import RunLedger

__all__ = [
    "EnlistedVm",
    "ImageRecord",
    "JobRecord",
    "Ledger",
    "LedgerAwayError",
    "LedgerError",
    "LedgerInUseError",
    "NotIntendedError",
    "OpenSnapshot",
    "RunClosedError",
    "RunLedger",
    "RunRecord",
    "Timing",
    "default_location",
]
