"""From a look at a guest's disks to what is made of it: facts, what people have decided, the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from converters import absent
from converters.grouping import arranged
from converters.guest.facts import GuestFacts, Inspection, MountPoint, VolumeRole
from converters.guest.kernel.target import this_machine
from converters.image.config import standard_labels
from converters.plan import ImagePlan
from converters.planfile.decide import decided_image, drafted
from converters.planfile.draft import Draft
from converters.request import Request
from converters.told import with_verdict


def understood(request: Request, inspection: Inspection) -> tuple[Draft, ImagePlan]:
    """The facts that count, and the plan of the images.

    Raises:
        PlanError: a plan file wants what the machine does not have.
    """
    machine, decisions = request.machine, request.decisions
    draft = drafted(inspection.guest, machine, decisions)
    plan = decided_image(draft, machine, decisions, labels(request, draft.guest), request.hardening)
    plan = replace(plan, notes=(*plan.notes, *absent.notes(request.disks, inspection.unread)))
    plan = with_verdict(plan, draft.guest, request.target_kernel or this_machine(), date.today())
    plan = replace(plan, data_volumes=data_volumes(inspection.mounts))
    return draft, arranged(plan, request.grouping)


def data_volumes(mounts: Sequence[MountPoint]) -> tuple[MountPoint, ...]:
    """File systems that hold a machine's data; a directory that is shown twice is none."""
    return tuple(mount for mount in mounts if mount.role is VolumeRole.DATA and not mount.bound)


def labels(request: Request, guest: GuestFacts) -> tuple[tuple[str, str], ...]:
    """The image's labels: the specification's own, then the request's."""
    standard = standard_labels(
        title=request.machine.name, description=f"{guest.release.name}, converted from a virtual machine"
    )
    return (*standard.items(), *request.labels)
