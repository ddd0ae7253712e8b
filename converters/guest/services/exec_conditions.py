"""``ExecCondition=`` lines whose programs are known well enough to foresee their answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from converters.guest.files import GuestFiles
from converters.guest.services.unit_file import Settings
from converters.guest.services.words import split_words

_SAMBA = "/etc/samba/smb.conf"
_SETTING = re.compile(r"\s*([^#;=\n]+?)\s*=\s*(.*?)\s*")
_CONTROLLER = ("active directory domain controller", "domain controller", "dc")
_YES = ("yes", "true", "1", "on")


def failing_program(settings: Settings, files: GuestFiles) -> str:
    """The line that keeps a service from starting, as written; empty when none is known to."""
    for value, words in _lines(settings):
        check = _KNOWN.get(words[0])
        if check is not None and not check(files, words[1:]):
            return f"ExecCondition={value}"
    return ""


def unforeseen_programs(settings: Settings) -> tuple[str, ...]:
    """The programs whose answer is not known: the service counts as one that starts."""
    return tuple(words[0] for _, words in _lines(settings) if words[0] not in _KNOWN)


def _lines(settings: Settings) -> Iterator[tuple[str, list[str]]]:
    """The lines as written, and the words of their commands."""
    for value in settings.all("Service", "ExecCondition"):
        if words := split_words(value.lstrip("-+!:@")):
            yield value, words


def _samba_configured(files: GuestFiles, arguments: list[str]) -> bool:
    """Debian's ``is-configured``: whether that one of Samba's daemons is wanted by smb.conf(5)."""
    text = files.text(_SAMBA)
    if text is None:
        return False
    found = (_SETTING.fullmatch(line) for line in text.splitlines())
    values = {one[1].lower(): one[2].lower() for one in found if one}
    controller = values.get("server role", "auto") in _CONTROLLER
    match arguments:
        case ["samba" | "samba-ad-dc"]:
            return controller
        case ["smb" | "smbd" | "winbind" | "winbindd"]:
            return not controller
        case ["nmb" | "nmbd"]:
            return not controller and values.get("disable netbios", "no") not in _YES
        case _:
            return False


_KNOWN: Mapping[str, Callable[[GuestFiles, list[str]], bool]] = {
    "/usr/share/samba/is-configured": _samba_configured
}
