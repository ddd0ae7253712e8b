"""The deployment files of one machine, of the kinds that are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from converters.manifests.compose import compose_text
from converters.manifests.describe import machine
from converters.manifests.fig import fig
from converters.manifests.fleet import fleet
from converters.manifests.kinds import Manifest
from converters.manifests.kubernetes.folder import SECRETS, kubernetes
from converters.manifests.machine import Machine
from converters.manifests.quadlet import quadlet
from converters.manifests.run_script import run_script
from converters.request import Converted


@dataclass(frozen=True, slots=True)
class DeploymentFiles:
    """Files of one kind for one machine; paths are below the folder where they are wanted."""

    kind: Manifest
    name: str
    """The only file, or the folder of all."""
    texts: dict[str, str]
    """By path."""
    secrets_folder: str
    """Where they expect what was moved out of the images, a file each."""
    secrets: tuple[str, ...]
    """Names of those files."""


def manifests(kinds: Iterable[Manifest], converted: Converted, reference: str) -> Iterator[DeploymentFiles]:
    """The files of each kind; all of them name the images by digest.

    Args:
        reference: the machine's own image by digest.
    """
    described = machine(converted.plan, reference, converted.services)
    stem = converted.target.repository.rpartition("/")[2]
    for kind in kinds:
        yield _files(kind, described, stem)


def _files(kind: Manifest, described: Machine, stem: str) -> DeploymentFiles:
    match kind:
        case Manifest.COMPOSE:
            return _single(kind, described, f"{stem}.compose.yaml", compose_text(described))
        case Manifest.FIG:
            return _single(kind, described, f"{stem}.fig.yml", fig(described))
        case Manifest.RUN:
            return _single(kind, described, f"{stem}.run.sh", run_script(described))
        case Manifest.KUBERNETES:
            return _folder(kind, described, f"{stem}.kubernetes", kubernetes(described), SECRETS)
        case Manifest.FLEET:
            return _folder(kind, described, f"{stem}.fleet", fleet(described), described.secrets_folder)
        case Manifest.QUADLET:
            return _folder(kind, described, f"{stem}.quadlet", quadlet(described), described.secrets_folder)


def _single(kind: Manifest, described: Machine, name: str, text: str) -> DeploymentFiles:
    return DeploymentFiles(kind, name, {name: text}, described.secrets_folder, described.secrets)


def _folder(
    kind: Manifest, described: Machine, name: str, texts: dict[str, str], secrets: str
) -> DeploymentFiles:
    below = {f"{name}/{file}": text for file, text in texts.items()}
    return DeploymentFiles(kind, name, below, f"{name}/{secrets}", described.secrets)
