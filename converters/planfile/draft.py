"""A machine between what was found and what is decided: facts and choices, and who changed what. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from converters.guest.facts import GuestFacts, Role
from converters.plan import NO_CHOICES, Choices, Decision, HealthCheck, Resources, ServiceChoice
from converters.planfile.changes import Values, changed_job, changed_service, told
from converters.planfile.found import (
    health_of,
    job_keys,
    job_values,
    resources_of,
    service_keys,
    service_values,
    told_resources,
)
from converters.planfile.model import HealthEntry, JobEntry, MachineEntry, ResourcesEntry, ServiceChange
from converters.planfile.rules import Classification

_NO_CHOICE = ServiceChoice()


@dataclass(frozen=True, slots=True)
class Draft:
    """What is known and decided so far."""

    guest: GuestFacts
    resources: Resources
    """Of each container that has none of its own."""
    choices: Choices = NO_CHOICES

    def choice(self, service: str) -> ServiceChoice:
        """What is decided of a service beside its facts."""
        return self.choices.services.get(service, _NO_CHOICE)

    def classified(self, name: str, found: Classification) -> Draft:
        """A service has another role."""
        return self._with_service(name, {"run": found.role is Role.APPLICATION}, found.reason, found.source)

    def with_service(self, name: str, edit: Values, entry: ServiceChange, source: str) -> Draft:
        """A service as it was decided; ``edit`` is what the entry changes of its facts."""
        draft = self
        if entry.resources is not None:
            draft = draft._with_resources(name, entry.resources, source)
        if entry.health is not None:
            draft = draft._with_health(name, entry.health, source)
        return draft._with_service(name, edit, entry.reason or "", source)

    def with_job(self, key: str, edit: Values, entry: JobEntry, source: str) -> Draft:
        """A job as it was decided."""
        if not edit:
            return self
        job = job_keys(self.guest.jobs)[key]
        changed = changed_job(job, edit, entry.reason or "", source)
        jobs = tuple(changed if one is job else one for one in self.guest.jobs)
        draft = replace(self, guest=replace(self.guest, jobs=jobs))
        return draft._decided(f"job {key}", told(edit, job_values(job), entry.reason or ""), source)

    def with_machine(self, entry: MachineEntry, source: str) -> Draft:
        """The machine as a whole as it was decided."""
        draft = self
        if entry.starts is not None and entry.starts != self.choices.starts:
            draft = replace(draft, choices=replace(draft.choices, starts=entry.starts))
            draft = draft._decided("machine", [f"its own image starts: {entry.starts}"], source)
        if entry.resources is None:
            return draft
        wanted = resources_of(entry.resources, self.resources)
        if wanted == self.resources:
            return draft
        draft = replace(draft, resources=wanted, choices=replace(draft.choices, resources=wanted))
        return draft._decided("machine", [f"its containers may take {told_resources(wanted)}"], source)

    def _with_service(self, name: str, edit: Values, reason: str, source: str) -> Draft:
        service = service_keys(self.guest.services)[name]
        found = service_values(service, _NO_CHOICE)
        edit = {key: value for key, value in edit.items() if value != found[key]}
        if not edit:
            return self
        changed = changed_service(service, edit, reason, source)
        services = tuple(changed if one is service else one for one in self.guest.services)
        draft = replace(self, guest=replace(self.guest, services=services))
        if changed.name != name:
            choices = {
                changed.name if key == name else key: one for key, one in self.choices.services.items()
            }
            starts = changed.name if self.choices.starts == name else self.choices.starts
            draft = replace(draft, choices=replace(self.choices, services=choices, starts=starts))
        return draft._decided(f"service {name}", told(edit, found, reason), source)

    def _with_resources(self, name: str, entry: ResourcesEntry, source: str) -> Draft:
        before = self.choice(name).resources
        wanted = resources_of(entry, before or self.resources)
        if wanted == (before or self.resources):
            return self
        draft = self._with_choice(name, resources=wanted)
        return draft._decided(f"service {name}", [f"may take {told_resources(wanted)}"], source)

    def _with_health(self, name: str, entry: HealthEntry, source: str) -> Draft:
        wanted: HealthCheck = health_of(entry)
        if wanted == self.choice(name).health:
            return self
        how = "a command" if wanted.command else f"port {wanted.port}{wanted.path}"
        draft = self._with_choice(name, health=wanted)
        return draft._decided(f"service {name}", [f"is looked after by {how}"], source)

    def _with_choice(self, name: str, **change: Any) -> Draft:
        services: Mapping[str, ServiceChoice] = {
            **self.choices.services,
            name: replace(self.choice(name), **change),
        }
        return replace(self, choices=replace(self.choices, services=services))

    def _decided(self, subject: str, what: Any, source: str) -> Draft:
        decisions = (*self.choices.decisions, *(Decision(subject, one, source) for one in what))
        return replace(self, choices=replace(self.choices, decisions=decisions))
