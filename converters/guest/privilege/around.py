"""What the commands around a service's main one need: before it, after it, to stop it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from converters.filesystems.base import Kind
from converters.guest.facts import Service
from converters.guest.files import GuestFiles, printable
from converters.guest.ports import program_name
from converters.guest.privilege.capabilities import GENERAL_ROOT, ordered
from converters.guest.privilege.commands import script_commands, simple_commands, tool_of
from converters.guest.privilege.daemons import KNOWN
from converters.guest.privilege.values import Need, NeedKind
from converters.init.specification import Command

_LONGEST_SCRIPT = 64 << 10


def script_text(files: GuestFiles, path: str) -> str:
    """The text of a program that is a script; empty for others, and for long ones."""
    entry = files.entry(path)
    if entry is None or entry.kind is not Kind.FILE or entry.size > _LONGEST_SCRIPT:
        return ""
    return files.text(path) or "" if files.head(path).startswith(b"#!") else ""


class Around:
    """Looks at commands of services of one guest."""

    def __init__(self, files: GuestFiles, is_root: Callable[[str], bool]) -> None:
        """``is_root`` tells of a user's name or number whether it is root's."""
        self._files = files
        self._is_root = is_root

    def needs(self, service: Service, is_root: bool) -> Iterator[Need]:
        """What the commands around the main one need, each as the user who runs it."""
        told = service.specification
        if told is None:
            return
        for label, commands in (
            ("a unit that it requires", told.before),
            ("ExecStartPre=", told.start_pre),
            ("ExecStartPost=", told.start_post),
            ("ExecReload=", told.reload),
            ("ExecStop=", told.stop),
            ("ExecStopPost=", told.stop_post),
        ):
            for command in commands:
                if program_name(command.words) == program_name(service.command):
                    continue  # another start of the same program, to look or to stop
                user = command.execution.user if command.execution else None
                as_root = command.privileged or (is_root if user is None else self._is_root(user))
                if as_root:
                    yield from self._of_command(command, label)

    def _of_command(self, command: Command, label: str) -> Iterator[Need]:
        main = program_name(command.words)
        if (known := KNOWN.get(main)) is not None:
            yield from _capabilities(known.as_root, f"{label} starts {printable(main)} as root")
            return
        for words in simple_commands(command.words):
            name = printable(words[0].rpartition("/")[2])
            tool = tool_of(words)
            if tool is None:
                yield from self._of_unknown(words[0], f"{label} runs {name} as root")
                continue
            evidence = f"{label} runs {name}"
            for capability in ordered(tool.capabilities):
                yield Need(
                    NeedKind.CAPABILITY, capability, evidence, optional=command.may_fail, advice=tool.advice
                )
            if tool.privileged:
                yield Need(NeedKind.PRIVILEGED, "", evidence, command.may_fail, tool.advice)

    def _of_unknown(self, path: str, evidence: str) -> Iterator[Need]:
        """What a program that nobody knows may use; of a script, beside that, what it may call."""
        yield from _capabilities(GENERAL_ROOT, evidence)
        for words in script_commands(script_text(self._files, path)):
            tool = tool_of(words)
            if tool is not None and not tool.capabilities <= GENERAL_ROOT:
                calls = f"{evidence}, which names {printable(words[0].rpartition('/')[2])}"
                for capability in ordered(tool.capabilities - GENERAL_ROOT):
                    yield Need(NeedKind.CAPABILITY, capability, calls, optional=True, advice=tool.advice)


def _capabilities(names: Iterable[str], evidence: str) -> Iterator[Need]:
    for name in ordered(names):
        yield Need(NeedKind.CAPABILITY, name, evidence)
