"""From a unit to what the static init is told: everything around the command that OCI has no word for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from converters.guest.accounts import Accounts
from converters.guest.files import printable
from converters.guest.jobs.schedule import span_seconds
from converters.guest.plain_paths import plain_path
from converters.guest.services.execution import Command as UnitCommand
from converters.guest.services.execution import Execution as UnitExecution
from converters.guest.services.execution import Executions
from converters.guest.services.foreground import Foreground
from converters.guest.services.roles import platform_reason
from converters.guest.services.sockets import NO
from converters.guest.services.unit_file import Settings
from converters.guest.services.unit_tree import Unit
from converters.guest.services.words import expand_specifiers, split_words
from converters.init.specification import (
    CAPABILITIES,
    INFINITY,
    KILL_MODES,
    LARGEST,
    SIGNALS,
    Command,
    Execution,
    Limit,
    Path,
    Socket,
    Specification,
)

_CHECK = re.compile(r"(?:^|\s)-t[q]?(?:\s|$)|configtest|--test|-c -q|--check")
_MANAGER = re.compile(r"(?:^|[\s/;&|(])systemctl(?:\s|$)")
_MAIN = "MAINPID"
_PID_FILE = re.compile(r"^/(?:var/)?run/|pid$")
"""What is removed before a start as left by an earlier one, and not another file that a unit names."""
_MARK = "\x01"
"""Stands for a variable that only a running service has, while the others are replaced."""
_TYPES = ("simple", "exec", "notify", "dbus", "idle", "forking", "oneshot")
_LIMITS = (
    *("CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS"),
    *("SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME"),
)
_SIZE = re.compile(r"(\d+)([KMGTPE]?)")
_DIRECTORIES = (
    ("RuntimeDirectory", "/run"),
    ("StateDirectory", "/var/lib"),
    ("CacheDirectory", "/var/cache"),
    ("LogsDirectory", "/var/log"),
    ("ConfigurationDirectory", "/etc"),
)
_LISTEN = (
    ("ListenStream", "stream"),
    ("ListenDatagram", "datagram"),
    ("ListenSequentialPacket", "sequential"),
    ("ListenFIFO", "fifo"),
)
_REQUIRED = ("Requires", "BindsTo", "Wants")
_LONGEST = 1e9
"""Seconds of a time-out that is one."""
_NOTHING = ("/bin/true", "/usr/bin/true", "true")


class Specifications:
    """Works specifications out for the services of one guest."""

    def __init__(self, executions: Executions, accounts: Accounts, units: Mapping[str, Unit]) -> None:
        """``units`` are the started ones, by name."""
        self._executions = executions
        self._accounts = accounts
        self._units = units

    def of(self, unit: Unit, execution: UnitExecution, sockets: Sequence[Unit]) -> Specification:
        """What the init does for ``unit``, whose command is still the unit's own."""
        settings = unit.settings
        environment = {**dict(execution.environment), _MAIN: f"{_MARK}{_MAIN}{_MARK}"}

        def commands(key: str) -> tuple[Command, ...]:
            found = map(_command, self._executions.commands(unit, key, environment))
            return tuple(found if key == "ExecStart" else map(_without_manager, found))

        specifiers = self._executions.specifiers(unit)
        pid_file = expand_specifiers(settings.last("Service", "PIDFile"), specifiers)
        if pid_file and not pid_file.startswith("/"):
            pid_file = f"/run/{pid_file}"
        pid_file = plain_path(pid_file)
        kind = execution.type.removesuffix("-reload")
        return Specification(
            service=printable(unit.name.stem),
            type=kind if kind in _TYPES else "simple",
            start=commands("ExecStart"),
            before=tuple(self._required_first(unit)),
            start_pre=commands("ExecStartPre"),
            start_post=commands("ExecStartPost"),
            reload=commands("ExecReload"),
            stop=commands("ExecStop"),
            stop_post=commands("ExecStopPost"),
            pid_file=printable(pid_file),
            paths=tuple(self._directories(unit, execution, specifiers)),
            remove=(printable(pid_file),) if _PID_FILE.search(pid_file) else (),
            sockets=tuple(_addresses(sockets, self._executions)),
            execution=_execution(settings, execution),
            start_seconds=_seconds(settings, "TimeoutStartSec", 90),
            stop_seconds=_seconds(settings, "TimeoutStopSec", 90),
            kill_signal=_signal(execution.stop_signal),
            final_signal=_signal(settings.last("Service", "FinalKillSignal"), "SIGKILL"),
            kill_mode=mode if (mode := settings.last("Service", "KillMode")) in KILL_MODES else KILL_MODES[0],
            send_hup=settings.last("Service", "SendSIGHUP", "no") not in NO,
            success_status=tuple(
                _status(word)
                for value in settings.all("Service", "SuccessExitStatus")
                for word in value.split()
            ),
        )

    def _required_first(self, unit: Unit) -> Iterator[Command]:
        """What oneshot services do that this one requires and comes after, in its own container then."""
        after = {name for value in unit.settings.all("Unit", "After") for name in split_words(value)}
        for key in _REQUIRED:
            for value in unit.settings.all("Unit", key):
                for name in split_words(value):
                    needed = self._units.get(name)
                    if needed is None or name not in after or not self._is_step(needed):
                        continue
                    execution = self._executions.read(needed)
                    own = _execution(needed.settings, execution, execution.environment)
                    for command in execution.commands:
                        if command.words[0] not in _NOTHING:
                            yield _command(command, own)

    @staticmethod
    def _is_step(unit: Unit) -> bool:
        return (
            unit.name.type == "service"
            and unit.settings.last("Service", "Type") == "oneshot"
            and not platform_reason(unit.name.stem)
        )

    def _directories(
        self, unit: Unit, execution: UnitExecution, specifiers: Mapping[str, str]
    ) -> Iterator[Path]:
        for key, above in _DIRECTORIES:
            mode = _octal(unit.settings.last("Service", f"{key}Mode")) or "0755"
            for value in unit.settings.all("Service", key):
                for word in split_words(value):
                    path = plain_path(f"{above}/{expand_specifiers(word.partition(':')[0], specifiers)}")
                    if path in ("", above):
                        continue
                    # Configuration directories belong to root whatever the service's user (systemd.exec(5)).
                    user = "" if key == "ConfigurationDirectory" else execution.user
                    yield Path(
                        "directory",
                        printable(path),
                        mode,
                        printable(user),
                        printable(execution.group or self._own_group(user)),
                    )

    def _own_group(self, user: str) -> str:
        gid = self._accounts.primary_gid(user) if user else None
        return "" if gid is None else str(gid)


