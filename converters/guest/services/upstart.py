"""upstart's jobs (init(5) of upstart): ``/etc/init/NAME.conf`` and ``NAME.override``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from converters.guest.accounts import Accounts
from converters.guest.facts import Service
from converters.guest.files import GuestFiles
from converters.guest.services.plain import Plain, plain_service, shell_words, split_line

FOLDER = "/etc/init"
_NEEDS_SHELL = re.compile(r"[$`|&;<>(){}*?\[\]~\"'\\]")
_ONE_WORD = ("setuid", "setgid", "chdir", "expect")
_SCRIPTS = ("script", "pre-start", "post-start", "pre-stop", "post-stop")


@dataclass(slots=True)
class _Job:
    """The stanzas that matter here; a later one takes the place of an earlier one."""

    start_on: str = ""
    manual: bool = False
    task: bool = False
    words: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)
    """By ``script``, ``exec``, ``pre-start``…"""
    environment: dict[str, str] = field(default_factory=dict)
    kill_signal: str = ""


def find_upstart_services(files: GuestFiles, accounts: Accounts) -> tuple[Service, ...]:
    """Jobs that some event starts: any ``start on`` counts, unless ``manual`` comes after it.

    A task, which ends, is no service.
    """
    services: list[Service] = []
    for name in files.names(FOLDER):
        if not name.endswith(".conf"):
            continue
        path = f"{FOLDER}/{name}"
        override = files.text(f"{FOLDER}/{name.removesuffix('.conf')}.override") or ""
        job = parse_job(f"{files.text(path) or ''}\n{override}")
        if job.start_on and not job.manual and not job.task and (command := _command(job)):
            services.append(
                plain_service(files, accounts, _plain(name.removesuffix(".conf"), path, job, command))
            )
    return tuple(services)


def _plain(name: str, path: str, job: _Job, command: tuple[str, ...]) -> Plain:
    return Plain(
        name=name,
        path=path,
        words=command,
        kind="a job of upstart",
        before=job.scripts.get("pre-start", "").strip(),
        forks=job.words.get("expect", "") in ("fork", "daemon"),
        user=job.words.get("setuid", ""),
        group=job.words.get("setgid", ""),
        working_directory=job.words.get("chdir", ""),
        environment=job.environment,
        stop_signal=job.kill_signal,
    )


def _command(job: _Job) -> tuple[str, ...]:
    line = job.scripts.get("exec", "").strip()
    if line:
        return shell_words(f"exec {line}") if _NEEDS_SHELL.search(line) else tuple(line.split())
    script = job.scripts.get("script", "")
    return shell_words(script) if script.strip() else ()


def parse_job(text: str) -> _Job:
    """The stanzas of a job and its override."""
    job = _Job()
    lines = _logical_lines(text)
    for line in lines:
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        match word:
            case "start" if rest.startswith("on "):
                job.start_on, job.manual = rest.removeprefix("on ").strip(), False
            case "manual":
                job.manual = True
            case "task":
                job.task = True
            case "exec":
                job.scripts.pop("script", None)
                job.scripts["exec"] = rest
            case "env":
                name, equals, value = rest.partition("=")
                if equals:
                    job.environment[name.strip()] = " ".join(split_line(value)) or value
            case "kill" if rest.startswith("signal "):
                signal = rest.removeprefix("signal ").strip()
                job.kill_signal = signal if signal.startswith("SIG") or signal.isdecimal() else f"SIG{signal}"
            case _ if word in _ONE_WORD and rest:
                job.words[word] = rest.strip("\"'")
            case _ if word in _SCRIPTS:
                if word == "script" or rest == "script":
                    if word == "script":
                        job.scripts.pop("exec", None)
                    job.scripts[word] = "\n".join(_until_end(lines))
                elif rest.startswith("exec "):
                    job.scripts[word] = rest.removeprefix("exec ")
    return job


def _logical_lines(text: str) -> Iterator[str]:
    """Lines, those joined that end in a backslash or leave a parenthesis open; comments left out."""
    whole = ""
    for line in text.splitlines():
        if not whole and line.lstrip().startswith("#"):
            continue
        whole += line.removesuffix("\\")
        if line.endswith("\\") or (
            whole.lstrip().startswith(("start on", "stop on")) and whole.count("(") > whole.count(")")
        ):
            whole += " "
            continue
        yield whole
        whole = ""
    if whole:
        yield whole


def _until_end(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line.strip() == "end script":
            return
        yield line
