"""Services of upstart, OpenRC, supervisord, runit, inittab, inetd and xinetd."""

from __future__ import annotations

import pytest

from converters.guest.accounts import Accounts
from converters.guest.facts import Role, Service
from converters.guest.services import find_services
from tests.converters.guest.conftest import Plant

PASSWD = {"/etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"}


def _services(plant: Plant, init: str, files: dict[str, str]) -> dict[str, Service]:
    guest = plant({**PASSWD, **files})
    started = find_services(init, guest, Accounts(guest), "vm", {})
    return {service.name: service for service in started.services}


UPSTART = """# a comment with start on in it
description "the app"
start on (filesystem
          and net-device-up IFACE!=lo)
stop on runlevel [!2345]
respawn
expect fork
setuid app
setgid "app"
chdir /opt/app
env COLOUR="dark red"
env BROKEN="one
kill signal INT
pre-start script
  mkdir -p /run/app
end script
exec /opt/app/bin/app --port 8080
"""


def test_an_upstart_job(plant: Plant) -> None:
    service = _services(plant, "upstart", {"/etc/init/app.conf": UPSTART.replace("expect fork\n", "")})["app"]
    assert service.command == ("/opt/app/bin/app", "--port", "8080")
    assert (service.user, service.group, service.working_directory) == ("app", "app", "/opt/app")
    assert dict(service.environment)["COLOUR"] == "dark red"
    assert (service.stop_signal, [port.number for port in service.ports]) == ("SIGINT", [8080])
    assert service.specification is not None
    assert service.specification.start_pre[0].words == ("/bin/sh", "-c", "mkdir -p /run/app")
    assert service.specification.execution.user == "app"


def test_an_upstart_job_that_forks(plant: Plant) -> None:
    service = _services(plant, "upstart", {"/etc/init/app.conf": UPSTART})["app"]
    assert service.command == ()
    assert service.specification is not None
    assert service.specification.type == "forking"
    assert service.specification.start[0].words == ("/opt/app/bin/app", "--port", "8080")


@pytest.mark.parametrize(
    ("job", "override", "enabled"),
    [
        ("start on virtual-filesystems\nexec /x\n", None, True),
        ("start on runlevel [2345]\nexec /x\n", "manual\n", False),
        ("start on runlevel [2345]\nmanual\nexec /x\n", None, False),
        ("manual\nexec /x\n", "start on startup\n", True),
        ("exec /x\n", None, False),
        ("start on startup\ntask\nexec /x\n", None, False),
        ("start on startup\n", None, False),
    ],
)
def test_which_upstart_jobs_start(plant: Plant, job: str, override: str | None, enabled: bool) -> None:
    files = {"/etc/init/app.conf": job, **({"/etc/init/app.override": override} if override else {})}
    assert ("app" in _services(plant, "upstart", files)) == enabled


@pytest.mark.parametrize(
    ("stanza", "command"),
    [
        ("exec /x -a b", ("/x", "-a", "b")),
        ("exec /x $HOME", ("/bin/sh", "-c", "exec /x $HOME")),
        ("exec /x \\\n  --more", ("/x", "--more")),
        ("script\n  cd /\n  exec /x\nend script", ("/bin/sh", "-c", "  cd /\n  exec /x")),
    ],
)
def test_commands_of_upstart(plant: Plant, stanza: str, command: tuple[str, ...]) -> None:
    services = _services(plant, "upstart", {"/etc/init/app.conf": f"start on startup\n{stanza}\n"})
    assert services["app"].command == command


def test_openrc(plant: Plant) -> None:
    nginx = 'command=/usr/sbin/nginx\ncommand_args="-c ${cfgfile:=/etc/nginx/nginx.conf}"\n'
    app = (
        'name="the app"\ncommand="/opt/${RC_SVCNAME}/run"\ncommand_args="$OPTS --port 8000"\n'
        'command_user="app:app"\ncommand_background="yes"\ndirectory=/opt\n'
    )
    services = _services(
        plant,
        "openrc",
        {
            "/etc/init.d/nginx": nginx,
            "/etc/init.d/app": app,
            "/etc/conf.d/app": 'OPTS="-v"\n',
            "/etc/init.d/odd": "start() {\n /usr/bin/odd &\n}\n",
            "/etc/init.d/hwclock": "command=/sbin/hwclock\n",
            "/etc/init.d/off": "command=/bin/off\n",
            "/etc/runlevels/default/nginx": "-> /etc/init.d/nginx",
            "/etc/runlevels/default/app": "-> /etc/init.d/app",
            "/etc/runlevels/default/odd": "-> /etc/init.d/odd",
            "/etc/runlevels/boot/hwclock": "-> /etc/init.d/hwclock",
        },
    )
    assert set(services) == {"nginx", "app", "odd", "hwclock"}
    assert services["nginx"].command == (
        "/usr/sbin/nginx",
        "-c",
        "/etc/nginx/nginx.conf",
        "-g",
        "daemon off;",
    )
    assert services["app"].command == ("/opt/app/run", "-v", "--port", "8000")
    assert (services["app"].user, services["app"].working_directory) == ("app", "/opt")
    assert services["odd"].command == ()
    assert services["hwclock"].role is Role.PLATFORM


SUPERVISORD = """[unix_http_server]
file=/var/run/supervisor.sock   ; (the path to the socket file)
[include]
files = conf.d/*.conf /etc/none/*.conf
"""
PROGRAMS = """[program:web]
command=/opt/%(program_name)s/run --name "a b" --port 8000 ; the web
directory=/opt/web
user=app
environment=COLOUR="dark red",DEBUG=1
stopsignal=QUIT
[program:off]
command=/bin/off
autostart=false
[program:worker]
command=/opt/worker --number %(process_num)d
process_name=%(program_name)s-%(process_num)02d
numprocs=2
"""


