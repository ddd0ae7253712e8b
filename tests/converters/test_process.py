"""External processes: results, failures that tell why, and no process left behind on any way out."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from converters.process import Limits, ProcessError, run, running


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not _alive(pid):
            return True
        time.sleep(0.01)
    return False


def _number_in(path: Path) -> int:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if path.exists() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.01)
    raise AssertionError(f"nothing in {path} after 5 seconds")


def test_output_and_input_of_a_program_that_succeeds() -> None:
    done = run(["cat"], input=b"a\0b")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"a\0b", b"")


def test_the_environment_holds_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "secret")
    names = {line.partition(b"=")[0] for line in run(["env"]).stdout.splitlines()}
    assert names <= {b"PATH", b"LC_ALL"}


def test_failure_gives_exit_status_and_last_lines() -> None:
    with pytest.raises(ProcessError, match=r"`sh` ended with exit status 3: line 2 .* line 9$") as caught:
        run(["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo line $i >&2; done; exit 3"])
    assert caught.value.returncode == 3
    assert "line 1 " not in str(caught.value)


def test_an_accepted_status_is_no_failure() -> None:
    assert run(["sh", "-c", "exit 2"], accept=(0, 2)).returncode == 2


def test_a_missing_program_names_its_package(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="Debian package qemu-utils"):
        run(["qemu-nbd"], env={"PATH": str(tmp_path)})


def test_the_error_survives_pickling() -> None:
    with pytest.raises(ProcessError) as caught:
        run(["false"])
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.returncode) == (str(caught.value), 1)


def test_running_past_the_time_kills_the_whole_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with pytest.raises(ProcessError, match=r"did not end within 0\.5 seconds"):
        run(["sh", "-c", f"sleep 60 & echo $! > {pid_file}; wait"], timeout=0.5)
    assert _gone_within(_number_in(pid_file), 2)


def test_a_child_that_ignores_termination_is_killed(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"trap '' TERM; echo 1 > {ready}; while :; do sleep 0.05; done"
    with running(["sh", "-c", script], patience=0.2) as child:
        _number_in(ready)
    assert child.ended() == -signal.SIGKILL
    assert not _alive(child.pid)


def test_a_child_is_ended_when_the_block_raises() -> None:
    with pytest.raises(RuntimeError), running(["sleep", "60"]) as child:
        raise RuntimeError
    assert child.ended() == -signal.SIGTERM


def test_a_child_tells_why_it_ended_by_itself() -> None:
    with running(["sh", "-c", "echo cannot bind >&2; exit 4"]) as child:
        assert child.wait(5) == 4
        assert "exit status 4: cannot bind" in str(child.failure())


def test_a_child_does_not_outlive_a_killed_parent() -> None:
    script = (
        "import sys, time\nfrom converters.process import running\n"
        "with running(['sleep', '60']) as child:\n    print(child.pid, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env={**os.environ}
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert _alive(pid)
        parent.kill()
    assert _gone_within(pid, 2)


def test_limits_hold_in_the_child() -> None:
    done = run(["sh", "-c", "ulimit -t; ulimit -v"], limits=Limits(address_space=1 << 30, cpu_seconds=7))
    assert done.stdout.split() == [b"7", b"1048576"]


def test_a_limit_above_our_own_hard_limit_is_lowered_to_it() -> None:
    script = (
        "import resource\nfrom converters.process import Limits, run\n"
        "resource.setrlimit(resource.RLIMIT_CPU, (50, 50))\n"
        "print(run(['sh', '-c', 'ulimit -t'], limits=Limits(cpu_seconds=100)).stdout.decode())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "50"
