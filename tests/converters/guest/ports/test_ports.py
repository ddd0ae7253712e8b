"""Ports from the daemons' own configuration."""

from __future__ import annotations

import pytest

from converters.guest.ports import program_name, service_ports
from tests.converters.guest.conftest import Plant

NGINX = ("/usr/sbin/nginx", "-g", "daemon off;")


def _ports(plant: Plant, words: tuple[str, ...], files: dict[str, str]) -> list[tuple[int, str, str]]:
    return [(port.number, port.protocol, port.source) for port in service_ports(plant(files), words, {})]


def test_nginx_through_its_includes(plant: Plant) -> None:
    main = (
        "http {\n  include mime.types;\n  include /etc/nginx/conf.d/*.conf;\n  include sites-enabled/*;\n}\n"
    )
    found = _ports(
        plant,
        NGINX,
        {
            "/etc/nginx/nginx.conf": main,
            "/etc/nginx/mime.types": "types { text/html html; }",
            "/etc/nginx/conf.d/a.conf": "server { listen [::]:8080 ssl; listen [::1]:90; # listen 1;\n}",
            "/etc/nginx/conf.d/a.conf.off": "server { listen 2; }",
            "/etc/nginx/conf.d/q.conf": "server { listen 443 quic reuseport; listen unix:/run/x.sock; }",
            "/etc/nginx/sites-available/site": 'server { listen 80 default_server; server_name "a;b"; }',
            "/etc/nginx/sites-enabled/site": "-> /etc/nginx/sites-available/site",
            "/etc/nginx/sites-enabled/gone": "-> /etc/nginx/sites-available/gone",
        },
    )
    assert found == [
        (80, "tcp", "/etc/nginx/sites-enabled/site"),
        (90, "tcp", "/etc/nginx/conf.d/a.conf"),
        (443, "udp", "/etc/nginx/conf.d/q.conf"),
        (8080, "tcp", "/etc/nginx/conf.d/a.conf"),
    ]


@pytest.mark.parametrize(
    ("configuration", "numbers"),
    [
        ("http { server { root /x; location / { } } }", [80]),
        ("http { server { listen localhost; } }", [80]),
        ("http { upstream u { server 10.0.0.1:99; } }", []),
        ("stream { server { listen 53 udp; } }", [53]),
        ("include nginx.conf;", []),
        ("http { server { listen 81; ", [81]),
    ],
)
def test_nginx_details(plant: Plant, configuration: str, numbers: list[int]) -> None:
    found = _ports(plant, NGINX, {"/etc/nginx/nginx.conf": configuration})
    assert [number for number, _, _ in found] == numbers


def test_nginx_with_another_configuration(plant: Plant) -> None:
    found = _ports(
        plant, (NGINX[0], "-c", "/srv/n.conf"), {"/srv/n.conf": "http { server { listen 8000; } }"}
    )
    assert found == [(8000, "tcp", "/srv/n.conf")]


@pytest.mark.parametrize(("ssl", "numbers"), [(True, [80, 443]), (False, [80])])
def test_apache_on_debian(plant: Plant, ssl: bool, numbers: list[int]) -> None:
    files = {
        "/etc/apache2/ports.conf": "# Listen 1\nListen 80\n<IfModule ssl_module>\n\tListen 443\n</IfModule>\n"
        "<IfModule !mpm_event_module>\nListen 2\n</IfModule>\n<IfDefine X>\nListen 3\n</IfDefine>\n",
        "/etc/apache2/mods-enabled/mpm_event.load": "",
        **({"/etc/apache2/mods-enabled/ssl.load": ""} if ssl else {}),
    }
    script = ("/bin/sh", "-c", ". /etc/apache2/envvars && exec /usr/sbin/apache2 -DFOREGROUND")
    assert [number for number, _, _ in _ports(plant, script, files)] == numbers


def test_apache_on_red_hat(plant: Plant) -> None:
    files = {
        "/etc/httpd/conf/httpd.conf": "Listen 0.0.0.0:8080\n",
        "/etc/httpd/conf.d/ssl.conf": "Listen 443 https\n",
        "/etc/httpd/conf.d/README": "Listen 1\n",
    }
    found = _ports(plant, ("/usr/sbin/httpd", "-DFOREGROUND"), files)
    assert [number for number, _, _ in found] == [443, 8080]


