"""What can be wrong with a ledger."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.errors import ExitCode, OrchestratorError


class LedgerError(OrchestratorError):
    """The ledger cannot be opened, read or written."""

    kind = "ledger"
    exit_code = ExitCode.USAGE


class LedgerInUseError(LedgerError):
    """Another run is at work over this ledger and datacenter."""

    kind = "ledger-in-use"


class LedgerAwayError(LedgerError):
    """The database does not answer, or has no room left; that may pass by itself."""

    kind = "ledger-away"
    exit_code = ExitCode.CANNOT_CONNECT
    retryable = True


class NotIntendedError(LedgerError):
    """A snapshot was not written down as intended, so vCenter was not asked for it."""

    kind = "ledger-away"
    exit_code = ExitCode.CANNOT_CONNECT
    retryable = True
    untouched: ClassVar[bool] = True


class RunClosedError(LedgerError):
    """Another orchestrator has taken this run for dead: it may begin and publish nothing more."""

    kind = "run-closed"
    exit_code = ExitCode.SOME_FAILED
    untouched: ClassVar[bool] = True
