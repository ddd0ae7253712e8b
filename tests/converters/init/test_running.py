"""How the init follows a service and ends it: daemons that fork, signals, reaping, stopping."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.converters.init.running import command, finished, running, said, shell, specification
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="name spaces and users need root")


def test_term_becomes_the_units_own_signal(init: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"trap 'echo int >>{log}; exit 0' INT; echo up >>{log}; while :; do sleep 0.05; done"
    with running(init, specification(tmp_path, start=[shell(script)], kill_signal="SIGINT")) as container:
        said(log, "up")
        container.send(signal.SIGTERM)
        assert container.finish()[0] == 0
    assert log.read_text() == "up\nint\n"


def test_a_program_that_ignores_term_is_killed_in_time(init: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"trap '' TERM; echo up >>{log}; while :; do sleep 0.05; done"
    with running(init, specification(tmp_path, start=[shell(script)], stop_seconds=0.5)) as container:
        said(log, "up")
        container.send(signal.SIGTERM)
        code, output = container.finish(8)
    assert code == 128 + 9
    assert "test does not end and is killed" in output


def test_the_stop_command_knows_the_main_process(init: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    spec = specification(
        tmp_path,
        start=[shell(f"trap 'exit 0' USR1; trap '' TERM; echo up >>{log}; while :; do sleep 0.05; done")],
        stop=[command("/bin/sh", "-c", f"echo stop >>{log}; kill -USR1 $1", "sh", "$MAINPID", expand=True)],
        stop_post=[shell(f"echo post >>{log}")],
    )
    with running(init, spec) as container:
        said(log, "up")
        container.send(signal.SIGTERM)
        assert container.finish()[0] == 0
    assert log.read_text().split() == ["up", "stop", "post"]


def test_other_signals_go_to_the_main_process_and_hup_reloads(init: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"trap 'echo usr2 >>{log}' USR2; echo up >>{log}; while :; do sleep 0.05; done"
    spec = specification(tmp_path, start=[shell(script)], reload=[shell(f"echo reload $MAINPID >>{log}")])
    with running(init, spec) as container:
        said(log, "up")
        container.send(signal.SIGUSR2)
        said(log, "usr2")
        container.send(signal.SIGHUP)
        said(log, "reload ")
        container.send(signal.SIGTERM)
        assert container.finish()[0] == 0


def test_orphans_are_reaped(init: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = f"""
    for n in 1 2 3 4 5; do sh -c 'sleep 0.1 & exit 0'; done; sleep 0.6
    grep -l 'State:.*Z' /proc/[0-9]*/status >>{log} 2>&1; echo end >>{log}
    """
    assert finished(init, specification(tmp_path, start=[shell(script)]))[0] == 0
    assert log.read_text() == "end\n"


def test_a_forking_daemon_is_followed_by_its_pid_file(init: Path, tmp_path: Path) -> None:
    daemon = "(sleep 0.3; echo $BASHPID >/run/d.pid; exec sleep 0.5) & exit 0"
    spec = specification(
        tmp_path, type="forking", start=[command("/bin/bash", "-c", daemon)], pid_file="/run/d.pid"
    )
    began = time.monotonic()
    assert finished(init, spec) == (0, "")
    assert time.monotonic() - began > 0.7


def test_a_forking_daemon_without_a_pid_file_is_the_process_that_is_left(init: Path, tmp_path: Path) -> None:
    daemon = "(sleep 0.4; exit 9) & exit 0"
    spec = specification(tmp_path, type="forking", start=[command("/bin/bash", "-c", daemon)])
    assert finished(init, spec) == (9, "")


def test_a_daemon_that_is_gone_is_no_success(init: Path, tmp_path: Path) -> None:
    code, output = finished(init, specification(tmp_path, type="forking", start=[command("/bin/true")]))
    assert code == 1
    assert "went to the background, and no process of it is left" in output


def test_notifications_of_the_service(init: Path, tmp_path: Path) -> None:
    script = """
import os, socket, time
address = os.environ["NOTIFY_SOCKET"].replace("@", chr(0), 1)
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); notify.connect(address)
time.sleep(0.3); print("ready", flush=True); notify.send(b"READY=1\\nSTATUS=at work")
time.sleep(0.5)
"""
    spec = specification(
        tmp_path,
        type="notify",
        start=[command("/usr/bin/python3", "-c", script)],
        start_post=[shell("echo post")],
    )
    code, output = finished(init, spec)
    assert code == 0
    assert output.index("ready") < output.index("post")
    assert "status: at work" in output


def test_messages_to_syslog_reach_the_containers_log(init: Path, tmp_path: Path) -> None:
    script = """
import socket
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); log.connect("/dev/log")
log.send(b"<30>app[7]: hello\\0")
import time; time.sleep(0.2)
"""
    spec = specification(tmp_path, start=[command("/usr/bin/python3", "-c", script)], dev_log=True)
    assert finished(init, spec) == (0, "app[7]: hello\n")


def test_sockets_are_handed_over(init: Path, tmp_path: Path) -> None:
    script = """
