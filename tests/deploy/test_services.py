"""The servers beside the simulator: they start, answer, and are gone afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from deploy.demo import dockerd, prometheus
from deploy.demo.guests import tiny
from tests.waiting import until


def test_prometheus_scrapes_itself_and_says_when_a_target_is_down() -> None:
    with prometheus.running({"absent": ["127.0.0.1:1"]}, interval=0.2) as server:
        until(lambda: len(server.query("up")) == 2)
        up = {sample.labels["job"]: sample.value for sample in server.query("up")}
        assert up == {"prometheus": 1.0, "absent": 0.0}
        with pytest.raises(ValueError, match="parse error"):
            server.query("up{")
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url, trust_env=False)


def test_an_engine_runs_an_image_and_leaves_no_process(engine: dockerd.Engine, tmp_path: Path) -> None:
    tiny.populate(tmp_path / "tree", "container")
    archive = tmp_path / "tree.tar"
    subprocess.run(["tar", "-C", str(tmp_path / "tree"), "-cf", str(archive), "."], check=True)
    engine.client.api.import_image_from_file(str(archive), repository="tiny")
    command = ["/bin/busybox", "httpd", "-f", "-p", str(tiny.PORT), "-h", "/srv/www"]
    container = engine.client.containers.run("tiny", command, detach=True)
    url = f"http://{engine.address(container)}:{tiny.PORT}/"
    until(lambda: _answers(url))
    assert httpx.get(url, trust_env=False).text == tiny.page("container") + "\n"
    container.remove(force=True)
    with pytest.raises(httpx.TransportError):
        httpx.get(url, trust_env=False, timeout=1.0)


def test_an_engine_keeps_its_files_to_itself(engine: dockerd.Engine) -> None:
    (containerd,) = (
        int(process.name)
        for process in Path("/proc").glob("[0-9]*")
        if (words := _words(process)) and words[0] == "containerd" and str(engine.home) in " ".join(words)
    )
    os.kill(containerd, signal.SIGUSR1)  # as the engine does of one that is slow to answer
    until(lambda: list(engine.home.glob("containerd.*.stacks.log")))


def test_an_engine_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(dockerd.EngineUnavailableError, match="needs root"), dockerd.running():
        pass


def _words(process: Path) -> list[str]:
    """Command line of a process by its folder in /proc; nothing when it has ended."""
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=1.0).is_success
    except httpx.TransportError:
        return False
