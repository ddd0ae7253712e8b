"""Rules over many machines: which of them hold for a machine, its services and its jobs. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from converters.errors import PlanError
from converters.guest.facts import GuestFacts, Job, Role, Service
from converters.guest.services.roles import RoleRule, own_rule
from converters.plan import MachineFacts
from converters.planfile.expression import Condition, ExpressionError, Facts, Kind, parse
from converters.planfile.model import RuleEntry, RuleFile

_MACHINE = {
    "machine": Kind.TEXT,
    "hostname": Kind.TEXT,
    "release": Kind.TEXT,
    "version": Kind.TEXT,
    "major": Kind.NUMBER,
    "family": Kind.TEXT,
    "architecture": Kind.TEXT,
    "init": Kind.TEXT,
    "services": Kind.TEXTS,
    "vcpus": Kind.NUMBER,
    "memory_mib": Kind.NUMBER,
}
_SERVICE = {
    **_MACHINE,
    "service": Kind.TEXT,
    "unit": Kind.TEXT,
    "role": Kind.TEXT,
    "user": Kind.TEXT,
    "program": Kind.TEXT,
    "ports": Kind.NUMBERS,
}
_JOB = {
    **_MACHINE,
    "job": Kind.TEXT,
    "source": Kind.TEXT,
    "role": Kind.TEXT,
    "user": Kind.TEXT,
    "schedule": Kind.TEXT,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule whose condition is understood."""

    entry: RuleEntry
    holds: Condition
    source: str
    """``rule 3 of fleet.yaml``."""


@dataclass(frozen=True, slots=True)
class Classification:
    """A role for a service, and who gave it."""

    role: Role
    reason: str
    source: str


def compiled(rules: RuleFile, name: str) -> tuple[Rule, ...]:
    """The rules of a file called ``name``. Raises ``PlanError`` for a condition that cannot be understood."""
    found = []
    for number, entry in enumerate(rules.rules, start=1):
        source = f"rule {number} of {name}"
        try:
            found.append(Rule(entry, parse(entry.when, _known(entry)), source))
        except ExpressionError as error:
            raise PlanError(f"{source}, `when`: {error}") from None
    return tuple(found)


def _known(entry: RuleEntry) -> dict[str, Kind]:
    if entry.service is not None:
        return _SERVICE
    return _MACHINE if entry.job is None else _JOB


def classified(service: Service, rules: RuleFile, name: str) -> Classification | None:
    """What a file's own table of names says of a service; None where what was found stays."""
    for number, pattern in enumerate(rules.classify, start=1):
        if RoleRule(pattern.services, pattern.role, pattern.reason).fits(service.name):
            source = f"entry {number} of `classify` in {name}"
            return Classification(pattern.role, pattern.reason, source)
    specification = service.specification
    if rules.builtin or specification is None or specification.type == "oneshot" or not service.command:
        return None
    if service.role is not Role.APPLICATION and own_rule(service.name) is not None:
        return Classification(Role.APPLICATION, "the built-in table is off", f"`builtin: false` in {name}")
    return None


def machine_facts(guest: GuestFacts, machine: MachineFacts) -> dict[str, str | int | tuple[str, ...]]:
    """What conditions of every rule can name."""
    major = re.match(r"\d{1,9}", guest.release.version)
    return {
        "machine": machine.name,
        "hostname": guest.hostname,
        "release": guest.release.id,
        "version": guest.release.version,
        "major": int(major[0]) if major else 0,
        "family": guest.release.family,
        "architecture": guest.architecture,
        "init": guest.init,
        "services": tuple(one.name for one in guest.services if one.role is Role.APPLICATION),
        "vcpus": machine.vcpus,
        "memory_mib": machine.memory_mib,
    }


def service_facts(machine: Facts, service: Service) -> Facts:
    """What conditions of rules about services can name."""
    return {
        **machine,
        "service": service.name,
        "unit": service.unit,
        "role": service.role.value,
        "user": service.user or "root",
        "program": Path(service.command[0]).name if service.command else "",
        "ports": tuple(port.number for port in service.ports),
    }


def job_facts(machine: Facts, job: Job) -> Facts:
    """What conditions of rules about jobs can name."""
    return {
        **machine,
        "job": job.name,
        "source": job.source,
        "role": job.role.value,
        "user": job.user or "root",
        "schedule": job.schedule,
    }
