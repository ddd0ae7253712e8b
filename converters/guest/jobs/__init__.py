"""What a guest runs by the clock and not as a daemon: cron, anacron, at, and systemd's timers."""

from __future__ import annotations

from converters.guest.facts import Job
from converters.guest.files import GuestFiles
from converters.guest.jobs.at import at_jobs
from converters.guest.jobs.cron import cron_jobs


def scheduled_jobs(files: GuestFiles, init: str) -> tuple[Job, ...]:
    """The jobs of the guest's crontabs and at queue.

    Args:
        init: as in ``GuestFacts.init``: under systemd, timers stand in for some crontab lines.
    """
    return (*cron_jobs(files, init), *at_jobs(files))
