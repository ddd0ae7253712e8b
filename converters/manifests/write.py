"""The deployment files of one machine, of the kinds that are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from converters.manifests.compose import compose
from converters.manifests.kinds import Manifest
from converters.manifests.kubernetes import kubernetes
from converters.request import Converted


def manifests(
    kinds: Iterable[Manifest], converted: Converted, reference: str
) -> Iterator[tuple[Manifest, str]]:
    """Each kind with its text; all of them name the images by digest.

    Args:
        reference: the machine's own image by digest.
    """
    plan, services = converted.plan, converted.services
    for kind in kinds:
        match kind:
            case Manifest.COMPOSE:
                yield kind, compose(plan, reference, services)
            case Manifest.KUBERNETES:
                yield kind, kubernetes(plan, reference, services)
