"""Services of SysV init."""

from __future__ import annotations

import pytest

from converters.guest.facts import Role
from converters.guest.services.sysv import find_sysv_services
from tests.converters.guest.conftest import Plant

SCRIPT = "#!/bin/sh\n### BEGIN INIT INFO\n# Provides: x\n### END INIT INFO\nNAME=lighttpd\n"


def test_the_default_runlevel_counts(plant: Plant) -> None:
    files = plant(
        {
            "/etc/inittab": "# comment\nid:3:initdefault:\nsi::sysinit:/etc/init.d/rcS\n",
            "/etc/rc.d/init.d/httpd": "#!/bin/sh\n",
            "/etc/rc.d/init.d/sshd": "#!/bin/sh\n",
            "/etc/rc.d/rc3.d/S85httpd": "-> ../init.d/httpd",
            "/etc/rc.d/rc3.d/S55sshd": "-> ../init.d/sshd",
            "/etc/rc.d/rc3.d/K10off": "-> ../init.d/httpd",
            "/etc/rc.d/rc3.d/S99gone": "-> ../init.d/gone",
            "/etc/rc.d/rc5.d/S01desktop": "-> ../init.d/httpd",
        }
    )
    services = find_sysv_services(files)
    assert [(service.name, service.role) for service in services] == [
        ("sshd", Role.PLATFORM),
        ("httpd", Role.APPLICATION),
    ]
    assert services[1].command == ()
    assert services[1].specification is not None
    assert services[1].specification.type == "forking"
    assert [one.words for one in services[1].specification.start] == [("/etc/rc.d/init.d/httpd", "start")]


@pytest.mark.parametrize(
    ("script", "defaults", "command"),
    [
        (
            'DAEMON=/usr/sbin/$NAME\nDAEMON_OPTS="-f /etc/lighttpd/lighttpd.conf"\n',
            "",
            ("/usr/sbin/lighttpd", "-f", "/etc/lighttpd/lighttpd.conf", "-D"),
        ),
        (
            "DAEMON=/usr/sbin/lighttpd\n",
            "DAEMON_OPTS='-f /srv/l.conf'\n",
            ("/usr/sbin/lighttpd", "-f", "/srv/l.conf", "-D"),
        ),
        ("DAEMON=$(which lighttpd)\n", "", ()),
        ("DAEMON=/usr/sbin/lighttpd\nDAEMON_OPTS=`cat /x`\n", "", ()),
        ("DAEMON_OPTS=-x\n", "", ()),
    ],
)
def test_the_daemon_a_script_names(
    plant: Plant, script: str, defaults: str, command: tuple[str, ...]
) -> None:
    files = plant(
        {
            "/etc/init.d/lighttpd": SCRIPT + script,
            "/etc/default/lighttpd": defaults,
            "/etc/rc2.d/S01lighttpd": "-> ../init.d/lighttpd",
            "/etc/lighttpd/lighttpd.conf": "server.port = 8080\n",
        }
    )
    (service,) = find_sysv_services(files)
    assert service.command == command
    assert service.unit == "/etc/init.d/lighttpd"
    assert bool(service.ports) is bool(command)


def script_with(line: str) -> dict[str, str]:
    """A guest whose script starts memcached so."""
    return {
        "/etc/init.d/cache": f"#!/bin/sh\nDAEMON=/usr/bin/memcached\nHELPER=/usr/share/start\n{line}\n",
        "/etc/rc2.d/S01cache": "-> ../init.d/cache",
        "/etc/memcached.conf": "-l ::1\n",
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("start-stop-daemon --start --exec $DAEMON -- -p 1", ("/usr/bin/memcached",)),
        ('start-stop-daemon --start \\\n --startas "${DAEMON}"', ("/usr/bin/memcached",)),
        ("start-stop-daemon --start --exec /usr/bin/memcached", ("/usr/bin/memcached",)),
        ("$DAEMON", ("/usr/bin/memcached",)),
        # What does not start the program that is called its daemon: only the script knows how.
        ('start-stop-daemon --start --exec "$HELPER" -- $DAEMON', ()),
        # The script makes what that user needs.
        ("start-stop-daemon --start --chuid cache:cache --exec $DAEMON", ()),
        ("start-stop-daemon -S -c cache -x $DAEMON", ()),
        ("start-stop-daemon --start --exec $DAEMON -- -c 100", ("/usr/bin/memcached",)),
        ("start-stop-daemon --stop --exec $HELPER", ("/usr/bin/memcached",)),
    ],
)
def test_how_a_script_starts_its_daemon(plant: Plant, line: str, words: tuple[str, ...]) -> None:
    (service,) = find_sysv_services(plant(script_with(line)))
    assert service.command == words
    assert service.specification is not None
    assert service.specification.start[0].words == (words or ("/etc/init.d/cache", "start"))


def test_a_script_of_another_user_still_tells_the_ports(plant: Plant) -> None:
    (service,) = find_sysv_services(plant(script_with("start-stop-daemon --start -c cache -x $DAEMON")))
    assert [(port.number, port.ipv6_loopback) for port in service.ports] == [(11211, True)]
