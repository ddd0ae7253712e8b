"""The deployment files of one machine, of the kinds that are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from converters.manifests.compose import compose_text
from converters.manifests.fig import fig
from converters.manifests.fleet import fleet
from converters.manifests.kinds import Manifest
from converters.manifests.kubernetes.folder import kubernetes
from converters.manifests.machine import Machine, machine
from converters.manifests.quadlet import quadlet
from converters.manifests.run_script import run_script
from converters.request import Converted


def manifests(
    kinds: Iterable[Manifest], converted: Converted, reference: str
) -> Iterator[tuple[Manifest, str, dict[str, str]]]:
    """Each kind with what its file or folder is called, and the texts by their paths below the folder wanted.

    All of them name the images by digest.

    Args:
        reference: the machine's own image by digest.
    """
    described = machine(converted.plan, reference, converted.services)
    stem = converted.target.repository.rpartition("/")[2]
    for kind in kinds:
        name, files = _files(kind, described, stem)
        yield kind, name, files


def _files(kind: Manifest, described: Machine, stem: str) -> tuple[str, dict[str, str]]:
    match kind:
        case Manifest.COMPOSE:
            return _single(f"{stem}.compose.yaml", compose_text(described))
        case Manifest.FIG:
            return _single(f"{stem}.fig.yml", fig(described))
        case Manifest.RUN:
            return _single(f"{stem}.run.sh", run_script(described))
        case Manifest.KUBERNETES:
            return _folder(f"{stem}.kubernetes", kubernetes(described))
        case Manifest.FLEET:
            return _folder(f"{stem}.fleet", fleet(described))
        case Manifest.QUADLET:
            return _folder(f"{stem}.quadlet", quadlet(described))


def _single(name: str, text: str) -> tuple[str, dict[str, str]]:
    return name, {name: text}


def _folder(name: str, files: dict[str, str]) -> tuple[str, dict[str, str]]:
    return name, {f"{name}/{file}": text for file, text in files.items()}
