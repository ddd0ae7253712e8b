"""SysV init: which scripts a runlevel starts (init(8), insserv(8))."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise

from converters.guest.data import data_directories
from converters.guest.facts import Role, Service
from converters.guest.files import GuestFiles, printable
from converters.guest.identity import SERVICE_PATH
from converters.guest.ports import service_ports
from converters.guest.services.foreground import Foreground, foreground
from converters.guest.services.roles import own_rule
from converters.init.specification import Command, Execution, Specification

_RUNLEVEL_FOLDERS = ("/etc/rc{}.d", "/etc/rc.d/rc{}.d", "/etc/init.d/rc{}.d")
_START_LINK = re.compile(r"S\d\d(.+)")
_DEFAULT_RUNLEVEL = re.compile(r"^[^#:]*:(\d):initdefault:", re.MULTILINE)
_DEBIAN_RUNLEVEL = "2"
_SCRIPT_NOTE = (
    "Its SysV script does not name its daemon: the command that stays in the foreground is not known."
)
_USER_NOTE = "Its SysV script starts it as another user, and prepares for that: so the script is what is run."
_SCRIPT_SECONDS = 300
"""What systemd gives a SysV script to start and to stop."""
_VARIABLE = re.compile(r"^(DAEMON\w*|NAME)=(\"[^\"\n]*\"|'[^'\n]*'|[^\s;#]*)", re.MULTILINE)
_REFERENCE = re.compile(r"\$\{?(\w+)\}?")


def enabled_scripts(files: GuestFiles, runlevels: Sequence[str]) -> dict[str, str]:
    """Scripts by name that one of the runlevels starts, with their paths, in the order of their links."""
    scripts: dict[str, str] = {}
    for runlevel in runlevels:
        for pattern in _RUNLEVEL_FOLDERS:
            folder = pattern.format(runlevel)
            for link in files.names(folder):
                path = files.real_path(f"{folder}/{link}")
                # Named after the link: the scripts of vendors often are links into /opt themselves.
                if (name := _START_LINK.fullmatch(link)) and path is not None:
                    scripts.setdefault(name[1].removesuffix(".sh"), path)
    return scripts


def default_runlevel(files: GuestFiles) -> str:
    """The runlevel of /etc/inittab, else Debian's."""
    found = _DEFAULT_RUNLEVEL.search(files.text("/etc/inittab") or "")
    return found[1] if found else _DEBIAN_RUNLEVEL


def script_service(files: GuestFiles, name: str, path: str) -> Service:
    """A service as far as its script tells: what it runs, and how that stays in the foreground."""
    rule = own_rule(name)
    words, by_script = _daemon_command(files, name, path)
    known = foreground(files, words) if words else Foreground(notes=(_SCRIPT_NOTE,))
    found = Foreground(notes=(_USER_NOTE,)) if by_script else known
    return Service(
        name=printable(name),
        unit=printable(path),
        role=rule.role if rule else Role.APPLICATION,
        reason=rule.reason if rule else "a SysV script that is not one of the machine's own",
        command=found.words,
        user=found.user,
        environment=(("PATH", SERVICE_PATH),),
        stop_signal=found.stop_signal or "SIGTERM",
        ports=service_ports(files, known.words, {}),
        notes=found.notes if rule else (),
        data=data_directories(files, known.words),
        specification=_specification(name, path, found),
    )


def _specification(name: str, path: str, found: Foreground) -> Specification:
    """The daemon in front where that is known; else its script: the init follows what it leaves behind."""
    if found.words:
        command = Command(tuple(map(printable, found.words)))
        return Specification(
            printable(name),
            start=(command,),
            kill_signal=found.stop_signal or "SIGTERM",
            execution=Execution(user=printable(found.user)),
        )
    script = printable(path)
    return Specification(
        printable(name),
        "forking",
        start=(Command((script, "start")),),
        stop=(Command((script, "stop")),),
        start_seconds=_SCRIPT_SECONDS,
        stop_seconds=_SCRIPT_SECONDS,
    )


def _daemon_command(files: GuestFiles, name: str, path: str) -> tuple[tuple[str, ...], bool]:
    """The command line that the script's variables name, by Debian's convention; empty when they do not.

    ``DAEMON`` is the program, ``DAEMON_OPTS`` or ``DAEMON_ARGS`` its arguments; /etc/default overrides them.
    The second value: whether the script gives it another user (start-stop-daemon(8), ``--chuid``). It then
    makes that user's directories, too, and only itself knows how.
    """
    variables: dict[str, str] = {}
    for text in (files.text(path), files.text(f"/etc/default/{name}")):
        for found in _VARIABLE.finditer(text or ""):
            value = _REFERENCE.sub(lambda name: variables.get(name[1], name[0]), found[2].strip("\"'"))
            variables[found[1]] = value
    line = " ".join(variables.get(key, "") for key in ("DAEMON", "DAEMON_OPTS", "DAEMON_ARGS")).strip()
    # What is still to be expanded, or computed, only a shell knows.
    if not variables.get("DAEMON") or "$" in line or "`" in line:
        return (), False
    programs, other_user = _started(files.text(path) or "", variables)
    if programs and variables["DAEMON"] not in programs:
        return (), False
    return _words(line), other_user


def _started(script: str, variables: Mapping[str, str]) -> tuple[set[str], bool]:
    """What the script's lines with start-stop-daemon(8) start, and whether as another user."""
    programs: set[str] = set()
    other_user = False
    for line in script.replace("\\\n", " ").splitlines():
        words = line.partition(" -- ")[0].split()
        if "start-stop-daemon" not in words or not {"--start", "-S"} & {*words}:
            continue
        for word, after in pairwise(words):
            if word in ("--exec", "-x", "--startas", "-a"):
                value = after.strip("\"'")
                programs.add(_REFERENCE.sub(lambda name: variables.get(name[1], name[0]), value))
            other_user = other_user or word in ("--chuid", "-c") or word.startswith("--chuid=")
    return programs, other_user


def _words(line: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(line))
    except ValueError:
        return ()


def find_sysv_services(files: GuestFiles) -> tuple[Service, ...]:
    """The services of the default runlevel."""
    scripts = enabled_scripts(files, (default_runlevel(files),))
    return tuple(script_service(files, name, path) for name, path in scripts.items())
