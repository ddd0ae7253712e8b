"""What was decided of a service or a job, carried into the facts that everything else is made from. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from converters.guest.facts import DataDirectory, Job, Port, Role, Service
from converters.init.specification import Command, Specification
from converters.plan import ServiceChoice
from converters.planfile.found import job_values, service_values
from converters.planfile.model import JobEntry, ServiceChange

Values = Mapping[str, Any]
"""Keys of ``ServiceEntry`` or ``JobEntry`` that differ from what was there, with their new values."""

_NO_CHOICE = ServiceChoice()
_SHOWN = 5
"""Things named in one sentence."""


def service_edit(service: Service, entry: ServiceChange) -> Values:
    """What an entry of a plan changes; a key that is absent, or says what is so anyway, changes nothing."""
    return _edit(service_values(service, _NO_CHOICE), dict(entry), ("resources", "health"))


def job_edit(job: Job, entry: JobEntry) -> Values:
    """The same of a job."""
    return _edit(job_values(job), dict(entry), ())


def _edit(found: Values, entry: Values, elsewhere: tuple[str, ...]) -> Values:
    return {
        key: value
        for key, value in entry.items()
        if value is not None and key != "reason" and key not in elsewhere and value != found[key]
    }


def service_addition(service: Service, entry: ServiceChange) -> Values:
    """What a rule changes: its variables, ports and volumes come to those that are there."""
    found = service_values(service, _NO_CHOICE)
    given = dict(entry)
    for key in ("ports", "local_ports", "volumes"):
        if given[key] is not None:
            given[key] = tuple(dict.fromkeys((*found[key], *given[key])))
    if given["environment"] is not None:
        given["environment"] = {**found["environment"], **given["environment"]}
    return _edit(found, given, ("resources", "health"))


def job_addition(job: Job, entry: JobEntry) -> Values:
    """The same of a job."""
    given = dict(entry)
    if given["environment"] is not None:
        given["environment"] = {**dict(job.environment), **given["environment"]}
    return _edit(job_values(job), given, ())


def changed_service(service: Service, edit: Values, reason: str, source: str) -> Service:
    """The service as it was decided.

    Args:
        edit: see ``service_edit``.
        reason: why it runs or does not, in a person's words; may be empty.
        source: who decided, for ports and volumes that are new.
    """
    direct = ("user", "working_directory", "stop_signal")
    fields: dict[str, Any] = {key: edit[key] for key in direct if key in edit}
    if "user" in edit or "group" in edit:
        # The group that was found belongs to the user that was.
        fields["group"] = edit.get("group", "")
    if "name" in edit:
        fields["name"] = edit["name"]
    if "command" in edit:
        fields["command"] = edit["command"]
    if "environment" in edit:
        fields["environment"] = tuple(edit["environment"].items())
    if "ports" in edit or "local_ports" in edit:
        fields["ports"] = _ports(service, edit, source)
    if "volumes" in edit:
        known = {data.path: data for data in service.data}
        fields["data"] = tuple(known.get(path, DataDirectory(path, source)) for path in edit["volumes"])
    if "run" in edit:
        fields["role"] = Role.APPLICATION if edit["run"] else Role.PLATFORM
        fields["reason"] = reason or f"decided by {source}"
    if service.specification is not None:
        fields["specification"] = _respecified(service.specification, fields)
    return replace(service, **fields)


def _ports(service: Service, edit: Values, source: str) -> tuple[Port, ...]:
    found = service_values(service, _NO_CHOICE)
    known = {(f"{port.number}/{port.protocol}", port.loopback): port for port in service.ports}
    wanted = [
        (text, loopback)
        for key, loopback in (("ports", False), ("local_ports", True))
        for text in edit.get(key, found[key])
    ]
    return tuple(known.get(one) or _port(*one, source) for one in wanted)


def _port(text: str, loopback: bool, source: str) -> Port:
    number, _, protocol = text.partition("/")
    return Port(int(number), protocol, source, loopback)


def _respecified(specification: Specification, fields: Values) -> Specification:
    """What the init is told of the service, after the same changes."""
    keys = ("user", "group", "working_directory")
    execution = replace(specification.execution, **{key: fields[key] for key in keys if key in fields})
    changed = replace(
        specification,
        service=fields.get("name", specification.service),
        kill_signal=fields.get("stop_signal", specification.kill_signal),
        execution=execution,
    )
    if "command" not in fields:
        return changed
    # Control scripts and PID files are those of the command that it had.
    return replace(
        changed,
        type="simple" if changed.type == "forking" else changed.type,
        start=(Command(fields["command"]),),
        stop=(),
        reload=(),
        pid_file="",
    )


def changed_job(job: Job, edit: Values, reason: str, source: str) -> Job:
    """The job as it was decided."""
    direct = ("schedule", "timezone", "user", "commands")
    fields: dict[str, Any] = {key: edit[key] for key in direct if key in edit}
    if fields.get("schedule"):
        fields["at_boot"] = False
    if "environment" in edit:
        fields["environment"] = tuple(edit["environment"].items())
    if "run" in edit:
        fields["role"] = Role.APPLICATION if edit["run"] else Role.PLATFORM
        fields["reason"] = reason or f"decided by {source}"
    return replace(job, **fields)


def told(edit: Values, found: Values, reason: str) -> Iterator[str]:
    """Each change as the end of a sentence; of variables and commands, which may hold secrets, no values."""
    because = f": {reason}" if reason else ""
    for key, value in edit.items():
        match key, value:
            case "run", True:
                yield f"gets a container{because}"
            case "run", _:
                yield f"gets no container{because}"
            case "environment", _:
                yield _told_variables(found[key], value)
            case "command" | "commands", _:
                yield "starts another command"
            case "name", _:
                yield f"is called {value}"
            case "schedule", _:
                yield f"is scheduled at `{value}`" if value else "is not scheduled"
            case (("ports" | "local_ports" | "volumes"), _):
                yield f"has {key.replace('_', ' ')} {_listed(value)} in place of {_listed(found[key])}"
            case _:
                was = found[key] or "none"
                yield f"has {key.replace('_', ' ')} {value or 'none'} in place of {was}"


def _told_variables(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    added = [name for name in after if name not in before]
    gone = [name for name in before if name not in after]
    other = [name for name in after if name in before and after[name] != before[name]]
    parts = (("more", added), ("other values for", other), ("no more", gone))
    said = [f"{word} {_listed(names)}" for word, names in parts if names]
    return f"has variables: {'; '.join(said)}" if said else "has its variables in another order"


def _listed(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return (", ".join(listed[:_SHOWN]) or "none") + more
