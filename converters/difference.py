"""How a machine's containers differ from the machine, said aloud: nothing is dropped without a word. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from converters.guest.facts import GuestFacts, Inspection
from converters.guest.kernel.values import Grade
from converters.guest.secrets.values import SecretMount
from converters.image.removals import Removal
from converters.manifests.yaml_text import comment
from converters.moved_secrets import told_for_jobs
from converters.plan import ImagePlan, ServicePlan
from converters.scheduled import JobPlan

_PATHS_SHOWN = 5
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~])")


class Topic(StrEnum):
    """What a difference is to the reader, most urgent first."""

    DECIDE = "To decide"
    DIFFERENT = "Runs differently"
    LEFT_OUT = "Left out"
    DECIDED = "Decided by people"
    KNOW = "To know"


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is otherwise in the containers than on the machine."""

    topic: Topic
    subject: str
    """``service nginx``, ``job backup``, a path, a volume."""
    text: str


def differences(
    inspection: Inspection, plan: ImagePlan, removals: Iterable[Removal]
) -> tuple[Difference, ...]:
    """Every difference that is known, by topic; each once."""
    decide = tuple(_to_decide(inspection, plan))
    said = {one.text for one in decide}
    found = dict.fromkeys(
        (
            *decide,
            *_running(plan),
            *_left_out(inspection, plan, removals),
            *_decided(plan),
            *(Difference(Topic.KNOW, "", note) for note in _notes(inspection, plan) if note not in said),
        )
    )
    order = list(Topic)
    return tuple(sorted(found, key=lambda one: order.index(one.topic)))


def _decided(plan: ImagePlan) -> Iterator[Difference]:
    for one in plan.decisions:
        yield Difference(Topic.DECIDED, one.subject, f"{one.what} (by {one.source})")


def _notes(inspection: Inspection, plan: ImagePlan) -> Iterator[str]:
    yield from inspection.notes
    yield from inspection.guest.notes
    yield from plan.notes


def _to_decide(inspection: Inspection, plan: ImagePlan) -> Iterator[Difference]:
    for service in _services(plan):
        if service.privilege is not None:
            for sentence in service.privilege.decisions:
                yield Difference(Topic.DECIDE, f"service {service.name}", sentence)
    for one in plan.not_planned:
        if one.lacking:
            yield Difference(Topic.DECIDE, f"{one.kind} {one.name}", f"how it is started: {one.reason}")
    for job in plan.jobs:
        if not job.schedule:
            yield Difference(
                Topic.DECIDE, f"job {job.name}", f"when it runs ({job.source}); {_told_boot(job)}"
            )
    for sentence in told_for_jobs([job.name for job in plan.jobs], plan.held, _given(plan)):
        yield Difference(Topic.DECIDE, "jobs", sentence)
    for mount in inspection.unread:
        yield Difference(
            Topic.DECIDE,
            mount.path,
            f"what it becomes: {mount.source} is on none of the disks that were read",
        )
    if plan.kernel is not None:
        for finding in plan.kernel.findings:
            if finding.grade in (Grade.HOST, Grade.FAILS):
                yield Difference(Topic.DECIDE, finding.subject, finding.sentence())
    yield from _secrets(inspection.guest, {held.path for held in plan.held})


def _told_boot(job: JobPlan) -> str:
    return "it ran once at each boot" if job.at_boot else "five fields cannot say it"


def _secrets(guest: GuestFacts, moved: Collection[str]) -> Iterator[Difference]:
    """Those that stay in the image."""
    for secret in guest.secrets:
        if secret.path in moved:
            continue
        name = f" ({secret.name})" if secret.name else ""
        yield Difference(Topic.DECIDE, secret.path, f"a secret: {secret.kind}{name}; who may pull the image?")


def _services(plan: ImagePlan) -> tuple[ServicePlan, ...]:
    return plan.members or plan.services


def _given(plan: ImagePlan) -> tuple[SecretMount, ...]:
    """What the services' containers get from outside."""
    return tuple(mount for service in _services(plan) for mount in service.secrets)


def _moved(plan: ImagePlan) -> Iterator[Difference]:
    served = {mount.path for mount in _given(plan)}
    but = ", and no job's" if plan.jobs else ""
    for held in plan.held:
        text = (
            f"a secret that its service's container gets from outside the image{but}"
            if held.path in served
            else "a secret that was moved out of the image, and that no container gets"
        )
        yield Difference(Topic.DIFFERENT, held.path, text)


def _running(plan: ImagePlan) -> Iterator[Difference]:
    yield from _moved(plan)
    for service in _services(plan):
        subject = f"service {service.name}"
        how = (
            f"by the image's small init, because {', '.join(service.reasons)}"
            if service.specification is not None
            else "by the container engine, as its first process"
        )
        yield Difference(Topic.DIFFERENT, subject, f"is started {how}")
        for port in service.ports:
            if port.loopback:
                yield Difference(
                    Topic.DIFFERENT,
                    subject,
                    f"port {port.number}/{port.protocol} is reached only in its own network ({port.source})",
                )
        for data in service.data:
            yield Difference(Topic.DIFFERENT, subject, f"{data.path} is a volume ({data.source})")
    for job in plan.jobs:
        if job.schedule:
            yield Difference(
                Topic.DIFFERENT,
                f"job {job.name}",
                f"`{job.schedule}`: is started from outside ({job.source})",
            )


def _left_out(inspection: Inspection, plan: ImagePlan, removals: Iterable[Removal]) -> Iterator[Difference]:
    for one in plan.not_planned:
        yield Difference(Topic.LEFT_OUT, f"{one.kind} {one.name}", one.reason)
    for container in inspection.guest.containers:
        yield Difference(
            Topic.LEFT_OUT,
            f"container {container.name}",
            f"{container.image}, which {container.engine} ran already ({container.source}): move it as it is",
        )
    for volume in inspection.unmounted:
        what = " ".join(filter(None, (volume.type, volume.label, volume.uuid)))
        yield Difference(Topic.LEFT_OUT, volume.device, f"nothing mounts it at boot ({what or 'not known'})")
    for removal in removals:
        shown = ", ".join(removal.paths[:_PATHS_SHOWN])
        more = " …" if len(removal.paths) > _PATHS_SHOWN else ""
        counts = f"{removal.entries:,} entries, {removal.bytes:,} bytes"
        yield Difference(Topic.LEFT_OUT, removal.name, f"{removal.reason}: {counts} ({shown}{more})")


def markdown(plan: ImagePlan, found: Iterable[Difference]) -> str:
    """The differences as a page for people; texts of the guest cannot change how it reads."""
    by_topic: dict[Topic, list[Difference]] = {}
    for one in found:
        by_topic.setdefault(one.topic, []).append(one)
    lines = [f"# {_escaped(plan.name)}: what differs from the machine", ""]
    for topic, several in by_topic.items():
        lines += [f"## {topic}", ""]
        lines += map(_line, several)
        lines.append("")
    return "\n".join(lines)


def _line(one: Difference) -> str:
    subject = f"**{_escaped(one.subject)}**: " if one.subject else ""
    return f"- {subject}{_escaped(one.text)}"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", comment(text))
