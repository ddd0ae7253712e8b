"""When jobs run: the five fields of crontab(5), and what systemd.time(7) can say of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

NICKNAMES: Mapping[str, str] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
AT_BOOT = "@reboot"

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_ITEM = re.compile(r"(?:\*|(?P<first>\d+)(?:-(?P<last>\d+))?)(?:/(?P<step>\d+))?")

_SHORTHANDS: Mapping[str, str] = {
    "minutely": "* * * * *",
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 1",
    "monthly": "0 0 1 * *",
    "quarterly": "0 0 1 1,4,7,10 *",
    "semiannually": "0 0 1 1,7 *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
}
_EVENT = re.compile(
    r"(?:(?P<days>[A-Za-z]{3,9}(?:(?:,|\.\.|-)[A-Za-z]{3,9})*)\s*)?"
    r"(?:(?P<year>[\d*,./]+)-)?(?:(?P<month>[\d*,./]+)-(?P<day>[\d*,./~]+))?\s*"
    r"(?:(?P<hour>[\d*,./]+):(?P<minute>[\d*,./]+)(?::(?P<second>[\d*,./]+))?)?"
    r"(?:\s+(?P<zone>UTC|[A-Z][A-Za-z_]+(?:/[A-Za-z_+-]+)+))?"
)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")
_UNITS: Mapping[str, float] = {
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec"), 0.001),
    **dict.fromkeys(("us", "usec"), 0.000001),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
    **dict.fromkeys(("M", "month", "months"), 2629800.0),
    **dict.fromkeys(("y", "year", "years"), 31557600.0),
}
"""Seconds of systemd's time units (systemd.time(7), "Parsing time spans")."""


def cron_schedule(fields: Sequence[str]) -> str | None:
    """Five fields with numbers for names; None when one of them is no valid field (crontab(5))."""
    read = [_field(text.lower(), position) for position, text in enumerate(fields)]
    valid = [field for field in read if field is not None]
    return " ".join(valid) if len(valid) == 5 == len(fields) else None


def _field(text: str, position: int) -> str | None:
    low, high = _RANGES[position]
    items: list[str] = []
    for item in text.split(","):
        for number, name in enumerate(_DAYS if position == 4 else _MONTHS if position == 3 else (), low):
            item = re.sub(rf"\b{name}[a-z]*", str(number), item)
        found = _ITEM.fullmatch(item)
        if found is None:
            return None
        first = int(found["first"] or low)
        last = int(found["last"] or found["first"] or high)
        if not low <= first <= last <= high or found["step"] == "0":
            return None
        # A number with a step but no range is a step from there on for cronie, and an error for others.
        if found["step"] and found["first"] and not found["last"]:
            item = f"{first}-{high}/{found['step']}"
        items.append(item)
    return ",".join(items)


def calendar_schedule(text: str) -> tuple[str, str] | None:
    """An ``OnCalendar=`` as cron's five fields and a time zone (empty: the guest's), or None.

    What cron cannot: a year, the last days of a month, a second other than 0, or both a day of the month and
    of the week, which cron takes as either.
    """
    name, _, zone = text.strip().partition(" ")
    if short := _SHORTHANDS.get(name.lower()):
        return short, zone.strip()
    found = _EVENT.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        return None
    if (found["year"] or "*") not in ("*", "*-*") or (found["second"] or "0").strip("0"):
        return None
    parts = (found["minute"] or "0", found["hour"] or "0", found["day"] or "*", found["month"] or "*")
    fields = [_calendar_field(part, position) for position, part in enumerate(parts)]
    days = re.sub(r"\.\.", "-", found["days"] or "*")
    if days != "*" and fields[2] != "*":
        return None
    schedule = cron_schedule([field or "" for field in [*fields, days]])
    return None if schedule is None else (schedule, found["zone"] or "")


def _calendar_field(text: str, position: int) -> str:
    """systemd's ``1..5``, ``0/15`` and ``00`` as cron's ``1-5``, ``0-59/15`` and ``0``."""
    text = re.sub(r"\b0+(?=\d)", "", text.replace("..", "-"))
    high = _RANGES[position][1]
    return re.sub(r"(?<![-\d])(\d+)/(\d+)", lambda found: f"{found[1]}-{high}/{found[2]}", text)


def span_seconds(text: str) -> float | None:
    """Seconds of a time span as ``1h 30min``; None when it is none."""
    pieces = _SPAN.findall(text)
    if not pieces or _SPAN.sub("", text).strip() or any(unit not in _UNITS for _, unit in pieces):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in pieces)


def repeating_schedule(seconds: float) -> str | None:
    """A schedule that comes again every so many seconds, counted from the full hour or from midnight.

    None where that does not divide an hour or a day.
    """
    minutes = seconds / 60
    if minutes != int(minutes) or minutes < 1:
        return None
    if minutes < 60 and 60 % minutes == 0:
        return f"*/{int(minutes)} * * * *" if minutes > 1 else "* * * * *"
    hours = minutes / 60
    if hours == int(hours) and 24 % hours == 0:
        return {1: "0 * * * *", 24: "0 0 * * *"}.get(int(hours), f"0 */{int(hours)} * * *")
    return "0 0 * * 1" if hours == 168 else None
