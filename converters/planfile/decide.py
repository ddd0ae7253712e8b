"""From what was found to what is decided: rules over many machines, then its own plan, which wins. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace

from converters.errors import PlanError
from converters.guest.facts import GuestFacts
from converters.hardening import STANDARD, Hardening
from converters.plan import AUTO, NOTHING, ImagePlan, MachineFacts, plan_image, resources
from converters.planfile.changes import (
    changed_service,
    job_addition,
    job_edit,
    service_addition,
    service_edit,
)
from converters.planfile.draft import Draft
from converters.planfile.found import job_keys, numbered, release_text, service_keys
from converters.planfile.model import PlanFile, RuleFile
from converters.planfile.rules import Rule, classified, compiled, job_facts, machine_facts, service_facts


@dataclass(frozen=True, slots=True)
class Decisions:
    """What people have decided of a machine; their files' names are for the report."""

    rules: RuleFile | None = None
    rules_name: str = ""
    plan: PlanFile | None = None
    plan_name: str = ""


NO_DECISIONS = Decisions()


def drafted(guest: GuestFacts, machine: MachineFacts, decisions: Decisions) -> Draft:
    """The facts and choices that count.

    Raises:
        PlanError: the plan wants what the machine does not have.
    """
    draft = Draft(_told_apart(guest), resources(machine))
    if decisions.rules is not None:
        draft = _by_rules(draft, machine, decisions.rules, decisions.rules_name)
    if decisions.plan is not None:
        draft = _by_plan(draft, decisions.plan, decisions.plan_name)
    return draft


def _told_apart(guest: GuestFacts) -> GuestFacts:
    """Services by names of their own: one that is started for each connection may be called as another."""
    taken: set[str] = set()
    services = []
    for service in guest.services:
        name = next(name for name in numbered(service.name) if name not in taken)
        taken.add(name)
        services.append(service if name == service.name else changed_service(service, {"name": name}, "", ""))
    return replace(guest, services=tuple(services))


def decided_image(
    draft: Draft,
    machine: MachineFacts,
    decisions: Decisions,
    labels: tuple[tuple[str, str], ...] = (),
    hardening: Hardening = STANDARD,
) -> ImagePlan:
    """What the images of a machine start, after everything that was decided.

    Raises:
        PlanError: two services have one name, or the one that the machine's image should start is none.
    """
    starts = draft.choices.starts
    plan = plan_image(draft.guest, machine, labels, hardening, draft.choices)
    planned = [service.name for service in plan.services]
    source = decisions.plan_name or decisions.rules_name
    if repeated := sorted({name for name in planned if planned.count(name) > 1}):
        raise PlanError(f"{source}: two services are called {repeated[0]}", "give one of them another `name`")
    if starts not in (AUTO, NOTHING, *planned):
        raise PlanError(
            f"{source}: `starts` names {starts!r}, which is no service that gets a container",
            f"there are: {', '.join((AUTO, NOTHING, *planned))}",
        )
    return replace(plan, notes=(*plan.notes, *_release_notes(draft.guest, decisions)))


def _release_notes(guest: GuestFacts, decisions: Decisions) -> Iterable[str]:
    plan = decisions.plan
    if plan is None:
        return ()
    found = {"release": release_text(guest), "architecture": guest.architecture}
    return tuple(
        f"The plan {decisions.plan_name} was made for {key} {made}, and the guest has {found[key]} now:"
        " look whether it still fits."
        for key, made in plan.guest
        if made and made != found[key]
    )


def _by_rules(draft: Draft, machine: MachineFacts, rules: RuleFile, name: str) -> Draft:
    for key, service in service_keys(draft.guest.services).items():
        if (found := classified(service, rules, name)) is not None:
            draft = draft.classified(key, found)
    for rule in compiled(rules, name):
        draft = _by_rule(draft, machine, rule)
    return draft


def _by_rule(draft: Draft, machine: MachineFacts, rule: Rule) -> Draft:
    facts, entry = machine_facts(draft.guest, machine), rule.entry
    if entry.machine is not None and rule.holds(facts):
        return draft.with_machine(entry.machine, rule.source)
    if entry.service is not None:
        for key, service in service_keys(draft.guest.services).items():
            if rule.holds(service_facts(facts, service)):
                edit = service_addition(service, entry.service)
                draft = draft.with_service(key, edit, entry.service, rule.source)
    if entry.job is not None:
        for key, job in job_keys(draft.guest.jobs).items():
            if rule.holds(job_facts(facts, job)):
                draft = draft.with_job(key, job_addition(job, entry.job), entry.job, rule.source)
    return draft


def _by_plan(draft: Draft, plan: PlanFile, name: str) -> Draft:
    source = f"plan {name}"
    services, jobs = service_keys(draft.guest.services), job_keys(draft.guest.jobs)
    draft = draft.with_machine(plan, source)
    for key, entry in plan.services.items():
        if key in services:
            draft = draft.with_service(key, service_edit(services[key], entry), entry, source)
        elif entry.run is not False:
            raise _missing("service", key, services, name)
    for key, job_entry in plan.jobs.items():
        if key in jobs:
            draft = draft.with_job(key, job_edit(jobs[key], job_entry), job_entry, source)
        elif job_entry.run is not False:
            raise _missing("job", key, jobs, name)
    return draft


def _missing(what: str, key: str, known: Iterable[str], name: str) -> PlanError:
    close = difflib.get_close_matches(key, known, 1)
    meant = f"did you mean `{close[0]}`? else " if close else ""
    return PlanError(
        f"{name}: the machine has no {what} {key!r} (any more)",
        f"{meant}take its entry out or set `run: false` in it, or have the plan made anew with --plan-only",
    )
