"""A machine's plan as a YAML file: what was found, what is proposed, and in comments why.

Texts of the guest are quoted and escaped; what a plan file could not hold is left out, told, and stays as it
was found, because a key that is absent changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel
from ruamel.yaml.comments import CommentedMap

from converters.guest.facts import Job, Role, Service
from converters.plan import Decision, ImagePlan, ServicePlan
from converters.planfile.draft import Draft
from converters.planfile.emitting import brief, document, mapping, node, remark, remark_items, scalar
from converters.planfile.found import (
    job_keys,
    job_values,
    release_text,
    resources_entry,
    service_keys,
    service_values,
)
from converters.planfile.model import (
    LONGEST_KEY,
    MOST_SERVICES,
    VERSION,
    JobEntry,
    ResourcesEntry,
    ServiceEntry,
)
from converters.planfile.reading import unfit

Item = TypeVar("Item", Service, Job)

_SHOWN_EMPTY = ("ports", "volumes")
"""Keys that a person should see although they hold nothing."""
_MOST_NOTES = 200
_HEAD = """\
Plan of a machine: what orchestrate found and would do. Change it, then hand it back with
`orchestrate convert … --plan FILE` or `orchestrate … --plans FOLDER`: it decides.
A key that you take out leaves things as they were found. docs/plan.md tells of every key, those too
that do not stand here yet: health, resources, local_ports, reason."""


def plan_text(draft: Draft, plan: ImagePlan, notes: Sequence[str] = (), uuid: str = "") -> str:
    """The plan file of a machine.

    Args:
        draft: what was found, with what was decided already.
        plan: what is made of it.
        notes: what is told beside the guest's and the plan's own notes.
        uuid: the VM's, where it has one.
    """
    guest, said = draft.guest, _Said(plan.decisions)
    top = CommentedMap(version=VERSION)
    top["machine"] = scalar(plan.name)
    if uuid:
        top["uuid"] = scalar(uuid)
    top["guest"] = node({"release": release_text(guest), "architecture": guest.architecture})
    remark(top["guest"], "release", f"{guest.release.name}, by {guest.release.source or 'nothing'}")
    top["starts"] = scalar(draft.choices.starts)
    remark(top, "starts", f"its own image starts {plan.service or plan.starts or 'a shell'} now")
    _fill(top, {"resources": _fitting(resources_entry(plan.resources))})
    planned = {service.name: service for service in plan.members or plan.services}
    services, services_left = _listed(service_keys(guest.services), "services")
    # What runs comes first.
    services.sort(key=lambda item: item[1].role is not Role.APPLICATION)
    top["services"] = mapping(
        (name, _service(draft, one), said.of_service(one, planned.get(name))) for name, one in services
    )
    jobs, jobs_left = _listed(job_keys(guest.jobs), "jobs")
    top["jobs"] = mapping(
        (name, _job(job), [*said.by(f"job {name}"), job.source, *job.notes]) for name, job in jobs
    )
    told = [*guest.notes, *notes, *plan.notes, *said.by("machine"), *services_left, *jobs_left]
    return document(top, _head(told))


def _head(notes: Sequence[str]) -> str:
    if not notes:
        return f"{_HEAD}\n"
    more = len(notes) - _MOST_NOTES
    lines = [f"- {brief(note)}" for note in notes[:_MOST_NOTES]]
    lines += [f"- and {more} more, which the report has"] if more > 0 else []
    return "\n".join((_HEAD, "", "What to know:", *lines, ""))


def _listed(found: Mapping[str, Item], what: str) -> tuple[list[tuple[str, Item]], list[str]]:
    """What a plan lists, and what is told of the rest: a guest can have any number, of any name."""
    listed = [item for item in found.items() if len(item[0]) <= LONGEST_KEY][:MOST_SERVICES]
    left = len(found) - len(listed)
    return listed, [f"{left} more {what} are not listed and stay as found."] if left else []


def _service(draft: Draft, service: Service) -> CommentedMap:
    found = CommentedMap(run=service.role is Role.APPLICATION)
    remark(found, "run", service.reason)
    if service.role is not Role.APPLICATION:
        return found
    _fill(found, service_values(service, draft.choice(service.name)), ServiceEntry)
    for key, loopback in (("ports", False), ("local_ports", True)):
        ports = (port for port in service.ports if port.loopback is loopback)
        remark_items(found.get(key), {f"{port.number}/{port.protocol}": port.source for port in ports})
    remark_items(found.get("volumes"), {data.path: data.source for data in service.data})
    return found


def _job(job: Job) -> CommentedMap:
    found = CommentedMap(run=job.role is Role.APPLICATION)
    remark(found, "run", job.reason)
    if job.role is not Role.APPLICATION:
        return found
    if not job.commands:
        remark(found, "run", "no command of it is known")
    _fill(found, job_values(job), JobEntry)
    if job.at_boot:
        remark(found, "run", f"{job.reason}; it ran once at each boot")
    return found


def _fill(found: CommentedMap, values: Mapping[str, Any], model: type[BaseModel] | None = None) -> None:
    """Add the values that a file can hold; of those that it cannot, a remark."""
    given = {key: value for key, value in values.items() if value is not None}
    bad = unfit(model, given) if model else frozenset()
    for key, value in given.items():
        if key not in bad and (value not in ("", (), {}) or key in _SHOWN_EMPTY):
            found[key] = node(value)
    if bad:
        remark(found, "run", f"{', '.join(sorted(bad))}: as found, which a plan cannot hold")


def _fitting(resources: ResourcesEntry) -> dict[str, Any] | None:
    """What a plan can hold of a machine's resources; None where that is nothing."""
    given = {key: value for key, value in resources if value is not None}
    bad = unfit(ResourcesEntry, given)
    return {key: value for key, value in given.items() if key not in bad} or None


class _Said:
    """What is to be said above entries."""

    def __init__(self, decisions: Iterable[Decision]) -> None:
        self._decided: dict[str, list[str]] = {}
        for one in decisions:
            self._decided.setdefault(one.subject, []).append(f"By {one.source}: {one.what}.")

    def by(self, subject: str) -> Sequence[str]:
        """Who decided what of it."""
        return self._decided.get(subject, ())

    def of_service(self, service: Service, planned: ServicePlan | None) -> list[str]:
        """Where it comes from, how it is started, what it is given, what a person should know."""
        said = [*self.by(f"service {service.name}"), service.unit]
        if planned is None:
            return [*said, *service.notes] if service.role is Role.APPLICATION else said
        if planned.specification is not None:
            said.append(f"The image's small init starts it, because {', '.join(planned.reasons)}.")
        else:
            said.append("The container engine starts its command itself.")
        if planned.privilege is not None:
            said += planned.privilege.reasons
            said += [f"To decide: {one}" for one in planned.privilege.decisions]
        return [*said, *planned.notes]
