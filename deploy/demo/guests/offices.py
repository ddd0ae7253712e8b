"""A guest with the servers of an office: web, mail, names, files, proxy, and programs of its own."""

from __future__ import annotations

from deploy.demo.guests.layout import Layout, Partition
from deploy.demo.guests.recipes import Recipe
from deploy.demo.guests.shell import append, enable, named, run, write

PAGE = "the page of the office, by Apache"
MAIL = "mail.office.example"
POST = "the post of the office"
FILES = "the files of the office"
PROXY = "proxy.office.example"
ADDRESS = "192.0.2.7"
"""Of ``www.office.example``."""
TALLY = "tally of the office, unit EUR"
CLOCK = "the clock of the office"

_ZONE = f"""$TTL 3600
@ IN SOA ns.office.example. hostmaster.office.example. 1 3600 900 604800 300
@ IN NS ns.office.example.
ns IN A {ADDRESS}
www IN A {ADDRESS}
"""
# Which port it takes is in its environment, and nowhere on its command line.
_TALLY = """import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(("tally of the office, unit " + os.environ["UNIT"]).encode())

HTTPServer(("", int(os.environ["TALLY_LISTEN"])), Handler).serve_forever()
"""
_TALLY_SERVICE = """[Unit]
Description=Tally of the office
After=network.target
[Service]
User=tally
EnvironmentFile=/etc/default/tally
ExecStart=/usr/bin/python3 /opt/tally/tally.py
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""
_CLOCK = """[program:clock]
command=/usr/bin/python3 -m http.server 8095
directory=/srv/clock
user=clock
autostart=true
"""
_SFTP = """Match Group partners
    ChrootDirectory /srv/sftp
    ForceCommand internal-sftp
"""

OFFICE = Recipe(
    name="office",
    packages=(
        *("systemd-sysv", "cron", "apache2", "postfix", "bind9", "dovecot-imapd", "vsftpd", "squid"),
        *("supervisor", "openssh-server", "python3", "init-system-helpers"),
    ),
    customize="".join(
        (
            named("office"),
            f'echo "<html><head><title>{PAGE}</title></head></html>" >"$1/var/www/html/index.html"\n',
            run(f"postconf -e 'smtpd_banner={MAIL} ESMTP' myhostname={MAIL} inet_interfaces=all"),
            append(
                "/etc/bind/named.conf.local", 'zone "office.example" { type master; file "/etc/bind/db"; };\n'
            ),
            write("/etc/bind/db", _ZONE),
            write("/etc/dovecot/local.conf", f"login_greeting = {POST}\n"),
            append("/etc/vsftpd.conf", f"ftpd_banner={FILES}\n"),
            write(
                "/etc/squid/conf.d/office.conf",
                f"visible_hostname {PROXY}\nhttp_access allow all\nshutdown_lifetime 3 seconds\n",
            ),
            run("useradd --system tally", "useradd --system clock", "groupadd partners"),
            'mkdir -p "$1/opt/tally" "$1/srv/clock" "$1/srv/sftp"\n',
            write("/opt/tally/tally.py", _TALLY),
            write("/etc/default/tally", "# How the tally counts\nTALLY_LISTEN=8090\nUNIT = 'EUR'\n"),
            write("/etc/systemd/system/tally.service", _TALLY_SERVICE),
            enable("tally.service"),
            f'echo "{CLOCK}" >"$1/srv/clock/index.html"\n',
            write("/etc/supervisor/conf.d/clock.conf", _CLOCK),
            write("/etc/ssh/sshd_config.d/sftp.conf", _SFTP),
            write("/etc/cron.d/office", "*/10 * * * * tally /usr/bin/date >>/tmp/seen\n"),
        )
    ),
    layout=Layout("gpt", (Partition(900, mount="/", uuid="1c1c7a6f-8b4e-4d2f-a031-5f6a7b8c9d01"),)),
    page=PAGE,
)
