"""OpenRC: scripts of the runlevels (rc-service(8), openrc-run(8)), as Alpine and Gentoo have them."""

from __future__ import annotations

import re

from converters.guest.accounts import Accounts
from converters.guest.facts import Service
from converters.guest.files import GuestFiles
from converters.guest.services.plain import Plain, plain_service, split_line

RUNLEVELS = ("sysinit", "boot", "default")
_VARIABLE = re.compile(r"^[ \t]*(?:export\s+)?(\w+)=(\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s;#]*)", re.MULTILINE)
_REFERENCE = re.compile(r"\$\{?(\w+)(?::?[-=]([^}]*))?\}?")
_UNKNOWN = "Its script does not name its command: what stays in the foreground is not known."
_PLACES = ("sysinit", "boot")


def find_openrc_services(files: GuestFiles, accounts: Accounts) -> tuple[Service, ...]:
    """Services of the runlevels up to ``default``; those of the earlier ones are the machine's own."""
    found: dict[str, Service] = {}
    for runlevel in RUNLEVELS:
        for name in files.names(f"/etc/runlevels/{runlevel}"):
            script = files.text(f"/etc/runlevels/{runlevel}/{name}")
            if script is not None and name not in found:
                reason = (
                    f"OpenRC's runlevel {runlevel}: setting up the machine" if runlevel in _PLACES else ""
                )
                found[name] = plain_service(files, accounts, _plain(files, name, script), reason)
    return tuple(found.values())


def _plain(files: GuestFiles, name: str, script: str) -> Plain:
    """``command``, ``command_args`` and their kin, as conf.d sets and the script uses them."""
    variables = {"RC_SVCNAME": name, "SVCNAME": name}
    for text in (files.text(f"/etc/conf.d/{name}") or "", script):
        for variable, written in _VARIABLE.findall(text):
            value = written[1:-1] if written[:1] in ("'", '"') else written
            variables[variable] = value if written.startswith("'") else _expanded(value, variables)
    keys = ("command", "command_args", "command_args_foreground")
    line = " ".join(variables.get(key, "") for key in keys).strip()
    known = bool(variables.get("command")) and "$" not in line and "`" not in line
    user, _, group = variables.get("command_user", "").partition(":")
    in_front = variables.get("supervisor") or variables.get("command_background") in ("yes", "true", "1")
    return Plain(
        name=name,
        path=f"/etc/init.d/{name}",
        words=split_line(line) if known else (),
        kind="an OpenRC service",
        forks=known and not in_front and "command_args_foreground" not in variables,
        user=user,
        group=group,
        working_directory=variables.get("directory", ""),
        notes=() if known else (_UNKNOWN,),
    )


def _expanded(value: str, variables: dict[str, str]) -> str:
    def known(found: re.Match[str]) -> str:
        return variables.get(found[1]) or found[2] or ("" if found[2] is not None else found[0])

    return _REFERENCE.sub(known, value)
