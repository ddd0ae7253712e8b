"""crontab(5) in all its places, run-parts(8) directories taken apart, and anacrontab(5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from converters.guest.facts import Job, Role
from converters.guest.files import GuestFiles, printable
from converters.guest.jobs.schedule import AT_BOOT, NICKNAMES, cron_schedule
from converters.guest.services.roles import platform_reason

_USER_TABLES = (
    "/var/spool/cron/crontabs",
    "/var/spool/cron/tabs",
    "/var/spool/cron",
    "/etc/crontabs",
)
"""Debian's, SUSE's, Red Hat's and Alpine's."""
_ANACRON = ("/usr/sbin/anacron", "/sbin/anacron")
_DAEMONS = ("/usr/sbin/cron", "/usr/sbin/crond", "/usr/sbin/fcron", "/usr/bin/crond")
_BUSYBOX = "/etc/crontabs"

_SETTING = re.compile(r"""\s*(?:"([^"]+)"|'([^']+)'|([A-Za-z_]\w*))\s*=\s*(.*?)\s*""")
_ENTRY = re.compile(r"\s*(@\w+|\S+\s+\S+\s+\S+\s+\S+\s+\S+)\s+(.*)")
_ANACRON_ENTRY = re.compile(r"\s*(@\w+|\d+)\s+(\d+)\s+(\S+)\s+(.+)")
_RUN_PARTS = re.compile(r"\brun-parts\b(?:\s+-\S+)*\s+(/[^\s;)&|]+)")
_UNLESS_ANACRON = re.compile(r"(?:test -x|\[ -x)\s+(?:/usr)?/sbin/anacron\s*\]?\s*\|\|")
_UNLESS_SYSTEMD = re.compile(
    r"(?:!|\|\|)[^;&]*-[de]\s+/run/systemd/system|-[de]\s+/run/systemd/system\s*\]?\s*\|\|"
)
_DEBIAN_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PASSED_OVER = re.compile(r"\.|#|.*(?:~|\.rpmsave|\.rpmorig|\.rpmnew|\.cfsaved|,v)")
"""File names in cron.d that cronie leaves alone."""
_LONGEST_LINE = 8192
"""Characters; cron itself takes a thousand."""
_PERIODS = {1: "0 0 * * *", 7: "0 0 * * 0", 30: "0 0 1 * *", 31: "0 0 1 * *"}


@dataclass(frozen=True, slots=True)
class _Line:
    """One entry of a table."""

    schedule: str
    at_boot: bool
    user: str
    command: str
    input: str
    environment: tuple[tuple[str, str], ...]


def cron_jobs(files: GuestFiles, init: str) -> tuple[Job, ...]:
    """Every job of the guest's crontabs, the scripts of a run-parts directory one by one.

    Without a cron daemon nobody runs them, and they are none.
    """
    tables = list(_tables(files))
    if tables and not any(files.entry(daemon) for daemon in (*_DAEMONS, *_busybox(files))):
        files.note("There are crontabs, but no cron daemon that runs their jobs.")
        return ()
    jobs = [job for path, user in tables for job in _of_table(files, path, user, init)]
    return (*jobs, *_anacron_jobs(files))


def _busybox(files: GuestFiles) -> tuple[str, ...]:
    return ("/bin/busybox",) if files.is_directory(_BUSYBOX) else ()


def _tables(files: GuestFiles) -> Iterator[tuple[str, str]]:
    """Tables with the user whose jobs they hold; empty for those that name one in each line."""
    if files.is_file("/etc/crontab"):
        yield "/etc/crontab", ""
    debian = files.is_file("/etc/debian_version")
    for name in files.names("/etc/cron.d"):
        if _DEBIAN_NAME.fullmatch(name) or (not debian and not _PASSED_OVER.match(name)):
            yield f"/etc/cron.d/{name}", ""
        elif not name.startswith("."):
            files.note(f"cron passes /etc/cron.d/{name} over, by its name.")
    for folder in _USER_TABLES:
        for name in files.names(folder):
            if files.is_file(f"{folder}/{name}") and not name.startswith("."):
                yield f"{folder}/{name}", name


def parse_table(text: str, user: str) -> Iterator[_Line | str]:
    """The entries of a table, and lines that are none as they are.

    An unescaped percent sign ends the command; what follows it is standard input, further ones being line
    ends, and quotes protect none (crontab(5)).
    """
    environment: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if len(line) > _LONGEST_LINE:
            yield line[:_LONGEST_LINE]
            continue
        if setting := _SETTING.fullmatch(line):
            value = setting[4]
            if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            environment[setting[1] or setting[2] or setting[3]] = value
            continue
        entry = _entry(line, user, environment)
        yield entry if entry is not None else line


