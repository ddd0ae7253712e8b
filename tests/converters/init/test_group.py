"""Several services in one container: each by an init of its own, started anew when it ends, ended at once."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.converters.init.running import running, said, shell
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="name spaces and users need root")


def _service(folder: Path, name: str, **fields: Any) -> Path:
    path = folder / f"{name}.json"
    document = {"version": 1, "service": name, "start_seconds": 10, "stop_seconds": 5, **fields}
    path.write_text(json.dumps(document))
    return path


def _daemon(log: Path, number: str) -> dict[str, object]:
    """A service that says when it begins, and at which signal it ends."""
    return shell(
        f"trap 'echo {number} >>{log}; exit 0' {number}; echo up $$ >>{log}; while :; do sleep 0.05; done"
    )


def test_services_end_in_their_own_ways(init: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    one = _service(tmp_path, "one", start=[_daemon(first, "INT")], kill_signal="SIGINT")
    two = _service(tmp_path, "two", start=[_daemon(second, "QUIT")], kill_signal="SIGQUIT")
    with running(init, one, more=[two]) as container:
        said(first, "up")
        said(second, "up")
        container.send(signal.SIGTERM)
        code, output = container.finish()
    assert (code, first.read_text().split()[-1], second.read_text().split()[-1]) == (0, "INT", "QUIT")
    assert "started again" not in output


def test_one_that_ends_is_started_again_and_the_others_stay(init: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    fails = _service(tmp_path, "fails", start=[shell(f"echo up >>{first}; sleep 0.2; exit 3")])
    stays = _service(tmp_path, "stays", start=[_daemon(second, "TERM")])
    with running(init, fails, more=[stays]) as container:
        until(lambda: first.exists() and first.read_text().count("up") >= 2)
        container.send(signal.SIGTERM)
        code, output = container.finish()
    assert code == 0
    assert "fails ended with exit status 3" in output and "fails is started again" in output
    assert second.read_text().count("up") == 1


def test_what_is_meant_to_end_is_not_started_again(init: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    jobs = [_service(tmp_path, name, type="oneshot", start=[shell(f"echo {name} >>{log}")]) for name in "ab"]
    with running(init, jobs[0], more=jobs[1:]) as container:
        assert container.finish()[0] == 0
    assert sorted(log.read_text().split()) == ["a", "b"]


def test_nothing_is_started_where_one_is_not_understood(init: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    good = _service(tmp_path, "good", start=[shell(f"echo up >>{log}")])
    bad = _service(tmp_path, "bad", start=[], unknown=1)
    with running(init, good, more=[bad]) as container:
        code, output = container.finish()
    assert code == 78 and "bad.json" in output and not log.exists()
