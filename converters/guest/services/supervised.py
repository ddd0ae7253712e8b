"""Programs that another supervisor keeps running: supervisord, runit, daemontools, inittab's ``respawn``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from configparser import Error, RawConfigParser

from converters.guest.accounts import Accounts
from converters.guest.facts import Service
from converters.guest.files import GuestFiles
from converters.guest.services.plain import Plain, plain_service, shell_words, split_line
from converters.guest.services.sysv import default_runlevel

_SUPERVISORD = (
    "/etc/supervisor/supervisord.conf",
    "/etc/supervisord.conf",
    "/etc/supervisord/supervisord.conf",
)
_SCAN_FOLDERS = ("/etc/service", "/service", "/etc/runit/runsvdir/default", "/var/service")
_INITTAB = re.compile(r"^([^#:]{1,8}):(\w*):(\w+):(.+)$", re.MULTILINE)
_EXEC = re.compile(r"^[ \t]*exec\s+(.+?)\s*$", re.MULTILINE)
_SHELL_ONLY = re.compile(r"[$`|&;<>(){}*?]")
_MOST_PROCESSES = 64
_LOG_INS = ("getty", "agetty", "mingetty", "mgetty", "fbgetty", "sulogin")


def find_supervised_services(files: GuestFiles, accounts: Accounts) -> tuple[Service, ...]:
    """The programs of every supervisor that has a configuration in the guest."""
    plains = (*_supervisord(files), *_scanned(files), *_respawned(files))
    return tuple(plain_service(files, accounts, plain) for plain in plains)


def _supervisord(files: GuestFiles) -> Iterator[Plain]:
    """``[program:NAME]`` sections (supervisord.org, "Configuration File"), those that start by themselves."""
    for path in _SUPERVISORD:
        if (text := files.text(path)) is not None:
            for source, parser in _parsers(files, path, text):
                for section in parser.sections():
                    if section.startswith("program:"):
                        yield from _program(source, section.removeprefix("program:"), dict(parser[section]))
            return


def _parsers(files: GuestFiles, path: str, text: str) -> Iterator[tuple[str, RawConfigParser]]:
    """The main file and those that ``[include] files`` names, by patterns relative to it."""
    main = _parsed(files, path, text)
    yield path, main
    here = path.rpartition("/")[0]
    for pattern in main.get("include", "files", fallback="").split():
        folder, _, name = pattern.replace("%(here)s", here).rpartition("/")
        folder = folder if folder.startswith("/") else f"{here}/{folder}"
        matching = re.compile(re.escape(name).replace(r"\*", "[^/]*"))
        for entry in files.names(folder):
            if matching.fullmatch(entry):
                included = f"{folder}/{entry}"
                yield included, _parsed(files, included, files.text(included) or "")


def _parsed(files: GuestFiles, path: str, text: str) -> RawConfigParser:
    parser = RawConfigParser(strict=False, inline_comment_prefixes=(";",), allow_no_value=True)
    try:
        parser.read_string(text)
    except Error as error:
        files.note(f"{path} was read in part: {str(error).splitlines()[0]}")
    return parser


def _program(path: str, name: str, settings: Mapping[str, str | None]) -> Iterator[Plain]:
    if (settings.get("autostart") or "true").lower() in ("false", "0", "no", "off"):
        return
    count = settings.get("numprocs") or "1"
    for number in range(min(int(count) if count.isdecimal() else 1, _MOST_PROCESSES)):
        values = {
            "program_name": name,
            "group_name": name,
            "process_num": str(number),
            "here": path.rpartition("/")[0],
        }
        command = _percent(settings.get("command") or "", values)
        words = split_line(command)
        yield Plain(
            name=name
            if count == "1"
            else _percent(settings.get("process_name") or f"{name}_{number}", values),
            path=path,
            words=words,
            kind="a program of supervisord",
            user=settings.get("user") or "",
            working_directory=_percent(settings.get("directory") or "", values),
            environment=dict(_variables(_percent(settings.get("environment") or "", values))),
            stop_signal=f"SIG{(settings.get('stopsignal') or 'TERM').removeprefix('SIG')}",
            notes=() if words else (f"Its command `{command}` cannot be taken apart.",),
        )


def _percent(text: str, values: Mapping[str, str]) -> str:
    """``%(name)s`` by ``values``; ``%(ENV_X)s``, which only a running machine knows, stays."""
    return re.sub(r"%\((\w+)\)(?:\d*)[sd]", lambda found: values.get(found[1], found[0]), text).replace(
        "%%", "%"
    )


def _variables(text: str) -> Iterator[tuple[str, str]]:
    """``KEY="value",KEY2=value``."""
    for name, quoted, bare in re.findall(r"(\w+)\s*=\s*(?:\"([^\"]*)\"|'?([^,']*)'?)", text):
        yield name, quoted or bare.strip()


def _scanned(files: GuestFiles) -> Iterator[Plain]:
    """Folders with a ``run`` script below a scanned one (runsvdir(8), svscan(8)), but those with ``down``."""
    seen: set[str] = set()
    for folder in _SCAN_FOLDERS:
        for name in files.names(folder):
            path = f"{folder}/{name}/run"
            real = files.real_path(path)
            script = files.text(path) if real and real not in seen else None
            if real and script is not None and not files.is_file(f"{folder}/{name}/down"):
                seen.add(real)
                commands = _EXEC.findall(script.replace("\\\n", " "))
                plain = len(commands) == 1 and not _SHELL_ONLY.search(commands[0].replace("2>&1", ""))
                words = (split_line(commands[0].replace("2>&1", "")) if plain else ()) or (path,)
                yield Plain(name, path, words, "a service of runit", working_directory=f"{folder}/{name}")


def _respawned(files: GuestFiles) -> Iterator[Plain]:
    """``id:runlevels:respawn:command`` of inittab(5), log-ins on consoles left out."""
    runlevel = default_runlevel(files)
    for name, runlevels, action, command in _INITTAB.findall(files.text("/etc/inittab") or ""):
        words = command.strip().removeprefix("+").split()
        if action != "respawn" or not words or words[0].rpartition("/")[2] in _LOG_INS:
            continue
        if runlevels and runlevel not in runlevels:
            continue
        shell = _SHELL_ONLY.search(command)
        yield Plain(
            name=f"inittab-{name}",
            path="/etc/inittab",
            words=shell_words(f"exec {command.strip()}") if shell else tuple(words),
            kind="a program that init starts again",
        )