def _entry(line: str, user: str, environment: dict[str, str]) -> _Line | None:
    found = _ENTRY.fullmatch(line)
    if found is None:
        return None
    at_boot = found[1] == AT_BOOT
    schedule = "" if at_boot else NICKNAMES.get(found[1]) or cron_schedule(found[1].split())
    rest = found[2]
    if not user:
        user, _, rest = rest.partition(" ") if "\t" not in rest.split(" ")[0] else rest.partition("\t")
    command, *following = re.split(r"(?<!\\)%", rest.strip())
    if schedule is None or not command.strip() or not user:
        return None
    return _Line(
        schedule,
        at_boot,
        user.lstrip("-"),
        command.replace("\\%", "%").strip(),
        "\n".join(piece.replace("\\%", "%") for piece in following) + ("\n" if following else ""),
        tuple(environment.items()),
    )


def _of_table(files: GuestFiles, path: str, user: str, init: str) -> Iterator[Job]:
    for number, line in enumerate(parse_table(files.text(path) or "", user), start=1):
        if isinstance(line, str):
            files.note(
                f"{path} has a line that is no crontab entry, and cron passes it over: {line.strip()[:200]}"
            )
            continue
        if _UNLESS_ANACRON.search(line.command) and any(files.entry(program) for program in _ANACRON):
            continue  # anacron's own table has the same directories
        if init == "systemd" and _UNLESS_SYSTEMD.search(line.command):
            continue  # a timer of the same package does it there
        name = f"{path.rpartition('/')[2]}-{number}"
        if parts := _RUN_PARTS.search(line.command):
            yield from _scripts(files, path, parts[1], line)
        else:
            yield _job(name, path, line, platform_reason(path.rpartition("/")[2]) if not user else "")


def _scripts(files: GuestFiles, path: str, folder: str, line: _Line) -> Iterator[Job]:
    """What run-parts(8) runs in a directory: executable files whose names it takes."""
    for name in files.names(folder):
        script = f"{folder}/{name}"
        entry = files.entry(script)
        if entry is None or not entry.mode & 0o111 or not files.is_file(script):
            continue
        if not _DEBIAN_NAME.fullmatch(name.removesuffix(".cron").removesuffix(".sh")):
            files.note(f"run-parts passes {script} over, by its name.")
            continue
        command = _Line(line.schedule, line.at_boot, line.user, script, "", line.environment)
        reason = platform_reason(name)
        if name.removesuffix(".cron") in _HOUSEKEEPING:
            reason = "housekeeping of the machine"
        yield _job(f"{folder.rpartition('/')[2]}-{name}", path, command, reason)


_HOUSEKEEPING = frozenset(
    (
        "0anacron",
        "0yum-daily",
        "0hourly",
        "apt-compat",
        "aptitude",
        "apt-show-versions",
        "bsdmainutils",
        "dpkg",
        "google-chrome",
        "locate",
        "man-db",
        "mlocate",
        "passwd",
        "plocate",
        "popularity-contest",
        "prelink",
        "readahead",
        "rhsmd",
        "standard",
        "tmpwatch",
        "update-notifier-common",
    )
)
"""Scripts of distributions in /etc/cron.daily and its like: packages, manual pages, logs."""


def _job(name: str, path: str, line: _Line, reason: str) -> Job:
    settings = dict(line.environment)
    shell = settings.pop("SHELL", "/bin/sh")
    zone = settings.pop("CRON_TZ", "")
    settings.pop("MAILTO", None)
    return Job(
        name=printable(name),
        source=printable(path),
        role=Role.PLATFORM if reason else Role.APPLICATION,
        reason=reason or "somebody's own job",
        commands=((printable(shell), "-c", printable(line.command)),),
        schedule=line.schedule,
        at_boot=line.at_boot,
        user=printable(line.user),
        input=printable(line.input),
        environment=tuple((printable(key), printable(value)) for key, value in settings.items()),
        timezone=printable(zone),
    )


def _anacron_jobs(files: GuestFiles) -> Iterator[Job]:
    """anacrontab(5): a period in days in place of a schedule; what matters here is that it comes again."""
    if not any(files.entry(program) for program in _ANACRON):
        return
    path = "/etc/anacrontab"
    environment: dict[str, str] = {}
    for written in (files.text(path) or "").splitlines():
        if written.lstrip().startswith("#") or len(written) > _LONGEST_LINE:
            continue
        if setting := _SETTING.fullmatch(written):
            environment[setting[1] or setting[2] or setting[3]] = setting[4]
        elif found := _ANACRON_ENTRY.fullmatch(written):
            period = found[1]
            schedule = NICKNAMES.get(period) or _PERIODS.get(int(period) if period.isdecimal() else 0, "")
            line = _Line(schedule, False, "root", found[4].strip(), "", tuple(environment.items()))
            if parts := _RUN_PARTS.search(line.command):
                yield from _scripts(files, path, parts[1], line)
            else:
                yield _job(f"anacron-{found[3]}", path, line, "")
