"""Guests of other releases of Debian, and of another init."""

from __future__ import annotations

from deploy.demo.guests.layout import Layout, Partition
from deploy.demo.guests.recipes import Recipe
from deploy.demo.guests.shell import named, run, write

ELEVEN_PAGE = "PHP of Debian 11 says 42"
THIRTEEN_PAGE = "PHP of Debian 13 says 42"
RUNLEVEL_PAGE = "the page of a machine with runlevels"
OLD = "an app of the runlevels"


def _site(socket: str) -> str:
    return f"""server {{
    listen 80 default_server;
    root /var/www/html;
    location ~ \\.php$ {{
        include snippets/fastcgi-php.conf;
        fastcgi_pass unix:{socket};
    }}
}}
"""


def _php(page: str) -> str:
    sentence, _, number = page.rpartition(" ")
    return f'<?php echo "{sentence} ", 6*{int(number) // 6}, "\\n";\n'


ELEVEN = Recipe(
    name="eleven",
    packages=(
        *("systemd-sysv", "cron", "nginx-light", "php-fpm", "mariadb-server", "redis-server"),
        "init-system-helpers",
    ),
    customize="".join(
        (
            named("eleven"),
            write("/etc/nginx/sites-available/default", _site("/run/php/php7.4-fpm.sock")),
            write("/var/www/html/index.php", _php(ELEVEN_PAGE)),
        )
    ),
    layout=Layout("gpt", (Partition(1000, mount="/", uuid="3e3e9c8b-0d6a-4f4b-8253-7b8c9d0e1f01"),)),
    page=ELEVEN_PAGE,
    suite="bullseye",
)

# A display manager comes along: a desktop is told, and is no container.
THIRTEEN = Recipe(
    name="thirteen",
    packages=(
        *("systemd-sysv", "cron", "apache2", "libapache2-mod-php", "postgresql", "redis-server", "haproxy"),
        *("memcached", "lightdm", "init-system-helpers"),
    ),
    customize="".join(
        (
            named("thirteen"),
            'rm "$1/var/www/html/index.html"\n',
            write("/var/www/html/index.php", _php(THIRTEEN_PAGE)),
            'cat >>"$1/etc/haproxy/haproxy.cfg" <<END\n'
            "listen all\n  bind :8080\n  server web 127.0.0.1:80\nEND\n",
        )
    ),
    layout=Layout("gpt", (Partition(1400, mount="/", uuid="4f4f0d9c-1e7b-4a5c-9364-8c9d0e1f2a01"),)),
    page=THIRTEEN_PAGE,
    suite="trixie",
)

_OLD = """#!/bin/sh
### BEGIN INIT INFO
# Provides: ledgerd
# Required-Start: $remote_fs
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
. /lib/lsb/init-functions
case "$1" in
start) start-stop-daemon --start --chuid ledger --background --make-pidfile --pidfile /run/ledgerd.pid \\
    --chdir /srv/ledger --exec /usr/bin/python3 -- -m http.server 8081 ;;
stop) start-stop-daemon --stop --pidfile /run/ledgerd.pid ;;
esac
"""

RUNLEVELS = Recipe(
    name="runlevels",
    packages=(
        *("sysvinit-core", "orphan-sysvinit-scripts", "cron", "nginx-light", "postgresql", "redis-server"),
        *("memcached", "python3"),
    ),
    customize="".join(
        (
            named("runlevels"),
            f'echo "{RUNLEVEL_PAGE}" >"$1/var/www/html/index.html"\n',
            f'mkdir -p "$1/srv/ledger"; echo "{OLD}" >"$1/srv/ledger/index.html"\n',
            run("useradd --system ledger"),
            write("/etc/init.d/ledgerd", _OLD),
            'chmod 755 "$1/etc/init.d/ledgerd"\n',
            run("update-rc.d ledgerd defaults"),
        )
    ),
    layout=Layout("dos", (Partition(900, mount="/", uuid="5a5a1e0d-2f8c-4b6d-a475-9d0e1f2a3b01"),)),
    page=RUNLEVEL_PAGE,
)