def _without_manager(command: Command) -> Command:
    """A command beside the main one that tells the service manager something must not keep it from starting.

    MariaDB's, before version 10.11, has ``systemctl unset-environment`` run first.
    """
    return replace(command, may_fail=command.may_fail or any(map(_MANAGER.search, command.words)))


def _command(command: UnitCommand, execution: Execution | None = None) -> Command:
    """The command, with the variables that only a running service has left to the init."""
    expand = any(_MARK in word for word in command.words)
    words = command.words
    if expand:
        words = tuple(
            re.sub(f"{_MARK}(\\w+){_MARK}", r"${\1}", word.replace("$", "$$")) for word in command.words
        )
    return Command(
        tuple(map(printable, words)),
        name=printable(command.name),
        expand=expand,
        may_fail=command.may_fail,
        privileged=command.as_root,
        execution=execution,
    )


def _execution(
    settings: Settings, execution: UnitExecution, environment: tuple[tuple[str, str], ...] = ()
) -> Execution:
    groups = [word for value in settings.all("Service", "SupplementaryGroups") for word in split_words(value)]
    return Execution(
        user=printable(execution.user),
        group=printable(execution.group),
        supplementary_groups=tuple(map(printable, groups)),
        umask=_octal(settings.last("Service", "UMask")),
        working_directory=printable(execution.working_directory),
        working_directory_optional=settings.last("Service", "WorkingDirectory").startswith("-"),
        environment=tuple((printable(name), printable(value)) for name, value in environment),
        limits=tuple(_limits(settings)),
        ambient_capabilities=_capabilities(settings.all("Service", "AmbientCapabilities")) or (),
        bounding_capabilities=_capabilities(settings.all("Service", "CapabilityBoundingSet")),
        # Not the unit's NoNewPrivileges alone: other settings imply it, and setgid helpers would hang.
        no_new_privileges=settings.last("Service", "NoNewPrivileges", "no") not in NO,
        nice=_integer(settings.last("Service", "Nice")),
        oom_score_adjust=_integer(settings.last("Service", "OOMScoreAdjust")),
        standard_input="socket" if settings.last("Service", "StandardInput") == "socket" else "",
    )


