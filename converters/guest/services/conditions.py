"""``Condition*=`` and ``Assert*=`` lines that a guest's files decide (systemd.unit(5))."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from converters.filesystems.base import Kind
from converters.guest.files import GuestFiles
from converters.guest.services.unit_file import Settings
from converters.guest.services.words import expand_specifiers

_VOLATILE = ("/run/", "/var/run/", "/proc/", "/sys/", "/dev/", "/tmp/")
"""What is there only while the machine runs: a disk does not tell."""


def _file_not_empty(files: GuestFiles, path: str) -> bool:
    entry = files.entry(path)
    return entry is not None and entry.kind is Kind.FILE and entry.size > 0


def _executable(files: GuestFiles, path: str) -> bool:
    entry = files.entry(path)
    return entry is not None and entry.kind is Kind.FILE and bool(entry.mode & 0o111)


_CHECKS: Mapping[str, Callable[[GuestFiles, str], bool]] = {
    "PathExists": lambda files, path: files.entry(path) is not None,
    "PathIsDirectory": GuestFiles.is_directory,
    "PathIsSymbolicLink": lambda files, path: files.link_target(path) is not None,
    "DirectoryNotEmpty": lambda files, path: not files.is_empty(path),
    "FileNotEmpty": _file_not_empty,
    "FileIsExecutable": _executable,
}


def failing_condition(settings: Settings, specifiers: Mapping[str, str], files: GuestFiles) -> str:
    """The condition that keeps a unit from starting, as written; empty when none is known to.

    All plain conditions must hold, and of those marked ``|`` at least one. What only a running machine
    decides counts as holding.
    """
    triggers: list[tuple[bool, str]] = []
    for kind in ("Condition", "Assert"):
        for name, check in _CHECKS.items():
            for value in settings.all("Unit", kind + name):
                path = expand_specifiers(value.lstrip("|!").strip(), specifiers)
                marks = value[: len(value) - len(value.lstrip("|!"))]
                holds = path.startswith(_VOLATILE) or check(files, path) is not ("!" in marks)
                written = f"{kind}{name}={value}"
                if "|" in marks:
                    triggers.append((holds, written))
                elif not holds:
                    return written
    if triggers and not any(holds for holds, _ in triggers) and not _undecided_trigger(settings):
        return triggers[0][1]
    return ""


def _undecided_trigger(settings: Settings) -> bool:
    """Whether a ``|`` condition of another kind may hold on the running machine."""
    others = ("PathExistsGlob", "PathIsMountPoint", "PathIsReadWrite", "KernelCommandLine", "Virtualization")
    return any(
        value.startswith("|") for other in others for value in settings.all("Unit", f"Condition{other}")
    )
