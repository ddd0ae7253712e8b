"""What a unit's sandbox settings take from its service, and what they show of its needs (systemd.exec(5))."""

from __future__ import annotations

from collections.abc import Iterator

from converters.guest.files import printable
from converters.guest.privilege.capabilities import named
from converters.guest.privilege.values import Need, NeedKind
from converters.guest.services.sockets import NO
from converters.guest.services.unit_file import Settings

_TAKEN = {
    "PrivateDevices": named("MKNOD SYS_RAWIO"),
    "ProtectClock": named("SYS_TIME WAKE_ALARM"),
    "ProtectKernelLogs": named("SYSLOG"),
    "ProtectKernelModules": named("SYS_MODULE"),
    "ProtectHostname": named(""),
    "ProtectKernelTunables": named(""),
}
"""Capabilities that a setting takes from the bounding set, by systemd.exec(5)."""

_IMPLYING = (
    *("LockPersonality", "MemoryDenyWriteExecute", "PrivateDevices", "ProtectClock", "ProtectHostname"),
    *("ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "RestrictAddressFamilies"),
    *("RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "SystemCallArchitectures"),
    *("SystemCallFilter", "SystemCallLog"),
)
"""Settings with which a service of a user other than root gets ``NoNewPrivileges=`` (systemd.exec(5))."""

_ORDINARY = frozenset(
    f"/dev/{name}"
    for name in (
        *("console", "fd", "full", "log", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr"),
        *("stdin", "stdout", "tty", "urandom", "zero"),
    )
)
"""Devices that every container has (OCI runtime-spec, "Default Devices"), and names that are none."""


def is_on(settings: Settings | None, key: str) -> bool:
    """Whether a setting of the service is switched on."""
    return settings is not None and settings.last("Service", key, "no") not in NO


def taken(settings: Settings | None) -> frozenset[str]:
    """Capabilities that the service has not, whatever its bounding set says."""
    return frozenset[str]().union(*(names for key, names in _TAKEN.items() if is_on(settings, key)))


def gains_nothing(settings: Settings | None, is_root: bool) -> str:
    """Why no program of the service gains anything by being setuid or having capabilities; empty: it may."""
    if is_on(settings, "NoNewPrivileges"):
        return "its unit sets NoNewPrivileges="
    if is_on(settings, "DynamicUser"):
        return "its unit sets DynamicUser=, which implies NoNewPrivileges="
    if not is_root:
        for key in _IMPLYING:
            if is_on(settings, key):
                return f"its unit sets {key}=, with which a user other than root has NoNewPrivileges="
    return ""


def devices(settings: Settings | None) -> Iterator[Need]:
    """Devices that the unit allows by name; of classes (``char-rtc``) nobody knows which one is meant."""
    if settings is None:
        return
    for value in settings.all("Service", "DeviceAllow"):
        path = printable(value.split(maxsplit=1)[0])
        if is_device(path):
            yield Need(NeedKind.DEVICE, path, f"DeviceAllow={path} of its unit")


def is_device(path: str) -> bool:
    """Whether a path names a device of the host that containers do not have."""
    name = path.removeprefix("/dev/")
    return name != path and bool(name) and ".." not in name and _top(name) not in _ORDINARY


def _top(name: str) -> str:
    return "/dev/" + name.partition("/")[0]
