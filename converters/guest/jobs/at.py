"""Jobs that at(1) and batch(1) have put off to one moment."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from converters.guest.facts import Job, Role
from converters.guest.files import GuestFiles, printable

_FOLDERS = ("/var/spool/cron/atjobs", "/var/spool/at")
_NAME = re.compile(r"[a-zA-Z]([0-9a-f]{5})([0-9a-f]{8})")
"""Queue, number of the job, minutes since 1970 (at's own naming; a job at work has ``=`` for its queue)."""

_LAST = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) // 60
"""The last moment that has a date here, in minutes."""


def at_jobs(files: GuestFiles) -> tuple[Job, ...]:
    """The jobs in the queue; each is a shell script of its own."""
    return tuple(job for folder in _FOLDERS for job in _jobs(files, folder))


def _jobs(files: GuestFiles, folder: str) -> Iterator[Job]:
    for name in files.names(folder):
        if found := _NAME.fullmatch(name):
            path = f"{folder}/{name}"
            entry = files.entry(path)
            moment = datetime.fromtimestamp(min(int(found[2], 16), _LAST) * 60, UTC)
            yield Job(
                name=f"at-{int(found[1], 16)}",
                source=printable(path),
                role=Role.APPLICATION,
                reason="somebody put it off to a moment",
                commands=(("/bin/sh", path),),
                user=str(entry.uid) if entry is not None else "",
                notes=(f"It is due once, at {moment:%Y-%m-%d %H:%M} UTC.",),
            )
