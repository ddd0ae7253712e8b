"""Small facts about a guest: its name, its init, its time zone, the variables it sets for everybody."""

from __future__ import annotations

import re

from converters.guest.environment_file import parse_environment_file
from converters.guest.files import GuestFiles

SERVICE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What systemd gives services where /usr is not merged (systemd.exec(5)); where it is, it means the same."""

_ZONEINFO = re.compile(r".*/zoneinfo/(?:posix/|right/)?(.+)")


def read_hostname(files: GuestFiles) -> str:
    """The name in /etc/hostname (hostname(5)), else where it was before; empty when nothing says."""
    for path in ("/etc/hostname", "/etc/HOSTNAME"):
        for line in (files.text(path) or "").splitlines():
            if (name := line.strip()) and not name.startswith("#"):
                return name
    network = dict(parse_environment_file(files.text("/etc/sysconfig/network") or ""))
    return network.get("HOSTNAME", "")


def read_timezone(files: GuestFiles) -> str:
    """The zone by name, as ``Europe/Paris``; empty when it is not known, so UTC (localtime(5))."""
    target = files.link_target("/etc/localtime")
    if target is not None and (zone := _ZONEINFO.fullmatch(target)):
        return zone[1]
    if named := (files.text("/etc/timezone") or "").strip():
        return named.splitlines()[0]
    clock = dict(parse_environment_file(files.text("/etc/sysconfig/clock") or ""))
    return clock.get("ZONE", clock.get("TIMEZONE", ""))


def read_manager_environment(files: GuestFiles) -> dict[str, str]:
    """What systemd gives every service: its path and the locale of locale.conf(5)."""
    locale = dict(parse_environment_file(files.text("/etc/locale.conf") or ""))
    wanted = {name: value for name, value in locale.items() if name == "LANG" or name.startswith("LC_")}
    return {"PATH": SERVICE_PATH, **wanted}


def read_login_environment(files: GuestFiles) -> dict[str, str]:
    """What a log-in finds: /etc/environment (pam_env(8)) and the locale, Debian's place for it included."""
    found: dict[str, str] = {"PATH": SERVICE_PATH}
    for path in ("/etc/default/locale", "/etc/locale.conf", "/etc/environment"):
        text = files.text(path) or ""
        lines = (line.strip().removeprefix("export ") for line in text.splitlines())
        found.update(parse_environment_file("\n".join(lines)))
    return found


def detect_init(files: GuestFiles) -> str:
    """``systemd``, ``upstart``, ``openrc``, ``sysv``, or empty; /sbin/init decides where it is a link."""
    program = (files.real_path("/sbin/init") or "").rpartition("/")[2]
    if program == "systemd":
        return "systemd"
    systemd = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/etc/systemd/system")
    if not program and any(files.entry(path) for path in systemd):
        return "systemd"
    # Upstart keeps an /etc/init.d for SysV scripts, so it is asked for first.
    if files.is_file("/etc/init/rc.conf") or files.is_file("/etc/init/rc-sysinit.conf"):
        return "upstart"
    if files.is_file("/sbin/openrc") or files.is_directory("/etc/runlevels"):
        return "openrc"
    if files.is_file("/etc/inittab") or files.is_directory("/etc/rc.d") or files.is_directory("/etc/rc2.d"):
        return "sysv"
    return ""
