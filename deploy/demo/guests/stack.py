"""A guest with many services, which find each other at localhost and by sockets below /run."""

from __future__ import annotations

from deploy.demo.guests.layout import Layout, Partition
from deploy.demo.guests.recipes import Recipe
from deploy.demo.guests.shell import enable, named, write

GREETING = "the app of the stack, colour blue"
PAGE = "PHP of the stack says 42"

_SITE = """server {
    listen 80 default_server;
    root /var/www/html;
    location ~ \\.php$ {
        include snippets/fastcgi-php.conf;
        fastcgi_pass unix:/run/php/php8.2-fpm.sock;
    }
    location /app { proxy_pass http://127.0.0.1:8000; }
}
"""
_PHP = """<?php
$db = new mysqli("localhost", "web", "", "mysql", 0, "/run/mysqld/mysqld.sock");
echo "PHP of the stack says ", $db->query("SELECT 6*7")->fetch_row()[0], "\\n";
"""
# A web server that gets its socket from the service manager, and a file from a command that runs before it.
_APP = """import os, socketserver
from http.server import BaseHTTPRequestHandler

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(open("/run/app/greeting", "rb").read() + os.environ["COLOUR"].encode())

assert int(os.environ["LISTEN_PID"]) == os.getpid() and os.environ["LISTEN_FDS"] == "1"
server = socketserver.TCPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket.close()
server.socket = __import__("socket").socket(fileno=3)
server.serve_forever()
"""
_APP_SERVICE = """[Unit]
Description=The app of the stack
Requires=app.socket
[Service]
User=app
RuntimeDirectory=app
EnvironmentFile=/etc/app.env
ExecStartPre=/bin/sh -c 'printf "the app of the stack, colour " >/run/app/greeting'
ExecStart=/usr/bin/python3 /opt/app/app.py
[Install]
WantedBy=multi-user.target
"""
_APP_SOCKET = """[Socket]
ListenStream=127.0.0.1:8000
[Install]
WantedBy=sockets.target
"""
# A program that only a script of SysV knows, and that goes to the background.
_OLD = """#!/bin/sh
### BEGIN INIT INFO
# Provides: oldapp
# Required-Start: $remote_fs
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
case "$1" in
start) start-stop-daemon --start --background --make-pidfile --pidfile /run/oldapp.pid --chdir /srv/old \\
    --exec /usr/bin/python3 -- -m http.server 8081 ;;
stop) start-stop-daemon --stop --pidfile /run/oldapp.pid ;;
esac
"""


STACK = Recipe(
    name="stack",
    packages=(
        *("systemd-sysv", "cron", "nginx-light", "php-fpm", "php-mysql", "mariadb-server", "redis-server"),
        *("postgresql", "memcached", "haproxy", "python3", "init-system-helpers"),
    ),
    customize="".join(
        (
            named("stack"),
            'mkdir -p "$1/opt/app" "$1/srv/old"; echo "an old page" >"$1/srv/old/index.html"\n',
            'chroot "$1" useradd --system --home-dir /opt/app app\n',
            'echo COLOUR=blue >"$1/etc/app.env"\n',
            write("/etc/nginx/sites-available/default", _SITE),
            write("/var/www/html/index.php", _PHP),
            write("/opt/app/app.py", _APP),
            write("/etc/systemd/system/app.service", _APP_SERVICE),
            write("/etc/systemd/system/app.socket", _APP_SOCKET),
            write("/etc/init.d/oldapp", _OLD),
            'chmod 755 "$1/etc/init.d/oldapp"; chroot "$1" update-rc.d oldapp defaults\n',
            enable("app.service"),
            enable("app.socket", "sockets.target"),
            # The user of the pages, as a database that runs would make it.
            'chroot "$1" install -d -o mysql /run/mysqld\n',
            'chroot "$1" mariadbd --user=mysql --bootstrap <<END\n'
            "FLUSH PRIVILEGES;\nCREATE USER web@localhost;\nGRANT SELECT ON mysql.* TO web@localhost;\nEND\n",
            'cat >>"$1/etc/haproxy/haproxy.cfg" <<END\n',
            "listen all\n  bind :8080\n  server app 127.0.0.1:8000\nEND\n",
            "echo '*/5 * * * * app /usr/bin/true' >\"$1/etc/cron.d/app\"\n",
        )
    ),
    layout=Layout(
        "gpt", (Partition(1600, mount="/", uuid="0b0b6f5e-7a3d-4c1e-9f20-4e5f6a7b8c01", label="root"),)
    ),
    page=PAGE,
)
