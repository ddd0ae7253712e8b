"""systemd's timers (systemd.timer(5)): the jobs behind them, by cron's fields where those can say it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from converters.guest.facts import Job, Role
from converters.guest.files import printable
from converters.guest.jobs.schedule import calendar_schedule, repeating_schedule, span_seconds
from converters.guest.services.execution import Executions
from converters.guest.services.roles import platform_reason
from converters.guest.services.sockets import NO
from converters.guest.services.unit_tree import Unit, UnitTree

_SINCE_START = ("OnBootSec", "OnStartupSec", "OnActiveSec")
_AGAIN = ("OnUnitActiveSec", "OnUnitInactiveSec")
_SPREAD = ("RandomizedDelaySec", "RandomizedOffsetSec")


def timer_jobs(units: Mapping[str, Unit], tree: UnitTree, executions: Executions) -> tuple[Job, ...]:
    """The jobs of the timers among the started units, by name."""
    timers = [unit for unit in units.values() if unit.name.type == "timer"]
    return tuple(job for timer in timers for job in _jobs(timer, tree, executions))


def activated_by_timer(timer: Unit) -> str:
    """The unit that a timer starts."""
    return timer.settings.last("Timer", "Unit", f"{timer.name.stem}.service")


def _jobs(timer: Unit, tree: UnitTree, executions: Executions) -> Iterable[Job]:
    service = tree.load(activated_by_timer(timer))
    reason = platform_reason(timer.name.stem)
    notes: list[str] = []
    commands: tuple[tuple[str, ...], ...] = ()
    user = ""
    environment: tuple[tuple[str, str], ...] = ()
    if service is None or service.name.type != "service":
        notes.append(f"It starts {activated_by_timer(timer)}, which is no service that is there.")
    else:
        execution = executions.read(service)
        commands = tuple(command.words for command in execution.commands)
        user, environment = execution.user, execution.environment
        notes += execution.notes
        reason = reason or platform_reason(service.name.stem)
    schedules, more = _schedules(timer)
    for number, (schedule, zone) in enumerate(schedules or [("", "")]):
        yield Job(
            name=printable(timer.name.stem if not number else f"{timer.name.stem}-{number + 1}"),
            source=printable(timer.path),
            role=Role.PLATFORM if reason else Role.APPLICATION,
            reason=reason or "a timer that is not one of the machine's own",
            commands=commands,
            schedule=schedule,
            at_boot=not schedules and any(timer.settings.all("Timer", key) for key in _SINCE_START),
            user=user,
            environment=environment,
            timezone=zone,
            notes=(*notes, *more),
        )


def _schedules(timer: Unit) -> tuple[list[tuple[str, str]], list[str]]:
    """Schedules, each with its time zone, and what cron's fields leave unsaid."""
    schedules: list[tuple[str, str]] = []
    notes: list[str] = []
    for text in timer.settings.all("Timer", "OnCalendar"):
        found = calendar_schedule(text)
        if found is None:
            notes.append(f"cron's fields cannot say OnCalendar={text}: choose a schedule for it.")
        else:
            schedules.append(found)
    for key in _AGAIN:
        for text in timer.settings.all("Timer", key):
            seconds = span_seconds(text)
            schedule = repeating_schedule(seconds) if seconds is not None else None
            if schedule is None:
                notes.append(f"cron's fields cannot say {key}={text}: choose a schedule for it.")
            elif (schedule, "") not in schedules:
                schedules.append((schedule, ""))
                notes.append(
                    f"{key}={text} counts from its last run; here it counts from the full hour or day."
                )
    if timer.settings.last("Timer", "Persistent", "no") not in NO:
        notes.append("Persistent=: what was missed while the machine was off was caught up with.")
    for key in _SPREAD:
        if delay := timer.settings.last("Timer", key):
            notes.append(f"{key}={delay}: it was spread over that time.")
    return schedules, notes
