"""The words for where a job is."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """One step of a job: a task of its own."""

    SNAPSHOT = "snapshot"
    EXPORT = "export"
    """The export lease is opened."""
    DOWNLOAD = "download"
    CONVERT = "convert"
    PUBLISH = "publish"
    RELEASE = "release"
    """Lease closed and snapshot removed; runs beside ``CONVERT``."""


class JobState(StrEnum):
    """Where a job is, in the words of the live view, the metrics and the ledger."""

    QUEUED = "queued"
    SNAPSHOTTING = "snapshotting"
    EXPORTING = "exporting"
    CONVERTING = "converting"
    PUBLISHING = "publishing"
    RELEASING = "releasing"
    """All else has ended; the snapshot's removal has not."""
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """The run was interrupted before the job could end; the next run does it."""
    SKIPPED = "skipped"

    @property
    def final(self) -> bool:
        """Whether a job stays in this state for the rest of the run."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.SKIPPED)
