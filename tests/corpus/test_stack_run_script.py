"""The guest of nine services, started by its script of ``docker run``; its checks asked as engines do."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from docker.models.containers import Container

from converters.manifests.describe import machine
from converters.manifests.machine import Machine
from converters.manifests.run_script import run_script
from converters.plan import ServicePlan
from deploy.demo import dockerd, guests
from deploy.demo.registry import registry
from tests.converters.conversions import request, run
from tests.corpus.test_stack import START

pytestmark = [pytest.mark.root, pytest.mark.long]


def _unpublished(service: ServicePlan) -> ServicePlan:
    """Without its ports, which other programs of this machine may have."""
    return replace(service, run=replace(service.run, exposed_ports=()))


@pytest.fixture(scope="module")
def described(engine: dockerd.Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with registry() as server:
        asked = request(server, "script", guests.stack().raw)
        converted = run(asked, tmp_path_factory.mktemp("scratch"))
        plan = replace(converted.plan, services=tuple(map(_unpublished, converted.plan.services)))
        yield machine(plan, f"{asked.target.repository}@{converted.digest}", converted.services)


def test_the_script_starts_what_the_machine_ran(
    engine: dockerd.Engine, described: Machine, tmp_path: Path
) -> None:
    script = tmp_path / "run.sh"
    script.write_text(run_script(described))
    environment = {**engine.environment(), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    try:
        subprocess.run(["sh", script], env=environment, check=True, timeout=200)
        started = {one.name: one for one in engine.client.containers.list() if _is_of(described, one)}
        checks = {f"{described.name}.{one.key}": one.check for one in described.containers}
        assert {*started} == {described.name, *checks}
        waiting = {name: check for name, check in checks.items() if check}
        assert len(waiting) >= 7
        deadline = time.monotonic() + START
        while waiting and time.monotonic() < deadline:
            waiting = {name: check for name, check in waiting.items() if not _is_well(started[name], check)}
            time.sleep(0.2)
        assert not waiting, {name: started[name].logs(tail=10) for name in waiting}
        again = subprocess.run(["sh", script], env=environment, capture_output=True, check=False)
        assert again.returncode != 0 and b"already in use" in again.stderr
        assert all(_is_running(one) for one in started.values())
    finally:
        for one in engine.client.containers.list(all=True):
            if _is_of(described, one):
                one.remove(force=True, v=True)
        for volume in engine.client.volumes.list():
            if volume.name.startswith(f"{described.name}."):
                volume.remove()


def _is_of(described: Machine, container: Container) -> bool:
    return str(container.name).partition(".")[0] == described.name


def _is_well(container: Container, check: tuple[str, ...]) -> bool:
    return bool(container.exec_run(list(check)).exit_code == 0)


def _is_running(container: Container) -> bool:
    container.reload()
    return bool(container.status == "running")