import os, socket
assert int(os.environ["LISTEN_PID"]) == os.getpid()
names = os.environ["LISTEN_FDNAMES"].split(":")
for number in range(int(os.environ["LISTEN_FDS"])):
    handed = socket.socket(fileno=3 + number)
    print(names[number], handed.family.name, handed.type.name, handed.getsockname())
"""
    sockets = [
        {"kind": "stream", "address": "127.0.0.1:18080", "name": "web"},
        {"kind": "datagram", "address": "[::1]:18081", "name": "six"},
        {"kind": "stream", "address": "/run/app/app.sock", "name": "local", "mode": "0660", "user": "daemon"},
        {"kind": "sequential", "address": "@abstract", "name": "abstract"},
    ]
    look = shell("stat -c '%a %U' /run/app/app.sock")
    spec = specification(
        tmp_path, start_pre=[look], start=[command("/usr/bin/python3", "-c", script)], sockets=sockets
    )
    with running(
        init, spec, before=("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")
    ) as own:
        code, output = own.finish()
    assert code == 0, output
    assert output.splitlines() == [
        "660 daemon",
        "web AF_INET SOCK_STREAM ('127.0.0.1', 18080)",
        "six AF_INET6 SOCK_DGRAM ('::1', 18081, 0, 0)",
        "local AF_UNIX SOCK_STREAM /run/app/app.sock",
        "abstract AF_UNIX SOCK_SEQPACKET b'\\x00abstract'",
    ]


def test_an_address_that_is_taken_ends_the_start(init: Path, tmp_path: Path) -> None:
    sockets = [{"kind": "stream", "address": "203.0.113.7:80"}]
    code, output = finished(init, specification(tmp_path, start=[command("/bin/true")], sockets=sockets))
    assert code == 126
    assert "cannot listen on 203.0.113.7:80" in output


def test_each_connection_starts_the_command_as_inetd_did(init: Path, tmp_path: Path) -> None:
    spec = specification(
        tmp_path,
        start=[shell("read name; echo hello $name")],
        sockets=[{"kind": "stream", "address": "/run/greet.sock", "accept": True}],
        execution={"standard_input": "socket"},
    )
    ask = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/greet.sock'); "
        "s.send(b'world\\n'); print(s.recv(99).decode(), end='')"
    )
    with running(init, spec) as container:
        until(lambda: container.pid and Path(f"/proc/{container.pid}/root/run/greet.sock").exists())
        inside = ["nsenter", f"--target={container.pid}", "--mount", "/usr/bin/python3", "-c", ask]
        answers = [subprocess.check_output(inside, text=True, timeout=10) for _ in range(2)]
        container.send(signal.SIGTERM)
        assert container.finish()[0] == 0
    assert answers == ["hello world\n", "hello world\n"]


def test_a_listening_socket_is_the_input_of_a_service_that_waits(init: Path, tmp_path: Path) -> None:
    script = "import socket, sys; s = socket.socket(fileno=0); print(s.getsockname(), file=sys.stderr)"
    spec = specification(
        tmp_path,
        start=[command("/usr/bin/python3", "-c", script)],
        sockets=[{"kind": "datagram", "address": "/run/wait.sock"}],
        execution={"standard_input": "socket"},
    )
    assert finished(init, spec) == (0, "/run/wait.sock\n")


def test_a_job_ends_with_its_last_command(init: Path, tmp_path: Path) -> None:
    job = [shell("echo one"), shell("echo two; exit 3"), shell("echo three")]
    code, output = finished(init, specification(tmp_path, type="oneshot", start=job))
    assert code == 3
    assert output.splitlines()[:2] == ["one", "two"]
    assert "three" not in output


def test_a_start_that_takes_too_long_is_ended(init: Path, tmp_path: Path) -> None:
    spec = specification(
        tmp_path, start_seconds=0.3, start_pre=[command("/bin/sleep", "60")], start=[shell("true")]
    )
    code, output = finished(init, spec)
    assert code == 126
    assert "/bin/sleep 60 takes too long and is ended" in output


def test_a_stop_during_the_start_is_heard(init: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    spec = specification(tmp_path, start_pre=[shell(f"echo up >{log}; sleep 60")], start=[shell("true")])
    with running(init, spec) as container:
        said(log, "up")
        container.send(signal.SIGTERM)
        assert container.finish()[0] == 0


@pytest.mark.parametrize("mode", ["control-group", "mixed"])
def test_no_helper_outlives_the_service(init: Path, tmp_path: Path, mode: str) -> None:
    log = tmp_path / "log"
    helper = f"trap 'echo helper term >>{log}; exit' TERM; while :; do sleep 0.05; done"
    script = f"sh -c \"{helper}\" & trap 'exit 0' TERM; sleep 0.3; echo up >>{log}; wait"
    with running(init, specification(tmp_path, start=[shell(script)], kill_mode=mode)) as container:
        said(log, "up")
        container.send(signal.SIGTERM)
        assert container.finish()[0] == 0
    assert ("helper term" in log.read_text()) == (mode == "control-group")
