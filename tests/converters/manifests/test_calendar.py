"""cron's schedules as systemd's: the same minutes, by systemd's own reading."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from converters.manifests.calendar import calendar_events

BEGIN = datetime(2027, 1, 31, 22, 58, tzinfo=UTC)

SCHEDULES = [
    "0 3 * * *",
    "*/15 * * * *",
    "5-50/20 1,13 * * *",
    "0 0 1 * *",
    "30 4 * * 7",
    "30 4 * * 5-7",
    "0 12 29 2 *",
    "0 0 13 * 5",
    "0 6 */2 * 1",
    "0 6 10-12 3,4 *",
    "0 0 * * */2",
    "10-59/70 3 * * *",
    "0-5/5 3 * * *",
]


def _runs(schedule: str, moment: datetime) -> bool:
    """Whether cron runs then (crontab(5)): either field of days counts, unless one of them is for all."""
    fields = schedule.split(" ")
    values = (moment.minute, moment.hour, moment.day, moment.month, moment.isoweekday() % 7)
    bounds = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
    fits = [_fits(field, value, *bound) for field, value, bound in zip(fields, values, bounds, strict=True)]
    fits[4] = fits[4] or (values[4] == 0 and _fits(fields[4], 7, 0, 7))
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    days = fits[2] or fits[4] if either else fits[2] and fits[4]
    return all(fits[:2]) and fits[3] and days


def _fits(field: str, value: int, low: int, high: int) -> bool:
    for item in field.split(","):
        span, _, step = item.partition("/")
        first, _, last = span.partition("-")
        begin, end = (low, high) if span == "*" else (int(first), int(last or first))
        if value in range(begin, end + 1, int(step or 1)):
            return True
    return False


def _next_runs(events: tuple[str, ...], count: int) -> list[datetime]:
    found: set[datetime] = set()
    for event in events:
        command = ["systemd-analyze", "calendar", f"--base-time={BEGIN:%Y-%m-%d %H:%M:%S} UTC"]
        command += [f"--iterations={count}", event]
        environment = {"TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin"}
        told = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        for text in re.findall(r": \w{3} (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", told):
            found.add(datetime.fromisoformat(f"{text}+00:00"))
    return sorted(found)[:count]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_same_minutes(schedule: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze(1) is not there")
    found = _next_runs(calendar_events(schedule, "UTC"), 3)
    minutes = (BEGIN + timedelta(minutes=number) for number in range(1, 60 * 24 * 500))
    assert len(found) == 3 or schedule == "0 12 29 2 *"
    if schedule == "0 12 29 2 *":
        assert [moment.year for moment in found] == [2028, 2032, 2036]
        return
    assert found == [
        moment for moment, _ in zip(filter(lambda m: _runs(schedule, m), minutes), range(3), strict=False)
    ]


def test_a_zone_is_named() -> None:
    assert calendar_events("0 3 * * 0", "Europe/Paris") == ("Sun *-*-* 03:00:00 Europe/Paris",)
