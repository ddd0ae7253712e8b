"""What these tests share: a vCenter with eleven VMs, and the images of a quiet run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deploy.demo import simulator
from deploy.demo.registry import Registry
from deploy.demo.simulator import Simulator
from tests.safety.faults.crowd import WORKERS, fleet
from tests.safety.harness import Site, digests
from tests.safety.link import Link
from tests.safety.settling import settling


@pytest.fixture(scope="package")
def vcenter() -> Iterator[Simulator]:
    """A vCenter of these tests' own."""
    with simulator.running(fleet()) as running:
        yield running


@pytest.fixture(scope="package")
def undisturbed(
    vcenter: Simulator, images: Registry, link: Link, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """Image digest by VM, of a run that nothing disturbs."""
    with settling(vcenter, images, link, tmp_path_factory.mktemp("quiet")) as site:
        return digests(site.convert(*WORKERS))


@pytest.fixture
def site(
    undisturbed: Mapping[str, str], vcenter: Simulator, images: Registry, link: Link, tmp_path: Path
) -> Iterator[Site]:
    """A place for one test, which must leave nothing behind."""
    with settling(vcenter, images, link, tmp_path) as made:
        yield made