def test_supervisord(plant: Plant) -> None:
    services = _services(
        plant,
        "sysv",
        {
            "/etc/supervisor/supervisord.conf": SUPERVISORD,
            "/etc/supervisor/conf.d/all.conf": PROGRAMS,
            "/etc/init.d/supervisor": "#!/bin/sh\nDAEMON=/usr/bin/supervisord\n",
            "/etc/rc2.d/S01supervisor": "-> ../init.d/supervisor",
        },
    )
    assert set(services) == {"supervisor", "web", "worker-0", "worker-1"}
    assert services["supervisor"].role is Role.PLATFORM
    assert services["supervisor"].reason == "starts other services, which are listed on their own"
    web = services["web"]
    assert web.command == ("/opt/web/run", "--name", "a b", "--port", "8000")
    assert (web.user, web.working_directory, web.stop_signal) == ("app", "/opt/web", "SIGQUIT")
    assert {"COLOUR": "dark red", "DEBUG": "1"}.items() <= dict(web.environment).items()
    assert services["worker-1"].command == ("/opt/worker", "--number", "1")


def test_runit(plant: Plant) -> None:
    services = _services(
        plant,
        "sysv",
        {
            "/etc/sv/app/run": "#!/bin/sh\nexec 2>&1\nexec chpst -u app \\\n  /opt/app --port 8000 2>&1\n",
            "/etc/sv/odd/run": "#!/bin/sh\nexec /opt/odd $ARGS\n",
            "/etc/sv/off/run": "#!/bin/sh\nexec /opt/off\n",
            "/etc/sv/off/down": "",
            "/etc/service/app": "-> /etc/sv/app",
            "/etc/service/odd": "-> /etc/sv/odd",
            "/etc/service/off": "-> /etc/sv/off",
        },
    )
    assert set(services) == {"app", "odd"}
    assert services["odd"].command == ("/etc/service/odd/run",)


def test_inittab(plant: Plant) -> None:
    inittab = (
        "id:3:initdefault:\n1:2345:respawn:/sbin/getty 38400 tty1\nap:345:respawn:/opt/app --port 81\n"
        "sh:3:respawn:/opt/x >/dev/null\nz6:6:respawn:/sbin/sulogin\nno:5:respawn:/no\n#c:3:respawn:/c\n"
        "on:3:once:/opt/once\n"
    )
    services = _services(plant, "sysv", {"/etc/inittab": inittab})
    assert {name: service.command for name, service in services.items()} == {
        "inittab-ap": ("/opt/app", "--port", "81"),
        "inittab-sh": ("/bin/sh", "-c", "exec /opt/x >/dev/null"),
    }


INETD = """# comment
time stream tcp nowait root internal
ftp stream tcp nowait root /usr/sbin/tcpd /usr/sbin/in.ftpd -l
127.0.0.1:8079 stream tcp nowait app.app /opt/echo echo --loud
tftp dgram udp wait nobody /usr/sbin/in.tftpd in.tftpd /srv
nowhere stream tcp nowait root /opt/x x
"""
XINETD = """defaults
{
    disabled = finger
}
includedir /etc/xinetd.d
"""


def test_inetd(plant: Plant) -> None:
    services = _services(
        plant, "sysv", {"/etc/inetd.conf": INETD, "/etc/services": "ftp 21/tcp\ntftp 69/udp\n"}
    )
    assert {name: service.command for name, service in services.items()} == {
        "ftp": ("/usr/sbin/in.ftpd", "-l"),
        "8079": ("/opt/echo", "--loud"),
        "tftp": ("/usr/sbin/in.tftpd", "/srv"),
        "nowhere": ("/opt/x",),
    }
    ports = {
        name: [(port.number, port.protocol, port.loopback) for port in one.ports]
        for name, one in services.items()
    }
    assert ports == {
        "ftp": [(21, "tcp", False)],
        "8079": [(8079, "tcp", True)],
        "tftp": [(69, "udp", False)],
        "nowhere": [],
    }
    assert services["8079"].user == services["8079"].group == "app"
    sockets = {name: one.specification.sockets for name, one in services.items() if one.specification}
    assert [
        (one.kind, one.address, one.accept) for one in (*sockets["ftp"], *sockets["8079"], *sockets["tftp"])
    ] == [
        ("stream", "21", True),
        ("stream", "127.0.0.1:8079", True),
        ("datagram", "69", False),
    ]


def test_xinetd(plant: Plant) -> None:
    def block(name: str, *more: str) -> str:
        lines = ("socket_type = stream", "user = app", f"server = /opt/{name}", "server_args = -q", *more)
        return f"service {name}\n{{\n# disable = yes\n" + "".join(f"\t{line}\n" for line in lines) + "}\n"

    services = _services(
        plant,
        "sysv",
        {
            "/etc/xinetd.conf": XINETD,
            "/etc/xinetd.d/app": block(
                "app", "port = 7000", "disable = no", "bind = 127.0.0.1", "env = A=1 B=2"
            ),
            "/etc/xinetd.d/off": block("off", "port = 7001", "disable = yes"),
            "/etc/xinetd.d/finger": block("finger", "port = 79"),
            "/etc/xinetd.d/app.bak": block("bak", "port = 7002"),
        },
    )
    (service,) = services.values()
    assert (service.name, service.command, service.user) == ("app", ("/opt/app", "-q"), "app")
    assert [(port.number, port.loopback) for port in service.ports] == [(7000, True)]
    assert {"A": "1", "B": "2"}.items() <= dict(service.environment).items()
