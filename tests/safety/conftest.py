"""What these tests share: a vCenter with three VMs, a registry, and the images of a quiet run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deploy.demo import guests, simulator
from deploy.demo.fleet import Datacenter, Disk, Fleet, Machine, Settings, UserSnapshot
from deploy.demo.registry import Registry, registry
from deploy.demo.simulator import Simulator
from tests.safety.harness import BY_HAND, DATACENTER, LEASE_SECONDS, Site, digests
from tests.safety.link import Link, linked
from tests.safety.settling import settling

BIG = 6 << 20
"""Bytes that do not compress: enough to be met in the middle of a download or a push."""


@pytest.fixture(scope="package")
def vcenter() -> Iterator[Simulator]:
    """A vCenter of these tests' own."""
    vm, snapshot = BY_HAND
    machines = (
        Machine(
            vm,
            disks=(Disk(path=str(guests.small(vm, BIG).vmdk)),),
            snapshots=(UserSnapshot(snapshot, "made by hand: stays"),),
        ),
        Machine("little", folders=("prod",), disks=(Disk(path=str(guests.small("little").vmdk)),)),
        Machine("other", power="poweredOff", disks=(Disk(path=str(guests.small("other").vmdk)),)),
    )
    fleet = Fleet((Datacenter(DATACENTER, vms=machines),), Settings(lease_timeout=LEASE_SECONDS))
    with simulator.running(fleet) as running:
        yield running


@pytest.fixture(scope="package")
def images() -> Iterator[Registry]:
    """A registry of these tests' own."""
    with registry() as running:
        yield running


@pytest.fixture(scope="package")
def link(images: Registry) -> Iterator[Link]:
    """The way to it."""
    with linked(images.address) as between:
        yield between


@pytest.fixture(scope="package")
def undisturbed(
    vcenter: Simulator, images: Registry, link: Link, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """Image digest by VM, of a run that nothing disturbs."""
    site = Site(vcenter, images, link, tmp_path_factory.mktemp("undisturbed"), "undisturbed")
    return digests(site.convert())


@pytest.fixture
def site(
    undisturbed: Mapping[str, str], vcenter: Simulator, images: Registry, link: Link, tmp_path: Path
) -> Iterator[Site]:
    """A place for one test, which must leave nothing behind."""
    with settling(vcenter, images, link, tmp_path) as made:
        yield made