REDIS = "/usr/bin/redis-server"
POSTGRES = (
    "/usr/lib/postgresql/15/bin/postgres",
    "-c",
    "config_file=/etc/postgresql/15/main/postgresql.conf",
)


@pytest.mark.parametrize(
    ("words", "files", "expected"),
    [
        ((REDIS, "/srv/r.conf"), {"/srv/r.conf": "port 6380\n"}, [(6380, "/srv/r.conf")]),
        ((REDIS, "/srv/r.conf"), {"/srv/r.conf": "# port 1\n"}, [(6379, "default of redis-server")]),
        ((REDIS, "/srv/r.conf"), {"/srv/r.conf": "port 0\nunixsocket /x\n"}, []),
        ((REDIS, "--port", "7000"), {}, [(7000, "command line")]),
        (
            POSTGRES,
            {"/etc/postgresql/15/main/postgresql.conf": "#port = 1\nport = 5433\t# (change)\n"},
            [(5433, "/etc/postgresql/15/main/postgresql.conf")],
        ),
        (
            ("/usr/sbin/mariadbd",),
            {
                "/etc/mysql/my.cnf": "[client]\nport = 1\n",
                "/etc/mysql/mariadb.conf.d/50-server.cnf": "[mariadb-10.11]\nport=3307\n[client]\nport=2\n",
            },
            [(3307, "/etc/mysql/mariadb.conf.d/50-server.cnf")],
        ),
        (("/usr/sbin/mysqld",), {}, [(3306, "default of mysqld")]),
        (
            ("/bin/sh", "-c", "set -f; exec /usr/sbin/mariadbd $OPTIONS"),
            {},
            [(3306, "default of mariadbd")],
        ),
        (
            ("/usr/sbin/haproxy", "-Ws", "-f", "/etc/haproxy/haproxy.cfg"),
            {"/etc/haproxy/haproxy.cfg": "frontend a\n  bind *:80\n  bind :443 ssl\n  bind unix@/x\n"},
            [(80, "/etc/haproxy/haproxy.cfg"), (443, "/etc/haproxy/haproxy.cfg")],
        ),
        (("/usr/sbin/haproxy", "-f", "/etc/haproxy/haproxy.cfg"), {}, []),
        (("/bin/busybox", "httpd", "-f", "-p", "8080"), {}, [(8080, "command line")]),
        (
            ("/usr/share/memcached/scripts/systemd-memcached-wrapper", "/etc/memcached.conf"),
            {"/etc/memcached.conf": "-m 64\n-p 11212\n"},
            [(11212, "/etc/memcached.conf")],
        ),
    ],
)
def test_settings(
    plant: Plant, words: tuple[str, ...], files: dict[str, str], expected: list[tuple[int, str]]
) -> None:
    assert [(number, source) for number, _, source in _ports(plant, words, files)] == expected


@pytest.mark.parametrize(
    ("line", "environment", "expected"),
    [
        ("gunicorn --bind 0.0.0.0:8000 app:app", {}, [(8000, "command line")]),
        ("gunicorn -b unix:/run/x.sock app:app", {}, []),
        ("uvicorn app:app --host 0.0.0.0 --port=8001", {"PORT": "1"}, [(8001, "command line")]),
        ("python3 -m http.server 8002", {}, [(8002, "command line")]),
        ("python3 -m http.server", {}, []),
        ("java -jar x.jar --server.port=8003", {}, [(8003, "command line")]),
        ("java -Dserver.port=8004 -jar x.jar", {}, [(8004, "command line")]),
        ("node app.js", {"PORT": "3000"}, [(3000, "environment variable PORT")]),
        (
            "node app.js",
            {"HTTP_PORT": "0.0.0.0:3001", "REPORT": "5"},
            [(3001, "environment variable HTTP_PORT")],
        ),
        ("node app.js --port 99999", {"PORT": "none"}, []),
        ("thing --listen [::1]:3002", {}, [(3002, "command line")]),
    ],
)
def test_arguments_and_environment(
    plant: Plant, line: str, environment: dict[str, str], expected: list[tuple[int, str]]
) -> None:
    found = service_ports(plant({}), tuple(line.split()), environment)
    assert [(port.number, port.source) for port in found] == expected


