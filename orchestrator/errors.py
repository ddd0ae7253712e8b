"""The errors of a run: data that says what happened, to which VM, whether a retry helps, what to do."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """What the process's exit status means; documented in the README and tested."""

    OK = 0
    """Everything asked for was converted."""
    SOME_FAILED = 1
    """Some VMs failed, or a snapshot could not be removed; the report says which and why."""
    NOTHING_MATCHED = 2
    """No VM matched, so nothing was done."""
    CANNOT_CONNECT = 3
    """vCenter, registry, Dask scheduler or ledger cannot be reached, or refuses credentials or privileges."""
    USAGE = 64
    """Wrong words on the command line, the configuration file or the environment (sysexits.h, EX_USAGE)."""
    INTERRUPTED = 130
    """Ended by Ctrl-C or SIGTERM; vCenter was cleaned up, or the command to do so was printed."""


class OrchestratorError(Exception):
    """Something of the run failed; ``message`` says what and where, ``hint`` what to do."""

    kind: ClassVar[str] = "orchestrator"
    retryable: ClassVar[bool] = False
    exit_code: ClassVar[ExitCode] = ExitCode.SOME_FAILED
    default_hint: ClassVar[str] = ""
    uncertain: ClassVar[bool] = False
    """Whether what was asked for may be done all the same, or yet."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint or self.default_hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(OrchestratorError):
    """The command line, the configuration file or the environment says something that cannot be."""

    kind = "usage"
    exit_code = ExitCode.USAGE


class ConnectError(OrchestratorError):
    """vCenter cannot be reached, its certificate is not trusted, or it refuses the credentials."""

    kind = "connect"
    uncertain = True
    exit_code = ExitCode.CANNOT_CONNECT


class PrivilegeError(OrchestratorError):
    """The account lacks what a run takes; the message names each privilege. Nothing was changed."""

    kind = "privilege"
    exit_code = ExitCode.CANNOT_CONNECT


class CheckError(OrchestratorError):
    """The workers, or what they reach, are not as a run needs them. No snapshot was made."""

    kind = "check"


class NotFoundError(OrchestratorError):
    """A name that vCenter does not know; the message names those it does."""

    kind = "not-found"
    exit_code = ExitCode.NOTHING_MATCHED


class VCenterError(OrchestratorError):
    """vCenter answered a call with a fault, or a vSphere task failed."""

    kind = "vcenter"


class VCenterBusyError(VCenterError):
    """vCenter answered with a fault that passes by itself (task in progress, host busy, time-out)."""

    kind = "vcenter-busy"
    retryable = True


class PutOffError(VCenterBusyError):
    """Others need the VM now: it is tried again later, within a bound, and that is no failed attempt.

    ``untouched`` tells that nothing was asked of vCenter but questions.
    """

    kind = "put-off"

    def __init__(self, message: str, hint: str = "", untouched: bool = False) -> None:
        super().__init__(message, hint)
        self.args = (message, hint, untouched)
        self.untouched = untouched


class BackupRunningError(PutOffError):
    """A backup product has its snapshot on the VM."""

    kind = "backup-running"


class HeldError(PutOffError):
    """Another vSphere task is at work on the VM: a migration, a relocation, a snapshot of somebody else."""

    kind = "held"


class HostAwayError(PutOffError):
    """The VM's ESXi host is disconnected or in maintenance mode."""

    kind = "host-away"


class GoneError(VCenterError):
    """The VM was deleted, or taken out of the inventory. There is nothing to convert, so nothing failed."""

    kind = "gone"


class SnapshotError(VCenterError):
    """A snapshot could not be made."""

    kind = "snapshot"


class SnapshotRefusedError(SnapshotError):
    """The VM must not get a snapshot; ``reason`` is a ``vsphere.values.Refusal``. Nothing was changed."""

    kind = "snapshot-refused"

    def __init__(self, message: str, hint: str = "", reason: str = "") -> None:
        super().__init__(message, hint)
        self.args = (message, hint, reason)
        self.reason = reason


class QuiesceError(SnapshotError):
    """The guest could not be quiesced, and policy does not allow a crash-consistent snapshot."""

    kind = "quiesce"


class RemovalError(VCenterError):
    """A snapshot could not be removed; it is in the report, with the exact thing to do."""

    kind = "removal"
    retryable = True


class LeaseError(VCenterError):
    """An export lease could not be opened, or ended before the download did."""

    kind = "lease"
    retryable = True


class UnreadableError(VCenterError):
    """A disk cannot be read exactly in the way that was asked for; the export lease takes over."""

    kind = "unreadable"


class DisksChangedError(VCenterError):
    """What was read in place is not what the snapshot held, or may not have been all the time."""

    kind = "disks-changed"
    retryable = True


class FilesMissingError(OrchestratorError):
    """A worker does not see a machine's files, or sees others than the orchestrator."""

    kind = "files-missing"


class FilesChangedError(OrchestratorError):
    """A machine runs from its files, or somebody wrote to them while they were read."""

    kind = "files-changed"


class WorkerLostError(OrchestratorError):
    """The Dask worker that held a stage ended."""

    kind = "worker-lost"
    retryable = True
