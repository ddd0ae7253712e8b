"""From units to what the static init is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from converters.guest.accounts import Accounts
from converters.guest.services.systemd import systemd_boot
from converters.init.specification import Command, Limit, Specification, to_json
from converters.init.specification import Path as MadePath
from tests.converters.guest.conftest import Plant

LIB, ETC = "/usr/lib/systemd/system", "/etc/systemd/system"
BASE = {
    f"{LIB}/default.target": "[Unit]\nWants=sockets.target\n",
    f"{LIB}/sockets.target": "[Unit]\nDescription=Sockets\n",
    "/etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n",
    "/etc/group": "root:x:0:\napp:x:1001:\nssl:x:2000:app\n",
}


def _specification(
    plant: Plant, service: str, unit: str = "", files: Mapping[str, str] | None = None
) -> Specification:
    text = f"[Unit]\n{unit}\n[Service]\n{service}\n"
    planted = {f"{LIB}/app.service": text, f"{ETC}/default.target.wants/app.service": f"-> {LIB}/app.service"}
    guest = plant({**BASE, **planted, **(files or {})})
    (found,) = (one for one in systemd_boot(guest, Accounts(guest), "web", {}).services if one.name == "app")
    assert found.specification is not None
    return found.specification


def test_a_plain_service(plant: Plant) -> None:
    assert _specification(plant, "ExecStart=/opt/app --port 1") == Specification(
        service="app", start=(Command(("/opt/app", "--port", "1")),)
    )


def test_commands_around_the_main_one(plant: Plant) -> None:
    found = _specification(
        plant,
        "Environment=A=1\nExecStartPre=-+/bin/mkdir $A\nExecStart=@/opt/app name -x ; \n"
        "ExecStop=/bin/kill -s QUIT"
        " $MAINPID 100$$ ${A}\nExecStopPost=/bin/post\nExecReload=/bin/kill -HUP ${MAINPID}",
    )
    assert found.start_pre == (Command(("/bin/mkdir", "1"), may_fail=True, privileged=True),)
    assert found.start == (Command(("/opt/app", "-x"), name="name"),)
    assert found.stop == (Command(("/bin/kill", "-s", "QUIT", "${MAINPID}", "100$$", "1"), expand=True),)
    assert found.reload[0].words[-1] == "${MAINPID}"
    assert found.stop_post == (Command(("/bin/post",)),)


def test_only_the_main_command_is_the_users_where_a_unit_says_so(plant: Plant) -> None:
    service = "User=app\nPermissionsStartOnly=true\nExecStartPre=/bin/pre\nExecStart=/opt/app\n"
    found = _specification(plant, service + "ExecStopPost=/bin/post\n")
    assert [one.privileged for one in (*found.start_pre, *found.start, *found.stop_post)] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("command", "may_fail"),
    [
        ('/bin/sh -c "systemctl unset-environment X"', True),
        ("/bin/systemctl set-environment X=1", True),
        ('/bin/sh -c "test -e /x && systemctl restart y || exit 1"', True),
        ("/opt/check --no-systemctl-here", False),
    ],
)
def test_a_word_to_the_service_manager_keeps_nobody_from_starting(
    plant: Plant, command: str, may_fail: bool
) -> None:
    found = _specification(plant, f"ExecStartPre={command}\nExecStart=/opt/app\n")
    assert found.start_pre[0].may_fail is may_fail
    assert not found.start[0].may_fail


def test_directories_belong_to_the_service(plant: Plant) -> None:
    found = _specification(
        plant,
        "ExecStart=/x\nUser=app\nRuntimeDirectory=app app/%n\nRuntimeDirectoryMode=0750\n"
        "StateDirectory=app:link\n"
        "ConfigurationDirectory=app",
    )
    assert found.paths == (
        MadePath("directory", "/run/app", "0750", "app", "1001"),
        MadePath("directory", "/run/app/app.service", "0750", "app", "1001"),
        MadePath("directory", "/var/lib/app", "0755", "app", "1001"),
        MadePath("directory", "/etc/app", "0755"),
    )


def test_limits_and_capabilities(plant: Plant) -> None:
    execution = _specification(
        plant,
        "ExecStart=/x\nLimitNOFILE=1024:65536\nLimitCORE=infinity\nLimitMEMLOCK=8M\nLimitCPU=1min\nLimitNPROC=many\n"
        "AmbientCapabilities=cap_net_bind_service\n"
        "CapabilityBoundingSet=CAP_CHOWN CAP_KILL CAP_NET_BIND_SERVICE\n"
        "CapabilityBoundingSet=~CAP_KILL\nNoNewPrivileges=yes\nUMask=0027\nNice=-5\nOOMScoreAdjust=100\n"
        "SupplementaryGroups=ssl adm",
    ).execution
    assert execution.limits == (
        Limit("CPU", 60, 60),
        Limit("CORE", -1, -1),
        Limit("NOFILE", 1024, 65536),
        Limit("MEMLOCK", 8 << 20, 8 << 20),
    )
    assert execution.ambient_capabilities == ("CAP_NET_BIND_SERVICE",)
    assert execution.bounding_capabilities == ("CAP_CHOWN", "CAP_NET_BIND_SERVICE")
    assert (execution.no_new_privileges, execution.umask) == (True, "0027")
    assert (execution.nice, execution.oom_score_adjust) == (-5, 100)
    assert execution.supplementary_groups == ("ssl", "adm")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("KillSignal=INT", {"kill_signal": "SIGINT"}),
        ("KillMode=mixed\nSendSIGHUP=yes", {"kill_mode": "mixed", "send_hup": True}),
        ("TimeoutStopSec=5min\nTimeoutStartSec=infinity", {"stop_seconds": 300, "start_seconds": 0}),
        ("TimeoutSec=10", {"stop_seconds": 10, "start_seconds": 10}),
        ("SuccessExitStatus=143 SIGUSR1 KILL", {"success_status": ("143", "SIGUSR1", "SIGKILL")}),
        ("Type=notify-reload", {"type": "notify"}),
        ("PIDFile=app.pid", {"pid_file": "/run/app.pid", "remove": ("/run/app.pid",)}),
        ("PIDFile=/run//./app", {"pid_file": "/run/app", "remove": ("/run/app",)}),
        ("PIDFile=/var/lib/app/app.pid", {"pid_file": (odd := "/var/lib/app/app.pid"), "remove": (odd,)}),
        ("PIDFile=/run/../etc/passwd", {}),
        ("PIDFile=/etc/passwd", {"pid_file": "/etc/passwd"}),
        ("StateDirectory=../../etc . /", {}),
    ],
)
def test_how_it_starts_and_stops(plant: Plant, lines: str, expected: dict[str, object]) -> None:
    plain = Specification(service="app", start=(Command(("/x",)),))
    assert _specification(plant, f"ExecStart=/x\n{lines}") == replace(plain, **expected)  # type: ignore[arg-type]


def test_a_daemon_that_forks_and_is_not_known_is_followed(plant: Plant) -> None:
    found = _specification(
        plant, "Type=forking\nExecStart=/opt/daemon -d\nPIDFile=/run/d.pid\nExecStop=/opt/stop"
    )
    assert (found.type, found.pid_file) == ("forking", "/run/d.pid")
    assert found.start == (Command(("/opt/daemon", "-d")),)
    assert found.stop == (Command(("/opt/stop",)),)


def test_a_daemon_that_forks_and_is_known_stays_in_front(plant: Plant) -> None:
    found = _specification(
        plant, "Type=forking\nExecStart=/usr/sbin/nginx\nPIDFile=/run/nginx.pid\nExecStop=/opt/stop"
    )
    assert (found.type, found.pid_file, found.stop, found.kill_signal) == ("simple", "", (), "SIGQUIT")
    assert found.start == (Command(("/usr/sbin/nginx", "-g", "daemon off;")),)


def test_what_is_required_first_runs_in_the_same_container(plant: Plant) -> None:
    first = (
        "[Service]\nType=oneshot\nUser=app\nEnvironment=B=2\nExecStart=/opt/first $B\nExecStart=/bin/true\n"
    )
    (command,) = _specification(
        plant,
        "ExecStart=/x",
        "Requires=first.service gone.service systemd-sysctl.service\n"
        "After=first.service systemd-sysctl.service",
        {f"{LIB}/first.service": first, f"{LIB}/systemd-sysctl.service": first},
    ).before
    assert command.words == ("/opt/first", "2")
    assert command.execution is not None
    assert command.execution.user == "app"
    assert ("B", "2") in command.execution.environment


def test_its_sockets_are_opened_for_it(plant: Plant) -> None:
    socket = (
        "[Socket]\nListenStream=80\nListenStream=/run/app.sock\nListenDatagram=[::1]:53\nListenStream=vsock::1\n"
        "SocketMode=0660\nSocketUser=app\nFileDescriptorName=web\nBindIPv6Only=ipv6-only\nBacklog=5\n"
    )
    files = {
        f"{LIB}/app.socket": socket,
        f"{ETC}/sockets.target.wants/app.socket": f"-> {LIB}/app.socket",
    }
    found = _specification(plant, "ExecStart=/x", files=files).sockets
    assert [(one.kind, one.address) for one in found] == [
        ("stream", "80"),
        ("stream", "/run/app.sock"),
        ("datagram", "[::1]:53"),
    ]
    assert {(one.name, one.mode, one.user, one.bind_ipv6_only, one.backlog) for one in found} == {
        ("web", "0660", "app", "ipv6-only", 5)
    }


def test_the_programs_own_source_has_each_field(plant: Plant) -> None:
    source = (Path(__file__).parents[4] / "converters/init/program/spec.go").read_text()
    full = _specification(
        plant,
        "Type=forking\nExecStart=@/x y $MAINPID\nExecStop=-+/y\nLimitCORE=0\nUser=app\n"
        "RuntimeDirectory=app\nNice=1\n"
        "AmbientCapabilities=CAP_KILL\nKillMode=mixed",
    )
    document = json.loads(to_json(full))
    names = {*document, *document["execution"], *document["stop"][0], *document["paths"][0]}
    assert {"version", "kill_mode", "ambient_capabilities", "privileged", "mode"} <= names
    assert [name for name in names if f'json:"{name}"' not in source] == []
