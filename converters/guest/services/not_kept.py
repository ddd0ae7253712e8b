"""Settings of a service's unit that its container does not keep, told rather than dropped in silence.

Sources: systemd.exec(5), systemd.resource-control(5), systemd.service(5), systemd.unit(5).
"""

from __future__ import annotations

from collections.abc import Iterator

from converters.guest.services.exec_conditions import unforeseen_programs
from converters.guest.services.sockets import NO
from converters.guest.services.unit_file import Settings

_UNSET = (*NO, "infinity")
_ONE = (
    "MemoryMax",
    "MemoryHigh",
    "MemoryLimit",
    "CPUQuota",
    "TasksMax",
    "WatchdogSec",
    "NetworkNamespacePath",
)
"""Settings that change how a service runs, of which the last value counts."""
_MANY = ("LoadCredential", "LoadCredentialEncrypted", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem")
"""The same, of which all values count."""
_SECRET = ("SetCredential", "SetCredentialEncrypted")
"""The same, whose values hold a secret after its name, which nobody is to read in a note."""
_CONFINING = (
    *("PrivateNetwork", "PrivateTmp", "PrivateDevices", "ProtectSystem", "ProtectHome", "ReadOnlyPaths"),
    *("ReadOnlyDirectories", "InaccessiblePaths", "InaccessibleDirectories", "IPAddressDeny"),
    *("SystemCallFilter", "RestrictAddressFamilies"),
)
_EXCEPTING = ("ReadWritePaths", "ReadWriteDirectories", "IPAddressAllow")
"""Exceptions from the confining ones: alone, they confine nothing."""
_LONGEST = 200
"""Characters of a setting's values that a note shows."""


def not_kept(name: str, settings: Settings) -> tuple[str, ...]:
    """What to know of the unit of the service ``name``: what runs otherwise now, and what confined it."""
    notes = []
    if changing := [f"{key}={_shown(value)}" for key, value in _changing(settings)]:
        verb = "is" if len(changing) == 1 else "are"
        notes.append(f"Service {name}: {', '.join(changing)} of its unit {verb} not kept.")
    if any(_is_set(settings, key) for key in _CONFINING):
        keys = (f"{key}=" for key in (*_CONFINING, *_EXCEPTING) if _is_set(settings, key))
        notes.append(
            f"Service {name}: its unit confined it further ({', '.join(keys)});"
            " its container does not keep these settings."
        )
    return tuple(notes)


def _changing(settings: Settings) -> Iterator[tuple[str, str]]:
    for key in _ONE:
        if _is_set(settings, key):
            yield key, settings.last("Service", key)
    for key in _MANY:
        if values := settings.all("Service", key):
            yield key, " ".join(values)
    for key in _SECRET:
        if values := settings.all("Service", key):
            yield key, " ".join(value.partition(":")[0] for value in values)
    if values := settings.all("Unit", "JoinsNamespaceOf"):
        yield "JoinsNamespaceOf", " ".join(values)
    # The programs alone: their arguments may hold anything.
    if programs := unforeseen_programs(settings):
        yield "ExecCondition", " ".join(programs)


def _is_set(settings: Settings, key: str) -> bool:
    value = settings.last("Service", key)
    return bool(value) and value.lower() not in _UNSET


def _shown(value: str) -> str:
    """The value without what a terminal would act on, and not longer than a person reads."""
    told = "".join(one if one.isprintable() else " " for one in value[:_LONGEST])
    return told if len(value) <= _LONGEST else f"{told}…"
