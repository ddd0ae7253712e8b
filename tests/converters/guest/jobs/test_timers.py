"""systemd's timers, and what of systemd.time(7) cron's five fields can say."""

from __future__ import annotations

import pytest

from converters.guest.accounts import Accounts
from converters.guest.facts import Job, Role
from converters.guest.jobs.schedule import calendar_schedule, repeating_schedule, span_seconds
from converters.guest.jobs.timers import timer_jobs
from converters.guest.services.systemd import systemd_boot
from tests.converters.guest.conftest import Plant

LIB, ETC = "/usr/lib/systemd/system", "/etc/systemd/system"
BASE = {
    f"{LIB}/default.target": "[Unit]\nWants=timers.target\n",
    f"{LIB}/timers.target": "[Unit]\nDescription=Timers\n",
}


def _jobs(plant: Plant, timer: str, files: dict[str, str] | None = None) -> list[Job]:
    service = (
        "[Service]\nType=oneshot\nUser=app\nEnvironment=A=1\nExecStart=/opt/one $A\nExecStart=/opt/two\n"
    )
    guest = plant(
        {
            **BASE,
            f"{LIB}/nightly.timer": f"[Timer]\n{timer}\n",
            f"{LIB}/nightly.service": service,
            f"{ETC}/timers.target.wants/nightly.timer": f"-> {LIB}/nightly.timer",
            "/etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
            **(files or {}),
        }
    )
    boot = systemd_boot(guest, Accounts(guest), "web", {})
    return list(timer_jobs(boot.units, boot.tree, boot.executions))


def test_a_timer_is_a_job_of_its_service(plant: Plant) -> None:
    (job,) = _jobs(plant, "OnCalendar=*-*-* 03:30:00\nPersistent=true\nRandomizedDelaySec=1h")
    assert (job.name, job.source, job.role) == ("nightly", f"{LIB}/nightly.timer", Role.APPLICATION)
    assert job.commands == (("/opt/one", "1"), ("/opt/two",))
    assert (job.schedule, job.user, dict(job.environment)["A"]) == ("30 3 * * *", "app", "1")
    assert [note.partition(":")[0] for note in job.notes] == ["Persistent=", "RandomizedDelaySec=1h"]


def test_several_moments_are_several_jobs(plant: Plant) -> None:
    jobs = _jobs(plant, "OnCalendar=daily\nOnCalendar=Mon 12:00")
    assert [(job.name, job.schedule) for job in jobs] == [
        ("nightly", "0 0 * * *"),
        ("nightly-2", "0 12 * * 1"),
    ]


def test_each_time_has_its_own_zone(plant: Plant) -> None:
    jobs = _jobs(plant, "OnCalendar=*-*-* 03:00 Europe/Paris\nOnCalendar=Mon 12:00\nOnCalendar=04:00 UTC")
    assert [(job.schedule, job.timezone) for job in jobs] == [
        ("0 3 * * *", "Europe/Paris"),
        ("0 12 * * 1", ""),
        ("0 4 * * *", "UTC"),
    ]


def test_what_cron_cannot_say_is_told(plant: Plant) -> None:
    (job,) = _jobs(plant, "OnCalendar=*-*~01 00:00")
    assert job.schedule == ""
    assert job.notes == ("cron's fields cannot say OnCalendar=*-*~01 00:00: choose a schedule for it.",)


@pytest.mark.parametrize(
    ("timer", "schedule", "at_boot"),
    [("OnBootSec=15min\nOnUnitActiveSec=1d", "0 0 * * *", False), ("OnBootSec=15min", "", True)],
)
def test_timers_since_the_start(plant: Plant, timer: str, schedule: str, at_boot: bool) -> None:
    (job,) = _jobs(plant, timer)
    assert (job.schedule, job.at_boot) == (schedule, at_boot)


def test_timers_of_the_machine_and_those_that_lead_nowhere(plant: Plant) -> None:
    lost = {
        f"{LIB}/fstrim.timer": "[Timer]\nOnCalendar=weekly\nUnit=absent.service\n",
        f"{ETC}/timers.target.wants/fstrim.timer": f"-> {LIB}/fstrim.timer",
    }
    jobs = {job.name: job for job in _jobs(plant, "OnCalendar=daily", lost)}
    assert jobs["fstrim"].role is Role.PLATFORM
    assert jobs["fstrim"].commands == ()
    assert "absent.service, which is no service that is there" in jobs["fstrim"].notes[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("minutely", ("* * * * *", "")),
        ("weekly", ("0 0 * * 1", "")),
        ("quarterly", ("0 0 1 1,4,7,10 *", "")),
        ("daily UTC", ("0 0 * * *", "UTC")),
        ("*-*-* 6,18:00", ("0 6,18 * * *", "")),
        ("*-*-* 00/6:30:00", ("30 0-23/6 * * *", "")),
        ("*:0/15", ("0-59/15 * * * *", "")),
        ("Mon..Fri 08:05", ("5 8 * * 1-5", "")),
        ("Sat,Sun *-*-* 10:00:00 Europe/Paris", ("0 10 * * 6,0", "Europe/Paris")),
        ("*-*-01 04:00:00", ("0 4 1 * *", "")),
        ("*-02-28..29 04:00", ("0 4 28-29 2 *", "")),
        ("2026-*-* 00:00", None),
        ("*-*-* 00:00:30", None),
        ("Mon *-*-01 00:00", None),
        ("*-*~03", None),
        ("Fri..Mon 00:00", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_calendar_events(text: str, expected: tuple[str, str] | None) -> None:
    assert calendar_schedule(text) == expected


@pytest.mark.parametrize(
    ("text", "seconds", "schedule"),
    [
        ("5min", 300, "*/5 * * * *"),
        ("1h", 3600, "0 * * * *"),
        ("1h 30min", 5400, None),
        ("6 hours", 21600, "0 */6 * * *"),
        ("1d", 86400, "0 0 * * *"),
        ("1w", 604800, "0 0 * * 1"),
        ("90", 90, None),
        ("1min", 60, "* * * * *"),
    ],
)
def test_time_spans(text: str, seconds: float, schedule: str | None) -> None:
    assert span_seconds(text) == seconds
    assert repeating_schedule(seconds) == schedule


def test_a_text_that_is_no_span() -> None:
    assert span_seconds("soon") is None
    assert span_seconds("1 fortnight") is None
