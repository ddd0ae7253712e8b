"""Programs that give whoever starts them more than they have: setuid, setgid, with file capabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from converters.filesystems.base import Kind
from converters.guest.facts import Service
from converters.guest.files import GuestFiles, printable
from converters.guest.privilege.capabilities import ATTRIBUTE, GENERAL_ROOT, file_capabilities, ordered
from converters.guest.privilege.commands import simple_commands, tool_of
from converters.guest.privilege.values import Need, NeedKind

_SETUID = 0o4000
_GAINING = 0o6000
_PROGRAMS = 100
"""Programs of a service whose attributes are looked at."""
_USUALLY = frozenset(
    ("fping", "fusermount", "mail", "mount", "newgrp", "ping", "pkexec", "sendmail", "su", "sudo", "umount")
)
"""Commands that are looked for in the usual folders when a shell's text names them without one."""
_FOLDERS = ("/usr/bin", "/usr/sbin", "/bin", "/sbin")


def gaining(files: GuestFiles, paths: Iterable[str]) -> tuple[list[Need], bool]:
    """What those of the programs need that give something, and whether any does."""
    found: list[Need] = []
    gains = False
    for path in list(dict.fromkeys(paths))[:_PROGRAMS]:
        entry = files.entry(path)
        if entry is not None and entry.kind is Kind.FILE:
            value = dict(entry.xattrs).get(ATTRIBUTE, b"")
            found += _of_attribute(printable(path), value)
            found += _of_setuid(printable(path), entry.mode)
            gains = gains or bool(value) or bool(entry.mode & _GAINING)
    return found, gains


def started_paths(service: Service) -> Iterator[str]:
    """Programs that a service starts as its user, as far as its command lines name them."""
    told = service.specification
    commands = (*told.start_pre, *told.start_post, *told.reload) if told else ()
    for line in (service.command, *(command.words for command in commands if not command.privileged)):
        for words in simple_commands(line):
            yield from _paths(words)


def _paths(words: tuple[str, ...]) -> Iterator[str]:
    """A command itself, and files that its arguments name, since it may start them."""
    for number, word in enumerate(words):
        if word.startswith("/") and not word.startswith("/dev/"):
            yield word
        elif number == 0 and word in _USUALLY:
            yield from (f"{folder}/{word}" for folder in _FOLDERS)


def _of_attribute(path: str, value: bytes) -> Iterator[Need]:
    names, effective = file_capabilities(value)
    advice = f"`setcap -r {path}` on the machine, if it does without" if effective else ""
    for name in names:
        yield Need(NeedKind.CAPABILITY, name, f"{path} has it as a file capability", not effective, advice)


def _of_setuid(path: str, mode: int) -> Iterator[Need]:
    """What a setuid program uses of root's; one that is only setgid needs no capability for it."""
    if mode & _SETUID:
        tool = tool_of((path,))
        for name in ordered(tool.capabilities if tool else GENERAL_ROOT):
            yield Need(NeedKind.CAPABILITY, name, f"{path} is setuid", optional=True)
