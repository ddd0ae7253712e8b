"""Whole machines as containers: each service answers with its machine's content, as its machine's user."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.demo import dockerd
from deploy.demo.fidelity import MACHINES, Examined, examine
from deploy.demo.registry import registry
from orchestrator.verify.engine import Engine

pytestmark = [pytest.mark.root, pytest.mark.slow]

ALWAYS = ("office",)
"""The others take minutes; ``stack`` is looked at more closely in a module of its own."""


def machines() -> Iterator[object]:
    """All but the last, marked by how long they take."""
    for name in MACHINES:
        if name != "stack":
            yield pytest.param(name, marks=() if name in ALWAYS else pytest.mark.long)


@pytest.fixture(scope="module", params=machines())
def examined(
    request: pytest.FixtureRequest, engine: dockerd.Engine, tmp_path_factory: pytest.TempPathFactory
) -> Examined:
    """A machine, converted and looked at."""
    with registry() as server, Engine(f"unix://{engine.socket}") as asked:
        return examine(MACHINES[request.param], asked, server, tmp_path_factory.mktemp("scratch"))


def test_every_service_serves_what_its_machine_did(examined: Examined) -> None:
    verification = examined.verification
    assert verification.good, (verification.error, [one for one in verification.services if one.lines])
    missing = [one for one in examined.machine.questions if not examined.answered(one)]
    assert not missing, [(one.service, examined.answers.get(one)) for one in missing]


def test_unprivileged_as_the_machines_users(examined: Examined) -> None:
    assert not [one.service for one in examined.verification.services if one.privileged]
    for question in examined.machine.questions:
        assert question.user in examined.users[question.service], question.service


def test_each_stops_by_itself(examined: Examined) -> None:
    killed = [one.service for one in examined.verification.services if one.stopped is None]
    assert not killed


def test_no_systemd(examined: Examined) -> None:
    assert not [one.name for one in examined.converted.services if one.name.startswith("systemd")]


def test_nothing_is_left_of_it(examined: Examined, engine: dockerd.Engine) -> None:
    assert examined.verification.services
    assert not [one for one in engine.client.containers.list(all=True) if "verify" in str(one.name)]
    assert not [one for one in engine.client.networks.list() if "verify" in str(one.name)]
    assert not [one for one in engine.client.volumes.list() if "verify" in str(one.name)]
    assert not [
        one for one in engine.client.images.list() if examined.machine.name in str(one.attrs["RepoDigests"])
    ]
