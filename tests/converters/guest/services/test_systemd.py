"""From units to services: what starts, with which command, user, environment and ports."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from converters.guest.accounts import Accounts
from converters.guest.facts import Role, Service
from converters.guest.services.systemd import systemd_boot
from tests.converters.guest.conftest import Plant

LIB, ETC = "/usr/lib/systemd/system", "/etc/systemd/system"
BASE = {
    f"{LIB}/default.target": "-> multi-user.target",
    f"{LIB}/multi-user.target": "[Unit]\nRequires=basic.target\n",
    f"{LIB}/basic.target": "[Unit]\nWants=sockets.target timers.target paths.target\n",
    f"{LIB}/sockets.target": "[Unit]\nDescription=Sockets\n",
    f"{LIB}/timers.target": "[Unit]\nDescription=Timers\n",
    f"{LIB}/paths.target": "[Unit]\nDescription=Paths\n",
    "/etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    "/etc/group": "root:x:0:\napp:x:1000:\nssl:x:2000:app\n",
}
WANTED = f"{ETC}/multi-user.target.wants"


def _services(plant: Plant, files: Mapping[str, str]) -> dict[str, Service]:
    guest = plant({**BASE, **files})
    boot = systemd_boot(guest, Accounts(guest), "web.example.org", {"PATH": "/bin"})
    return {service.name: service for service in boot.services}


def _one(plant: Plant, body: str, files: Mapping[str, str] | None = None) -> Service:
    unit = {f"{LIB}/app.service": f"[Service]\n{body}\n", f"{WANTED}/app.service": f"-> {LIB}/app.service"}
    return _services(plant, {**unit, **(files or {})})["app"]


def test_what_starts_is_what_default_target_reaches(plant: Plant) -> None:
    simple = "[Service]\nExecStart=/bin/x\n"
    found = _services(
        plant,
        {
            f"{LIB}/app.service": "[Unit]\nRequires=needed.service\nWants=absent.service\n" + simple,
            f"{LIB}/needed.service": simple,
            f"{LIB}/idle.service": simple,
            f"{LIB}/masked.service": simple,
            f"{ETC}/masked.service": "-> /dev/null",
            f"{LIB}/job.service": simple,
            f"{LIB}/job.timer": "[Timer]\nOnCalendar=daily\n",
            f"{LIB}/watched.service": simple,
            f"{LIB}/watched.path": "[Path]\nPathExists=/x\n",
            f"{LIB}/lazy.service": simple,
            f"{LIB}/lazy.socket": "[Socket]\nListenStream=[::1]:8443\nListenStream=/l\nListenDatagram=53\n",
            f"{LIB}/each@.service": simple,
            f"{LIB}/each.socket": "[Socket]\nAccept=yes\nListenStream=99\n",
            f"{LIB}/rescue.target.wants/idle.service": "-> ../idle.service",
            f"{WANTED}/app.service": f"-> {LIB}/app.service",
            f"{WANTED}/masked.service": f"-> {LIB}/masked.service",
            f"{ETC}/timers.target.wants/job.timer": f"-> {LIB}/job.timer",
            f"{ETC}/paths.target.wants/watched.path": f"-> {LIB}/watched.path",
            f"{ETC}/sockets.target.wants/lazy.socket": f"-> {LIB}/lazy.socket",
            f"{ETC}/sockets.target.wants/each.socket": f"-> {LIB}/each.socket",
        },
    )
    assert set(found) == {"app", "needed", "watched", "lazy", "each"}
    assert found["each"].specification is not None
    assert [(one.address, one.accept) for one in found["each"].specification.sockets] == [("99", True)]
    assert [port.number for port in found["each"].ports] == [99]
    ports = [(port.number, port.protocol, port.loopback) for port in found["lazy"].ports]
    assert ports == [(53, "udp", False), (8443, "tcp", True)]
    assert found["lazy"].specification is not None
    assert {socket.name for socket in found["lazy"].specification.sockets} == {"lazy.socket"}


@pytest.mark.parametrize(
    ("conditions", "starts"),
    [
        ("ConditionPathExists=/etc/app.conf", True),
        ("ConditionPathExists=!/etc/app.conf", False),
        ("ConditionPathExists=/etc/absent", False),
        ("AssertFileNotEmpty=/etc/app.conf", True),
        ("ConditionDirectoryNotEmpty=/etc/app.d", False),
        ("ConditionPathExists=|/etc/absent\nConditionPathExists=|/etc/app.conf", True),
        ("ConditionPathExists=|/etc/absent", False),
        ("ConditionPathExists=|/etc/absent\nConditionKernelCommandLine=|x", True),
        ("ConditionPathExists=/run/made-at-boot", True),
        ("ConditionPathExists=/etc/absent\nConditionPathExists=", True),
        ("ConditionFileIsExecutable=/etc/app.conf", False),
        ("ConditionPathExists=/etc/%N.conf", True),
    ],
)
def test_conditions(plant: Plant, conditions: str, starts: bool) -> None:
    found = _services(
        plant,
        {
            f"{LIB}/app.service": f"[Unit]\n{conditions}\n[Service]\nExecStart=/bin/x\n",
            f"{WANTED}/app.service": f"-> {LIB}/app.service",
            "/etc/app.conf": "x",
        },
    )
    assert ("app" in found) is starts


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("/bin/x -a 'b c'", ("/bin/x", "-a", "b c")),
        ("-/bin/x", ("/bin/x",)),
        ("@/bin/x name -a", ("/bin/x", "-a")),
        ("/bin/x $OPTIONS ${OPTIONS} $UNSET", ("/bin/x", "-v", "-q", "-v -q")),
        (":/bin/x $OPTIONS $$", ("/bin/x", "$OPTIONS", "$$")),
        ("/bin/x %n %p %H %h $$", ("/bin/x", "app.service", "app", "web.example.org", "/root", "$")),
        ("/bin/x a ; /bin/y", ("/bin/x", "a")),
        ("/bin/x a \\; b", ("/bin/x", "a", ";", "b")),
        ("/bin/sh -c 'exec x; y'", ("/bin/sh", "-c", "exec x; y")),
        ("/bin/x $HOME $USER", ("/bin/x", "/home/app", "app")),
    ],
)
def test_command_lines(plant: Plant, line: str, command: tuple[str, ...]) -> None:
    service = _one(plant, f'User=app\nEnvironment="OPTIONS=-v -q"\nExecStart={line}')
    assert service.command == command
    assert service.role is Role.APPLICATION


def test_environment_files_win_over_environment(plant: Plant) -> None:
    service = _one(
        plant,
        "Environment=A=1 'B=two words' C=%i%p\nEnvironment=D=4\n"
        "EnvironmentFile=/etc/default/app\nEnvironmentFile=-/etc/absent\nEnvironmentFile=/etc/missing\nExecStart=/bin/x",
        {"/etc/default/app": "# comment\nA = from file \nexport D=5\nE='$A'\n"},
    )
    expected = {"PATH": "/bin", "A": "from file", "B": "two words", "C": "app", "D": "4", "E": "$A"}
    assert dict(service.environment) == expected
    assert service.notes == ("Its EnvironmentFile=/etc/missing is not there.",)


@pytest.mark.parametrize(
    ("body", "user", "group"),
    [
        ("", "", ""),
        ("User=app", "app", ""),
        ("User=app\nGroup=app", "app", ""),
        ("User=app\nGroup=ssl", "app", "ssl"),
        ("User=1000\nGroup=1000", "1000", ""),
        ("DynamicUser=yes", "61184", "61184"),
        ("DynamicUser=yes\nUser=app", "app", ""),
    ],
)
def test_users(plant: Plant, body: str, user: str, group: str) -> None:
    service = _one(plant, f"{body}\nExecStart=/bin/x")
    assert (service.user, service.group) == (user, group)


@pytest.mark.parametrize(("prefix", "user"), [("+", ""), ("!", ""), ("!!", "app"), ("-", "app")])
def test_prefixes_that_set_the_user_aside(plant: Plant, prefix: str, user: str) -> None:
    assert _one(plant, f"User=app\nExecStart={prefix}/bin/x").user == user


def test_a_user_the_guest_does_not_know_is_said(plant: Plant) -> None:
    assert "nobody-here" in _one(plant, "User=nobody-here\nExecStart=/bin/x").notes[0]


def test_working_directory_and_signal(plant: Plant) -> None:
    service = _one(plant, "User=app\nWorkingDirectory=~\nKillSignal=INT\nExecStart=/bin/x")
    assert (service.working_directory, service.stop_signal) == ("/home/app", "SIGINT")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("Type=oneshot\nExecStart=/bin/true", "does its work once and ends"),
        ("RemainAfterExit=yes", "has no command to start"),
        ("BusName=org.x\nExecStart=/bin/x", "answers on the machine's message bus only"),
    ],
)
def test_what_does_not_stay_up_is_no_application(plant: Plant, body: str, reason: str) -> None:
    service = _one(plant, body)
    assert (service.role, service.reason) == (Role.PLATFORM, reason)


def test_a_fork_without_a_known_foreground_command_is_followed(plant: Plant) -> None:
    service = _one(plant, "Type=forking\nExecStart=/opt/thing/bin/thingd --start")
    assert service.command == ()
    assert service.role is Role.APPLICATION
    assert service.specification is not None
    assert service.specification.type == "forking"
    assert service.notes == ()


def test_scripts_that_systemd_takes_for_services(plant: Plant) -> None:
    script = '#!/bin/sh\nDAEMON=/usr/sbin/thingd\nDAEMON_OPTS="-c /etc/thing"\n'
    found = _services(
        plant,
        {
            "/etc/init.d/thing": script,
            "/etc/rc3.d/S01thing": "-> ../init.d/thing",
            "/etc/init.d/app": script,
            "/etc/rc3.d/S01app": "-> ../init.d/app",
            f"{ETC}/app.service": "-> /dev/null",
        },
    )
    assert list(found) == ["thing"]
    assert found["thing"].unit == "/etc/init.d/thing"


def test_postgresql_clusters(plant: Plant) -> None:
    found = _services(
        plant,
        {
            f"{LIB}/postgresql.service": "[Service]\nType=oneshot\nExecStart=/bin/true\n",
            f"{LIB}/postgresql@.service": "[Unit]\nAssertPathExists=/etc/postgresql/%I/postgresql.conf\n"
            "[Service]\nType=forking\nExecStart=-/usr/bin/pg_ctlcluster --skip-systemctl-redirect %i start\n",
            f"{WANTED}/postgresql.service": f"-> {LIB}/postgresql.service",
            "/etc/postgresql/15/main/postgresql.conf": "data_directory = '/srv/pg'\nport = 5433\n",
            "/etc/postgresql/15/main/start.conf": "# how\nauto\n",
            "/etc/postgresql/13/old/postgresql.conf": "",
            "/etc/postgresql/13/old/start.conf": "manual\n",
        },
    )
    assert set(found) == {"postgresql", "postgresql@15-main"}
    cluster = found["postgresql@15-main"]
    assert cluster.command[:3] == ("/usr/lib/postgresql/15/bin/postgres", "-D", "/srv/pg")
    assert (cluster.user, cluster.stop_signal, cluster.ports[0].number) == ("postgres", "SIGINT", 5433)
