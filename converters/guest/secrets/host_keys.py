"""SSH host keys are not in images: a container with an SSH daemon makes its own before the daemon starts."""

from __future__ import annotations

from dataclasses import replace

from converters.guest.facts import Service
from converters.guest.files import GuestFiles
from converters.guest.ports import program_name
from converters.init.specification import Command

_MAKES_KEYS = "/usr/bin/ssh-keygen"
_NOTE = (
    "The machine's SSH host keys are not in the image: each container makes its own. `--keep ssh-host-keys`"
    " leaves them in; `--secrets extract` moves them out, and clients know the machine again."
)


def with_host_keys(service: Service, files: GuestFiles) -> Service:
    """An SSH daemon that makes the keys it misses first; other services stay as they are.

    ``ssh-keygen -A`` makes those of the default kinds that are not there (ssh-keygen(1)); dropbear does it by
    itself with ``-R`` (dropbear(8)).
    """
    told = service.specification
    if told is None or not service.command:
        return service
    match program_name(service.command):
        case "sshd" if files.is_file(_MAKES_KEYS):
            made = Command((_MAKES_KEYS, "-A"), may_fail=True, privileged=True)
            told = replace(told, start_pre=(made, *told.start_pre))
            return replace(service, specification=told, notes=(*service.notes, _NOTE))
        case "dropbear" if "-R" not in service.command:
            command = (*service.command, "-R")
            start = tuple(replace(one, words=(*one.words, "-R")) for one in told.start)
            return replace(
                service,
                command=command,
                specification=replace(told, start=start),
                notes=(*service.notes, _NOTE),
            )
        case _:
            return service
