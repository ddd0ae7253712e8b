"""SysV init: which scripts a runlevel starts (init(8), insserv(8))."""

from __future__ import annotations

import re
from collections.abc import Sequence

from converters.guest.facts import Role, Service
from converters.guest.files import GuestFiles, printable
from converters.guest.services.roles import platform_reason

_RUNLEVEL_FOLDERS = ("/etc/rc{}.d", "/etc/rc.d/rc{}.d", "/etc/init.d/rc{}.d")
_START_LINK = re.compile(r"S\d\d(.+)")
_DEFAULT_RUNLEVEL = re.compile(r"^[^#:]*:(\d):initdefault:", re.MULTILINE)
_DEBIAN_RUNLEVEL = "2"
_SCRIPT_NOTE = "Its SysV script is not taken apart: the command that stays in the foreground is not known."


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


def script_service(name: str, path: str) -> Service:
    """A service known by its script alone."""
    reason = platform_reason(name)
    return Service(
        name=printable(name),
        unit=printable(path),
        role=Role.PLATFORM if reason else Role.APPLICATION,
        reason=reason or "a SysV script that is not one of the machine's own",
        command=(),
        notes=(_SCRIPT_NOTE,),
    )


def find_sysv_services(files: GuestFiles) -> tuple[Service, ...]:
    """The services of the default runlevel."""
    scripts = enabled_scripts(files, (default_runlevel(files),))
    return tuple(script_service(name, path) for name, path in scripts.items())
