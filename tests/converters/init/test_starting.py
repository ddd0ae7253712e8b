"""What the init does before and around a service: directories, users, limits, capabilities, variables."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest

from tests.converters.init.running import command, finished, shell, specification

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="name spaces and users need root")


def test_the_exit_status_is_the_main_processs(init: Path, tmp_path: Path) -> None:
    code, output = finished(init, specification(tmp_path, start=[shell("echo out; echo err >&2; exit 7")]))
    assert code == 7
    assert set(output.split()) == {"out", "err"}


def test_a_signal_is_told_as_a_shell_tells_it(init: Path, tmp_path: Path) -> None:
    assert finished(init, specification(tmp_path, start=[shell("kill -SEGV $$")]))[0] == 128 + 11


def test_what_a_unit_counts_as_success_is_one(init: Path, tmp_path: Path) -> None:
    spec = specification(tmp_path, start=[shell("exit 143")], success_status=["143"])
    assert finished(init, spec)[0] == 0


def test_a_program_that_is_not_there(init: Path, tmp_path: Path) -> None:
    code, output = finished(init, specification(tmp_path, start=[command("/opt/none")]))
    assert code == 127
    assert "cannot start /opt/none: no such file or directory" in output


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"version": 2}, "version 2 of the specification; this init understands 1"),
        ({"start": []}, "has one command to start, not 0"),
        ({"type": "magic"}, 'unknown type "magic"'),
        ({"start": [command("true")]}, "begins with the path of its program"),
        ({"kill_signal": "SIGFOO"}, 'unknown signal "SIGFOO"'),
        ({"execution": {"limits": {"FOO": {"soft": 1, "hard": 1}}}}, 'unknown limit "FOO"'),
        ({"execution": {"bounding_capabilities": ["CAP_FOO"]}}, 'unknown capability "CAP_FOO"'),
        ({"mistyped": 1}, 'unknown field "mistyped"'),
    ],
)
def test_a_specification_that_is_not_understood(
    init: Path, tmp_path: Path, fields: dict[str, object], reason: str
) -> None:
    code, output = finished(init, specification(tmp_path, **{"start": [command("/bin/true")], **fields}))
    assert code == 78
    assert reason in output


def test_directories_of_run_are_made_with_owner_and_mode(init: Path, tmp_path: Path) -> None:
    paths = [
        {"kind": "directory", "path": "/run/app/deep", "mode": "2750", "user": "daemon", "group": "adm"},
        {"kind": "file", "path": "/run/app/greeting", "mode": "0640", "text": "hello", "user": "nobody"},
        {"kind": "symlink", "path": "/run/app/link", "target": "greeting"},
        {"kind": "fifo", "path": "/run/app/pipe", "mode": "0600"},
    ]
    look = "cd /run/app; stat -c '%n %F %a %U %G' deep greeting pipe; cat link"
    code, output = finished(init, specification(tmp_path, start=[shell(look)], paths=paths))
    assert code == 0
    assert output.splitlines() == [
        "deep directory 2750 daemon adm",
        "greeting regular file 640 nobody nogroup",
        "pipe fifo 600 root root",
        "hello",
    ]


def test_what_an_earlier_run_left_is_removed(init: Path, tmp_path: Path) -> None:
    stale = tmp_path / "daemon.pid"
    stale.write_text("1")
    spec = specification(tmp_path, start=[shell(f"test ! -e {stale}")], remove=[str(stale)])
    assert finished(init, spec) == (0, "")


def test_a_user_has_all_its_groups_and_variables(init: Path, tmp_path: Path) -> None:
    execution = {"user": "daemon", "group": "adm", "supplementary_groups": ["tape"], "umask": "0027"}
    look = "id -un; id -gn; id -Gn | tr ' ' '\\n' | sort | tr '\\n' ' '; echo; umask; echo $USER $HOME; pwd"
    code, output = finished(init, specification(tmp_path, start=[shell(look)], execution=execution))
    assert code == 0
    assert output.splitlines() == ["daemon", "adm", "adm tape ", "0027", "daemon /usr/sbin", "/"]


def test_a_user_that_is_not_there(init: Path, tmp_path: Path) -> None:
    spec = specification(tmp_path, start=[command("/bin/true")], execution={"user": "nemo"})
    code, output = finished(init, spec)
    assert code == 126
    assert 'user "nemo" is not in /etc/passwd' in output


def test_commands_before_run_in_order_and_as_whom_they_say(init: Path, tmp_path: Path) -> None:
    spec = specification(
        tmp_path,
        before=[shell("id -un", execution={"user": "nobody"})],
        start_pre=[shell("echo $0-$UID; id -un", privileged=True), shell("exit 3", may_fail=True)],
        start=[shell("id -un")],
        start_post=[shell("true")],
        execution={"user": "daemon"},
    )
    code, output = finished(init, spec)
    assert code == 0
    assert [line for line in output.splitlines() if line in ("nobody", "root", "daemon")] == [
        "nobody",
        "root",
        "daemon",
    ]
    assert "exit 3 ended with exit status 3" in output


def test_a_command_before_that_fails_ends_the_start(init: Path, tmp_path: Path) -> None:
    spec = specification(tmp_path, start_pre=[shell("exit 5")], start=[shell("echo started")])
    code, output = finished(init, spec)
    assert code == 5
    assert "started" not in output


def test_variables_are_replaced_as_systemd_does(init: Path, tmp_path: Path) -> None:
    words = command(
        "/usr/bin/printf", "<%s>", "$MANY", "${MANY}", "a${ONE}b", "$$x", "$UNSET", "x$ONE", expand=True
    )
    environment = {"MANY": "one  two", "ONE": "1"}
    code, output = finished(init, specification(tmp_path, start=[words]), environment)
    assert (code, output) == (0, "<one><two><one  two><a1b><$x><x$ONE>")


def test_the_containers_variables_win_over_the_units(init: Path, tmp_path: Path) -> None:
    execution = {"environment": {"COLOUR": "red", "SHAPE": "round"}, "unset_environment": ["SECRET"]}
    spec = specification(tmp_path, start=[shell("echo $COLOUR $SHAPE $SECRET")], execution=execution)
    assert finished(init, spec, {"COLOUR": "blue", "SECRET": "x"}) == (0, "blue round\n")


def test_limits_are_clamped_to_what_there_is(init: Path, tmp_path: Path) -> None:
    limits = {"NOFILE": {"soft": 2_000_000_000, "hard": -1}, "CORE": {"soft": 0, "hard": 0}}
    spec = specification(tmp_path, start=[shell("ulimit -n; ulimit -c")], execution={"limits": limits})
    code, output = finished(
        init, spec, before=("prlimit", "--nofile=100:500", "--", *_without("SYS_RESOURCE"))
    )
    assert (code, output) == (0, "500\n0\n")


def test_ambient_capabilities_reach_a_user(init: Path, tmp_path: Path) -> None:
    execution = {
        "user": "nobody",
        "ambient_capabilities": ["CAP_NET_BIND_SERVICE"],
        "bounding_capabilities": ["CAP_NET_BIND_SERVICE"],
        "no_new_privileges": True,
    }
    look = "grep -E 'CapEff|CapBnd|CapAmb|NoNewPrivs' /proc/self/status | tr -d '\\t'"
    code, output = finished(init, specification(tmp_path, start=[shell(look)], execution=execution))
    one = f"{1 << 10:016x}"
    assert code == 0
    assert output.splitlines() == [f"CapEff:{one}", f"CapBnd:{one}", f"CapAmb:{one}", "NoNewPrivs:1"]


def test_a_capability_that_the_engine_did_not_give_is_told(init: Path, tmp_path: Path) -> None:
    execution = {"user": "nobody", "ambient_capabilities": ["CAP_IPC_LOCK"]}
    spec = specification(tmp_path, start=[shell("echo runs")], execution=execution)
    code, output = finished(init, spec, before=_without("IPC_LOCK"))
    assert code == 0
    assert "the engine did not give CAP_IPC_LOCK" in output
    assert "runs" in output


def test_it_runs_without_being_root(init: Path, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    paths = [{"kind": "directory", "path": "/run/app"}]
    spec = specification(tmp_path, start=[shell("id -un; exit 4")], paths=paths, dev_log=True)
    before = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--bounding-set=-all", "--")
    code, output = finished(init, spec, before=before)
    assert code == 4
    assert "nobody" in output
    assert "cannot make /run/app" in output


def _without(capability: str) -> tuple[str, ...]:
    name = capability.lower()
    return ("setpriv", f"--bounding-set=-{name}", f"--inh-caps=-{name}", "--")


def test_secrets_come_back_with_owner_and_mode(init: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a key")
    place = tmp_path / "private"
    place.mkdir()
    (place / "kept").write_text("as it was")
    paths = [
        {
            "kind": "file",
            "path": str(place / "app.key"),
            "mode": "0440",
            "user": "daemon",
            "group": "adm",
            "source": str(tmp_path / "key"),
        },
        {"kind": "file", "path": str(place / "kept"), "mode": "0400", "source": str(tmp_path / "not there")},
    ]
    look = f"cd {place}; stat -c '%n %a %U %G' *; cat app.key kept; ls -A | wc -l"
    spec = specification(tmp_path, start=[shell(look)], paths=paths)
    for _ in range(2):  # a container that is started again has the file already
        code, output = finished(init, spec)
        assert code == 0
        assert output.splitlines() == [
            f"init: cannot make {place}/kept: the image has it no more, and its secret is not mounted: open"
            f" {tmp_path}/not there: no such file or directory",
            "app.key 440 daemon adm",
            "kept 644 root root",
            "a keyas it was2",
        ]


def test_variables_that_an_image_must_not_hold(init: Path, tmp_path: Path) -> None:
    secret = tmp_path / "variables"
    secret.write_text('{"PASSWORD": "one two", "CHANGED": "by the secret"}')
    spec = specification(
        tmp_path, start=[shell('echo "$PASSWORD, $CHANGED"')], secret_environment=str(secret)
    )
    assert finished(init, spec, {"CHANGED": "by a person"}) == (0, "one two, by a person\n")
    secret.unlink()
    code, output = finished(init, spec)
    assert code == 0
    assert f"is not mounted at {secret}" in output


CHANGEABLE_ETC = """
mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w
mount -t overlay none -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w /etc || exit 77
printf "$MACHINE_ID" >/etc/machine-id; exec "$@"
"""


def test_an_empty_machine_id_is_filled(init: Path, tmp_path: Path) -> None:
    spec = specification(tmp_path, start=[shell("cat /etc/machine-id")], machine_id=True)
    before = ("sh", "-c", CHANGEABLE_ETC, "sh")
    code, first = finished(init, spec, {"MACHINE_ID": ""}, before)
    if code == 77:
        pytest.skip("the kernel mounts no overlay here")
    assert re.fullmatch(r"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}\n", first)
    assert finished(init, spec, {"MACHINE_ID": ""}, before)[1] != first
    assert finished(init, spec, {"MACHINE_ID": "0123\\n"}, before) == (0, "0123\n")
