"""cron's five fields as systemd's calendar events (systemd.time(7))."""

from __future__ import annotations

import re

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_ITEM = re.compile(r"(?:(\*)|(\d+)(?:-(\d+))?)(?:/(\d+))?")


def calendar_events(schedule: str, timezone: str = "") -> tuple[str, ...]:
    """Events that together are the schedule.

    Two, where cron runs on days of the month *or* of the week, as with both given (crontab(5)).

    Args:
        schedule: five fields of numbers.
        timezone: by name; empty: the local one of the host.
    """
    minute, hour, day, month, weekday = schedule.split(" ")
    time = f"{_numbers(hour, 0, 23)}:{_numbers(minute, 0, 59)}:00" + (f" {timezone}" if timezone else "")
    months = _numbers(month, 1, 12)
    by_day = f"*-{months}-{_numbers(day, 1, 31)} {time}"
    by_weekday = f"{_weekdays(weekday)} *-{months}-* {time}"
    if weekday.startswith("*"):
        return (by_day,) if weekday == "*" else (f"{_weekdays(weekday)} {by_day}",)
    if day.startswith("*"):
        return (by_weekday,) if day == "*" else (f"{_weekdays(weekday)} {by_day}",)
    return by_day, by_weekday


def _numbers(field: str, low: int, high: int) -> str:
    return ",".join(_item(item, low, high) for item in field.split(","))


def _item(item: str, low: int, high: int) -> str:
    first, last, step = _range(item, low, high)
    if item == "*":
        return "*"
    if first + step > last:
        return f"{first:02d}"
    return f"{first:02d}..{last:02d}" + (f"/{step}" if step > 1 else "")


def _weekdays(field: str) -> str:
    days: set[int] = set()
    for item in field.split(","):
        first, last, step = _range(item, 0, 6)
        days.update(day % 7 for day in range(first, last + 1, step))
    return ",".join(_DAYS[day] for day in sorted(days))


def _range(item: str, low: int, high: int) -> tuple[int, int, int]:
    found = _ITEM.fullmatch(item)
    if found is None:
        raise ValueError(f"{item!r} is no item of a field of crontab(5)")
    if found[1]:
        return low, high, int(found[4] or 1)
    first = int(found[2])
    return first, int(found[3] or first), int(found[4] or 1)
