"""crontabs in all their places, and the scripts that run-parts and anacron run."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.guest.facts import Job, Role
from converters.guest.files import GuestFiles
from converters.guest.jobs import scheduled_jobs
from converters.guest.jobs.schedule import cron_schedule
from tests.converters.guest.conftest import Plant

CRON = {"/usr/sbin/cron": "", "/etc/debian_version": "12\n"}


def _jobs(plant: Plant, files: dict[str, str], init: str = "systemd") -> tuple[dict[str, Job], GuestFiles]:
    guest = plant({**CRON, **files})
    return {job.name: job for job in scheduled_jobs(guest, init)}, guest


@pytest.mark.parametrize(
    ("line", "command", "given"),
    [
        ("* * * * * date +\\%F%line1%line2", "date +%F", "line1\nline2\n"),
        ("* * * * * mail -s 'a%b' root%body", "mail -s 'a", "b' root\nbody\n"),
        ("* * * * * echo 100\\%", "echo 100%", ""),
        ("*\t*  * * *   true  ", "true", ""),
        ("@hourly true # no comment here", "true # no comment here", ""),
    ],
)
def test_the_percent_sign(plant: Plant, line: str, command: str, given: str) -> None:
    jobs, _ = _jobs(plant, {"/var/spool/cron/crontabs/app": line + "\n"})
    job = jobs["app-1"]
    assert (job.commands, job.input, job.user) == ((("/bin/sh", "-c", command),), given, "app")


@pytest.mark.parametrize(
    ("written", "schedule"),
    [
        ("*/5 * * * *", "*/5 * * * *"),
        ("0 4 1,15 jan-MAR,dec mon-Fri", "0 4 1,15 1-3,12 1-5"),
        ("1-59/2 0 * * sun", "1-59/2 0 * * 0"),
        ("7/10 * * * *", "7-59/10 * * * *"),
        ("0 0 * * 7", "0 0 * * 7"),
        ("60 * * * *", None),
        ("* 24 * * *", None),
        ("* * 0 * *", None),
        ("5-1 * * * *", None),
        ("*/0 * * * *", None),
        ("x * * * *", None),
    ],
)
def test_fields(written: str, schedule: str | None) -> None:
    assert cron_schedule(written.split()) == schedule


TABLE = """# m h dom mon dow user command
SHELL=/bin/bash
MAILTO = root
"GREETING" = "hello you"
17 * * * * root cd / && run-parts --report /etc/cron.hourly
@reboot app /opt/app/warm-up
0 3 * * *\tapp\t/opt/app/nightly
61 * * * * app /opt/app/never
"""


def test_the_systems_own_table(plant: Plant) -> None:
    jobs, guest = _jobs(plant, {"/etc/crontab": TABLE})
    assert set(jobs) == {"crontab-2", "crontab-3"}
    boot, nightly = jobs["crontab-2"], jobs["crontab-3"]
    assert (boot.at_boot, boot.schedule, boot.user) == (True, "", "app")
    assert (nightly.at_boot, nightly.schedule) == (False, "0 3 * * *")
    assert nightly.commands == (("/bin/bash", "-c", "/opt/app/nightly"),)
    assert nightly.environment == (("GREETING", "hello you"),)
    assert nightly.role is Role.APPLICATION
    assert any("61 * * * * app /opt/app/never" in note for note in guest.notes)


@pytest.mark.parametrize(("anacron", "source"), [(False, "/etc/crontab"), (True, "/etc/anacrontab")])
def test_scripts_of_a_directory_one_by_one(plant: Plant, tmp_path: Path, anacron: bool, source: str) -> None:
    guest = {
        "/etc/crontab": "25 6 * * * root test -x /usr/sbin/anacron || run-parts --report /etc/cron.daily\n",
        "/etc/cron.daily/report": "#!/bin/sh\n",
        "/etc/cron.daily/logrotate": "#!/bin/sh\n",
        "/etc/cron.daily/man-db": "#!/bin/sh\n",
        "/etc/cron.daily/old.dpkg-dist": "#!/bin/sh\n",
        "/etc/cron.daily/README": "not executable",
    }
    if anacron:
        guest["/usr/sbin/anacron"] = ""
        guest["/etc/anacrontab"] = (
            "START_HOURS_RANGE=3-22\n1 5 cron.daily run-parts /etc/cron.daily\n@monthly 9 own /opt/x\n"
        )
    files = plant({**CRON, **guest})
    for name in ("report", "logrotate", "man-db", "old.dpkg-dist"):
        (tmp_path / "etc/cron.daily" / name).chmod(0o755)
    jobs = {job.name: job for job in scheduled_jobs(files, "systemd")}
    assert {name: job.role for name, job in jobs.items() if name.startswith("cron.daily")} == {
        "cron.daily-report": Role.APPLICATION,
        "cron.daily-logrotate": Role.PLATFORM,
        "cron.daily-man-db": Role.PLATFORM,
    }
    assert {job.source for name, job in jobs.items() if name.startswith("cron.daily")} == {source}
    assert ("anacron-own" in jobs) == anacron
    assert "run-parts passes /etc/cron.daily/old.dpkg-dist over, by its name." in files.notes


def test_entries_that_a_timer_replaces_under_systemd(plant: Plant) -> None:
    guard = "[ -x /usr/lib/php/sessionclean ] && if [ ! -d /run/systemd/system ]; then"
    entry = f"09,39 * * * * root {guard} /usr/lib/php/sessionclean; fi\n"
    assert not _jobs(plant, {"/etc/cron.d/php": entry})[0]
    assert set(_jobs(plant, {"/etc/cron.d/php": entry}, init="sysv")[0]) == {"php-1"}


def test_names_that_cron_passes_over(plant: Plant) -> None:
    files = {
        f"/etc/cron.d/{name}": "0 0 * * * root true\n" for name in ("good", "backup.sh", ".hidden", "x~")
    }
    jobs, guest = _jobs(plant, files)
    assert set(jobs) == {"good-1"}
    assert "cron passes /etc/cron.d/backup.sh over, by its name." in guest.notes


@pytest.mark.parametrize("folder", ["crontabs", "tabs", "."])
def test_tables_of_users(plant: Plant, folder: str) -> None:
    jobs, _ = _jobs(plant, {f"/var/spool/cron/{folder}/app": "0 1 * * * echo hi\n"})
    assert jobs["app-1"].commands == (("/bin/sh", "-c", "echo hi"),)
    assert jobs["app-1"].user == "app"


def test_without_a_daemon_nothing_runs(plant: Plant) -> None:
    guest = plant({"/etc/crontab": "0 0 * * * root true\n"})
    assert scheduled_jobs(guest, "sysv") == ()
    assert guest.notes == ("There are crontabs, but no cron daemon that runs their jobs.",)


def test_the_queue_of_at(plant: Plant) -> None:
    jobs, _ = _jobs(
        plant, {"/var/spool/cron/atjobs/a0000c01a2b3c4": "#!/bin/sh\n", "/var/spool/at/.SEQ": "1"}
    )
    job = jobs["at-12"]
    assert job.commands == (("/bin/sh", "/var/spool/cron/atjobs/a0000c01a2b3c4"),)
    assert job.notes == ("It is due once, at 2022-03-04 14:28 UTC.",)
