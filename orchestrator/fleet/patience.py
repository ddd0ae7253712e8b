"""How long a job is tried: attempts that count, and looks at a VM that others need meanwhile. Pure."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.fleet.states import Job, Rules

_HOUR = 3600.0


def tries_again(job: Job, now: float, rules: Rules) -> bool:
    """Whether the job's last failure can pass, and there is a try left for it."""
    if job.failure is None or not job.failure.retryable:
        return False
    if job.failure.put_off:
        return _waited(job, now) < rules.put_off_limit
    return counted(job) < rules.max_attempts


def counted(job: Job) -> int:
    """Attempts that count: at the others the VM was only put off."""
    return job.attempt - job.put_offs


def put_off(job: Job, now: float, rules: Rules) -> Job:
    """The job whose attempt does not count, as others need the VM; one that waited for too long fails."""
    since = now if job.put_off_since is None else job.put_off_since
    waiting = replace(job, put_offs=job.put_offs + 1, put_off_since=since)
    if waiting.failure is None or tries_again(waiting, now, rules):
        return waiting
    waited = f"so it was put off for {_waited(waiting, now) / _HOUR:.1f} hours, the limit"
    message = f"{waiting.failure.message}; {waited}"
    return replace(waiting, failure=replace(waiting.failure, message=message, retryable=False))


def pause(job: Job, rules: Rules) -> float:
    """Seconds until the next attempt of a job whose last one failed."""
    if job.failure is not None and job.failure.put_off:
        return rules.pause(job.put_offs)
    return rules.backoff(counted(job))


def _waited(job: Job, now: float) -> float:
    return 0.0 if job.put_off_since is None else now - job.put_off_since
