"""Containers are tried in a real engine, for one machine and in a run; the verdict is told and kept."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from deploy.demo import dockerd, guests
from deploy.demo.guests.tiny import PORT
from orchestrator.errors import ExitCode
from tests.kernel import needs_root
from tests.orchestrator.cli.conftest import Orchestrate

pytestmark = needs_root

ANSWER = "HTTP 200"


def facts(folder: Path, said: str) -> str:
    """The facts of the machine ``little`` while it ran; gives their folder."""
    socket = {"protocol": "tcp", "address": "0.0.0.0", "port": PORT, "unit": "web.service", "said": said}
    document = {"version": 1, "machine": "little", "taken": "2026-03-01T12:00:00Z", "sockets": [socket]}
    (folder / "little.json").write_text(json.dumps(document))
    return str(folder)


def left(engine: dockerd.Engine) -> set[object]:
    """What a verification has left in the engine, which lists images of one time in any order."""
    client = engine.client
    networks = [one for one in client.networks.list() if "verify" in str(one.name)]
    return {*client.containers.list(all=True), *networks, *client.volumes.list(), *client.images.list()}


def test_a_machine_that_serves(
    orchestrate: Orchestrate, environment: Mapping[str, str], engine: dockerd.Engine, tmp_path: Path
) -> None:
    before = left(engine)
    said = orchestrate(
        *("convert", str(guests.small("little").raw), "--name", "little", "--verify"),
        *("--verify-engine", f"unix://{engine.socket}", "--facts", facts(tmp_path, ANSWER)),
    )
    assert said.status == ExitCode.OK, said.err
    assert "verified: 1 of 1 services serve" in said.err
    assert f"web answers; {PORT}/tcp answers: {ANSWER}" in said.err
    verdict = json.loads((Path(environment["ORCHESTRATE_OUTPUT"]) / "verify/little.verify.json").read_text())
    assert (verdict["version"], verdict["good"]) == (1, True)
    assert verdict["services"][0]["ports"][0]["said"] == ANSWER
    assert left(engine) == before


def test_a_run_tells_who_does_not_serve_what_the_machine_did(
    orchestrate: Orchestrate, environment: Mapping[str, str], engine: dockerd.Engine, tmp_path: Path
) -> None:
    before = left(engine)
    said = orchestrate(
        *("--include", "little", "--verify", "--verify-engine", f"unix://{engine.socket}"),
        *("--verify-seconds", "3", "--facts", facts(tmp_path, "HTTP 200, title Shop")),
    )
    assert said.status == ExitCode.SOME_FAILED
    assert "1 of 1 VM converted" in said.out
    output = Path(environment["ORCHESTRATE_OUTPUT"])
    (job,) = [
        job
        for job in json.loads((output / "report.json").read_text())["run"]["jobs"]
        if job["vm"] == "little"
    ]
    assert job["state"] == "done"
    (service,) = job["verification"]["services"]
    assert service["outcome"] == "differs"
    assert service["ports"][0]["said"] == "HTTP 200; the machine: HTTP 200, title Shop"
    page = (output / "report.html").read_text()
    assert "verified: 0 of 1 services serve; web differs" in page
    with closing(sqlite3.connect(environment["ORCHESTRATE_LEDGER"])) as ledger:
        told = ledger.execute("SELECT message FROM events WHERE kind = 'verify'").fetchall()
    assert told == [("verified: 0 of 1 services serve; web differs",)]
    assert left(engine) == before


def test_what_each_opens_alone(
    orchestrate: Orchestrate, environment: Mapping[str, str], engine: dockerd.Engine, tmp_path: Path
) -> None:
    said = orchestrate(
        *("convert", str(guests.small("little").raw), "--name", "little", "--observe"),
        *("--verify-engine", f"unix://{engine.socket}"),
    )
    assert said.status == ExitCode.OK, said.err
    assert f"web, started alone, opened what is known: tcp :::{PORT}" in said.err
    verdict = json.loads((Path(environment["ORCHESTRATE_OUTPUT"]) / "verify/little.verify.json").read_text())
    (seen,) = verdict["observed"]
    assert (seen["service"], seen["unknown"], seen["missing"], seen["ended"]) == ("web", [], [], None)


def test_no_engine_is_told_and_costs_no_image(
    orchestrate: Orchestrate, environment: Mapping[str, str], tmp_path: Path
) -> None:
    nowhere = f"unix://{tmp_path}/no.sock"
    said = orchestrate("convert", str(guests.small("little").raw), "--verify", "--verify-engine", nowhere)
    assert said.status == ExitCode.SOME_FAILED
    assert said.out.startswith(environment["ORCHESTRATE_REGISTRY"])
    assert f"not verified: no container engine answers at {nowhere}" in said.err
    assert "--verify-engine" in said.err


@pytest.mark.parametrize("engine", ["npipe://x", "/var/run/docker.sock"])
def test_an_engine_is_a_socket_or_a_host(orchestrate: Orchestrate, engine: str) -> None:
    said = orchestrate("convert", str(guests.small("little").raw), "--verify", "--verify-engine", engine)
    assert said.status == ExitCode.USAGE