def _limits(settings: Settings) -> Iterator[Limit]:
    for name in _LIMITS:
        if written := settings.last("Service", f"Limit{name}"):
            soft, colon, hard = written.partition(":")
            values = (_limit(name, soft), _limit(name, hard if colon else soft))
            if values[0] is not None and values[1] is not None:
                yield Limit(name, values[0], values[1])


def _limit(name: str, text: str) -> int | None:
    """A number, with a size's suffix or a time's unit; None for what is neither."""
    if text.strip() == "infinity":
        return INFINITY
    if found := _SIZE.fullmatch(text.strip()):
        return min(int(found[1][:19]) << 10 * " KMGTPE".index(found[2] or " "), LARGEST)
    seconds = span_seconds(text) if name in ("CPU", "RTTIME") else None
    return None if seconds is None else int(min(seconds, _LONGEST))


def _capabilities(values: Iterable[str]) -> tuple[str, ...] | None:
    """The set that lines of names, each perhaps inverted by ``~``, leave; None when nothing is said."""
    found: set[str] | None = None
    for value in values:
        names = {name.upper() for name in value.removeprefix("~").split()} & {*CAPABILITIES}
        if value.startswith("~"):
            found = ({*CAPABILITIES} if found is None else found) - names
        else:
            found = names if found is None else found | names
    return None if found is None else tuple(name for name in CAPABILITIES if name in found)


def _addresses(sockets: Iterable[Unit], executions: Executions) -> Iterator[Socket]:
    for unit in sockets:
        settings, specifiers = unit.settings, executions.specifiers(unit)
        for key, kind in _LISTEN:
            for value in settings.all("Socket", key):
                # The vsock and netlink families are the machine's.
                address = expand_specifiers(value, specifiers)
                if not re.match(r"/|@|\d|\[", address):
                    continue
                yield Socket(
                    kind,
                    printable(address),
                    name=printable(settings.last("Socket", "FileDescriptorName", unit.name.full)),
                    bind_ipv6_only=settings.last("Socket", "BindIPv6Only"),
                    backlog=_integer(settings.last("Socket", "Backlog")),
                    mode=_octal(settings.last("Socket", "SocketMode")),
                    user=printable(settings.last("Socket", "SocketUser")),
                    group=printable(settings.last("Socket", "SocketGroup")),
                    accept=settings.last("Socket", "Accept", "no") not in NO,
                    max_connections=_integer(settings.last("Socket", "MaxConnections")),
                    reuse_port=settings.last("Socket", "ReusePort", "no") not in NO,
                    free_bind=settings.last("Socket", "FreeBind", "no") not in NO,
                )


def _seconds(settings: Settings, key: str, default: float) -> float:
    """A time-out; ``infinity`` and 0 are none."""
    text = settings.last("Service", key) or settings.last("Service", "TimeoutSec")
    if text == "infinity":
        return 0
    seconds = span_seconds(text) if text else None
    return default if seconds is None else min(seconds, _LONGEST)


def _octal(text: str) -> str:
    """A mode; empty for what is none."""
    return text if re.fullmatch("[0-7]{1,4}", text) else ""


def _integer(text: str) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else 0


def _signal(written: str, otherwise: str = "SIGTERM") -> str:
    """A signal as the init knows it; what it does not know is the default."""
    name = written if written.startswith("SIG") or written.isdecimal() else f"SIG{written}"
    known = name in SIGNALS or re.fullmatch(r"(?:SIGRTMIN\+)?[1-9]\d?", name)
    return name if known else otherwise


def _status(word: str) -> str:
    """An exit code or a signal's name, as the init compares them."""
    return word if word.isdecimal() or word.startswith("SIG") else f"SIG{word}"


def is_check(command: Command) -> bool:
    """Whether a command only looks at the configuration: nothing is missing where it does not run."""
    return _CHECK.search(" ".join(command.words)) is not None


def in_foreground(specification: Specification, found: Foreground) -> Specification:
    """The specification for a daemon that goes to the background, started by the command that stays in front.

    Where none is known, the init follows the daemon by its PID file, or by what is left when it has forked.
    """
    if specification.type != "forking" or not found.words:
        return specification
    start = replace(specification.start[0], words=found.words, name="", expand=False)
    # What stops a daemon in the background by its control script does not know the one in front.
    return replace(
        specification,
        type="simple",
        start=(start,),
        stop=(),
        reload=(),
        pid_file="",
        kill_signal=found.stop_signal or specification.kill_signal,
        execution=replace(specification.execution, user=found.user or specification.execution.user),
    )
