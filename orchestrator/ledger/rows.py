"""Rows of the database become values."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from orchestrator.fleet.states import JobState
from orchestrator.ledger.records import ImageRecord, JobRecord, Process, RunRecord

AnyRow = Row[Any]


def run_record(row: AnyRow) -> RunRecord:
    """A row of ``schema.runs``."""
    return RunRecord(
        run=row.id,
        number=row.number,
        vcenter=row.vcenter,
        datacenter=row.datacenter,
        started=row.started,
        heartbeat=row.heartbeat,
        clock=row.clock or "",
        host=row.host,
        pid=row.pid,
        process=Process(row.place, row.pid, row.process_started) if row.place else None,
        ended=row.ended,
        outcome=row.outcome or "",
    )


def job_record(row: AnyRow) -> JobRecord:
    """A row of ``schema.jobs`` with the VM's name and folder and the image's reference."""
    return JobRecord(
        job=row.job,
        vm=row.name,
        folder=row.folder,
        state=JobState(row.state),
        attempt=row.attempt,
        queued=row.queued,
        ended=row.ended,
        error_kind=row.error_kind or "",
        error_message=row.error_message or "",
        error_hint=row.error_hint or "",
        reason=row.reason or "",
        remedy=row.remedy or "",
        reference=row.reference or "",
    )


def image_record(row: AnyRow) -> ImageRecord:
    """A row of ``schema.images``."""
    return ImageRecord(
        reference=row.reference,
        digest=row.digest,
        config_digest=row.config_digest,
        size=row.size,
        published=row.published,
        snapshot_time=row.snapshot_time,
        fingerprint=row.fingerprint,
        settings=row.settings,
    )