@pytest.mark.parametrize(
    ("words", "files", "asks"),
    [
        (("/usr/bin/memcached",), {"/etc/memcached.conf": "-l 127.0.0.1\n-l ::1\n"}, True),
        (("/usr/bin/memcached",), {"/etc/memcached.conf": "-l ::1\n-l 127.0.0.1\n"}, True),
        (("/usr/bin/memcached",), {"/etc/memcached.conf": "-l 127.0.0.1,::1\n"}, True),
        (("/usr/bin/memcached",), {"/etc/memcached.conf": "-l 127.0.0.1\n"}, False),
        (("/usr/bin/redis-server",), {"/etc/redis/redis.conf": "bind 127.0.0.1 -::1\n"}, False),
        (("/usr/sbin/nginx",), {"/etc/nginx/nginx.conf": "listen [::1]:80;"}, True),
        (("/usr/sbin/nginx",), {"/etc/nginx/nginx.conf": "listen 127.0.0.1:80; listen [::1]:80;"}, True),
        (("/usr/sbin/nginx",), {"/etc/nginx/nginx.conf": "listen [::]:80;"}, False),
        (("/usr/sbin/apache2",), {"/etc/apache2/ports.conf": "Listen [::1]:80\n"}, True),
        (("/usr/sbin/haproxy",), {"/etc/haproxy/haproxy.cfg": "listen a\n bind ::1:80\n"}, True),
    ],
)
def test_programs_that_ask_for_the_ipv6_loopback(
    plant: Plant, words: tuple[str, ...], files: dict[str, str], asks: bool
) -> None:
    (port,) = service_ports(plant(files), words, {})
    assert port.ipv6_loopback is asks


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("/bin/sh", "/usr/libexec/tomcat10/tomcat-start.sh"), "tomcat-start.sh"),
        (("/bin/sh", "-c", "exec /usr/sbin/apache2 -D X"), "apache"),
        (("/bin/bash", "-c", "/opt/run"), "bash"),
    ],
)
def test_a_shell_is_what_it_runs(words: tuple[str, ...], name: str) -> None:
    assert program_name(words) == name


@pytest.mark.parametrize(
    ("words", "files", "loopback"),
    [
        (NGINX, {"/etc/nginx/nginx.conf": "server { listen 127.0.0.1:80; }"}, True),
        (NGINX, {"/etc/nginx/nginx.conf": "server { listen localhost; }"}, True),
        (NGINX, {"/etc/nginx/nginx.conf": "server { listen [::1]:80; listen 80; }"}, False),
        (("/usr/sbin/httpd",), {"/etc/httpd/conf/httpd.conf": "Listen 127.0.0.1:80\n"}, True),
        ((REDIS, "/r.conf"), {"/r.conf": "bind 127.0.0.1 -::1\n"}, True),
        ((REDIS, "/r.conf"), {"/r.conf": "bind * -::*\n"}, False),
        ((REDIS, "/r.conf"), {"/r.conf": "bind 127.0.0.1 10.0.0.1\n"}, False),
        ((REDIS, "/r.conf"), {"/r.conf": "port 1\n"}, False),
        (POSTGRES, {}, True),
        (POSTGRES, {"/etc/postgresql/15/main/postgresql.conf": "listen_addresses = '*'\n"}, False),
        (("/usr/sbin/mariadbd",), {"/etc/mysql/my.cnf": "[mysqld]\nbind-address = 127.0.0.1\n"}, True),
        (("/usr/sbin/mariadbd",), {"/etc/mysql/my.cnf": "[client]\nbind-address = 127.0.0.1\n"}, False),
        (("gunicorn", "-b", "127.0.0.1:8000"), {}, True),
        (("gunicorn", "-b", "0.0.0.0:8000"), {}, False),
    ],
)
def test_loopback_only(plant: Plant, words: tuple[str, ...], files: dict[str, str], loopback: bool) -> None:
    assert [port.loopback for port in service_ports(plant(files), words, {})] == [loopback]
