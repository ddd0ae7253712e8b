"""Ports of daemons with a configuration language of their own."""

from __future__ import annotations

import pytest

from converters.guest.ports import service_ports
from tests.converters.guest.conftest import Plant

Expected = list[tuple[int, str, bool]]


def _ports(
    plant: Plant, line: str, files: dict[str, str], environment: dict[str, str] | None = None
) -> Expected:
    found = service_ports(plant(files), tuple(line.split()), environment or {})
    return [(port.number, port.protocol, port.loopback) for port in found]


SERVER_XML = """<Server port="8005" shutdown="SHUTDOWN">
  <!-- <Connector port="1" /> -->
  <Connector port="${http.port}" protocol="HTTP/1.1"
             redirectPort="8443" />
  <Connector protocol="AJP/1.3" address="::1" port='8009' redirectPort="8443" />
  <Connector port="-1" />
</Server>"""
TOMCAT: Expected = [(8005, "tcp", True), (8009, "tcp", True), (8080, "tcp", False)]


def test_tomcat_by_its_main_class(plant: Plant) -> None:
    files = {
        "/srv/tomcat/conf/server.xml": SERVER_XML,
        "/srv/tomcat/conf/catalina.properties": "# http.port=2\nhttp.port=8080\n",
    }
    line = "/usr/bin/java -Dcatalina.base=/srv/tomcat org.apache.catalina.startup.Bootstrap start"
    assert _ports(plant, line, files) == TOMCAT


def test_tomcat_by_debians_script(plant: Plant) -> None:
    files = {"/var/lib/tomcat10/conf/server.xml": SERVER_XML.replace("${http.port}", "8080")}
    environment = {"CATALINA_BASE": "/var/lib/tomcat10"}
    assert _ports(plant, "/usr/libexec/tomcat10/tomcat-start.sh", files, environment) == TOMCAT


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ("", [(9200, "tcp", True), (9300, "tcp", True)]),
        ("network.host: 0.0.0.0\nhttp.port: 9201-9300\n", [(9201, "tcp", False), (9300, "tcp", False)]),
        ("#http.port: 1\nnetwork.host: _local_ # here\n", [(9200, "tcp", True), (9300, "tcp", True)]),
    ],
)
def test_elasticsearch(plant: Plant, configuration: str, expected: Expected) -> None:
    files = {"/etc/elasticsearch/elasticsearch.yml": configuration}
    assert _ports(plant, "/usr/share/elasticsearch/bin/systemd-entrypoint", files) == expected


def test_other_java_programs_by_their_flags(plant: Plant) -> None:
    assert _ports(plant, "/usr/bin/java -Dserver.port=8004 -jar x.jar", {}) == [(8004, "tcp", False)]


HAPROXY = """
global
  stats socket /run/haproxy/admin.sock
frontend web
  bind *:80,127.0.0.1:81  # bind :1
  bind :443 ssl crt /etc/x
  bind quic4@:443
  bind unix@/run/x.sock
frontend range
  bind :9000-9002
backend pool
  bind :2
  server a 10.0.0.1:3
listen stats
  bind 127.0.0.1:8404
"""


def test_haproxy(plant: Plant) -> None:
    files = {"/etc/haproxy/haproxy.cfg": HAPROXY}
    assert _ports(plant, "/usr/sbin/haproxy -Ws -f /etc/haproxy/haproxy.cfg", files) == [
        (80, "tcp", False),
        (81, "tcp", True),
        (443, "tcp", False),
        (443, "udp", False),
        (8404, "tcp", True),
        (9000, "tcp", False),
        (9001, "tcp", False),
        (9002, "tcp", False),
    ]


MASTER = """
# service type  private unpriv  chroot  wakeup  maxproc command + args
smtp      inet  n       -       y       -       -       smtpd
#smtps    inet  n       -       y       -       -       smtpd
submission inet n       -       y       -       -       smtpd
  -o syslog_name=postfix/submission
127.0.0.1:10025 inet n  -       n       -       -       smtpd
odd       inet  n       -       n       -       -       smtpd
pickup    unix  n       -       y       60      1       pickup
"""


@pytest.mark.parametrize(("interfaces", "loopback"), [("all", False), ("loopback-only", True)])
def test_postfix(plant: Plant, interfaces: str, loopback: bool) -> None:
    files = {
        "/etc/postfix/master.cf": MASTER,
        "/etc/postfix/main.cf": f"inet_interfaces = 1.2.3.4\ninet_interfaces = {interfaces}\n",
        "/etc/services": "ssh 22/tcp\nodd 2525/tcp weird # one of ours\n",
    }
    assert _ports(plant, "/usr/sbin/postfix start-fg", files) == [
        (25, "tcp", loopback),
        (587, "tcp", loopback),
        (2525, "tcp", loopback),
        (10025, "tcp", True),
    ]


def test_dovecot(plant: Plant) -> None:
    files = {
        "/etc/dovecot/dovecot.conf": "!include_try /usr/share/dovecot/*.protocol\n!include conf.d/*.conf\n",
        "/usr/share/dovecot/imapd.protocol": "protocols = $protocols imap sieve\n",
        "/etc/dovecot/conf.d/10-master.conf": "service x {\n  inet_listener imap {\n    port = 0\n}\n"
        "  #inet_listener imaps { port = 1 }\n  inet_listener imaps {\n    address = 127.0.0.1\n  }\n}\n",
    }
    found = _ports(plant, "/usr/sbin/dovecot -F", files)
    assert found == [(993, "tcp", True), (4190, "tcp", False)]


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ("options { listen-on-v6 { any; }; };", [(53, "tcp", False), (53, "udp", False), (953, "tcp", True)]),
        ("options { };", [(53, "tcp", False), (53, "udp", False), (953, "tcp", True)]),
        (
            'include "/etc/bind/more";\n// options { listen-on port 1 { any; }; };',
            [(853, "tcp", False), (5353, "tcp", True), (5353, "udp", True), (8053, "tcp", True)],
        ),
    ],
)
def test_bind(plant: Plant, configuration: str, expected: Expected) -> None:
    more = """
    options { listen-on port 5353 { 127.0.0.1; ::1; }; listen-on-v6 { none; };
              listen-on port 853 tls ephemeral { any; }; };
    statistics-channels { inet 127.0.0.1 port 8053 allow { 127.0.0.1; }; };
    controls { };
    """
    files = {"/etc/bind/named.conf": configuration, "/etc/bind/more": more}
    assert _ports(plant, "/usr/sbin/named -f -u bind", files) == expected


@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        (
            "/usr/sbin/php-fpm8.2 --nodaemonize --fpm-config /etc/php/8.2/fpm/php-fpm.conf",
            {
                "/etc/php/8.2/fpm/php-fpm.conf": "[global]\nerror_log = /var/log/x\n",
                "/etc/php/8.2/fpm/pool.d/www.conf": "[www]\nlisten = /run/php/php8.2-fpm.sock\n",
                "/etc/php/8.2/fpm/pool.d/tcp.conf": "[tcp]\nlisten = 127.0.0.1:9000\n",
            },
            [(9000, "tcp", True)],
        ),
        ("/usr/sbin/squid --foreground -sYC", {}, [(3128, "tcp", False)]),
        (
            "/usr/sbin/squid --foreground",
            {"/etc/squid/squid.conf": "http_port 3129\nhttps_port 3130 cert=/x\n"},
            [(3129, "tcp", False), (3130, "tcp", False)],
        ),
        ("/usr/sbin/smbd --foreground", {}, [(445, "tcp", False), (139, "tcp", False)]),
        ("/usr/sbin/nmbd --foreground", {}, [(137, "udp", False), (138, "udp", False)]),
        (
            "/usr/bin/mongod --config /etc/mongod.conf",
            {"/etc/mongod.conf": "net:\n  port: 27018\n  bindIp: 0.0.0.0\n"},
            [(27018, "tcp", False)],
        ),
        ("/usr/bin/mongod", {}, [(27017, "tcp", True)]),
        (
            "/usr/share/grafana/bin/grafana server --config=/etc/grafana/grafana.ini",
            {"/etc/grafana/grafana.ini": "[server]\n;http_port = 1\nhttp_port = 3001\n[x]\nhttp_port = 2\n"},
            [(3001, "tcp", False)],
        ),
        ("/usr/bin/prometheus --storage.tsdb.path=/x", {}, [(9090, "tcp", False)]),
        ("/usr/bin/prometheus --web.listen-address=127.0.0.1:9095", {}, [(9095, "tcp", True)]),
        ("/usr/bin/prometheus-node-exporter", {}, [(9100, "tcp", False)]),
        (
            "/usr/sbin/rabbitmq-server",
            {"/etc/rabbitmq/rabbitmq.conf": "listeners.tcp.local = 127.0.0.1:5673\n"},
            [(5673, "tcp", False)],
        ),
        (
            "/usr/sbin/unbound -d",
            {"/etc/unbound/unbound.conf.d/x.conf": "server:\n  interface: 0.0.0.0\n  port: 5335\n"},
            [(5335, "tcp", False), (5335, "udp", False)],
        ),
        ("/usr/sbin/slapd -d 0 -h ldaps://0.0.0.0:1636/", {}, [(1636, "tcp", False)]),
        (
            "/usr/sbin/vsftpd /etc/vsftpd.conf",
            {"/etc/vsftpd.conf": "listen=YES\nlisten_port=2121\n"},
            [(2121, "tcp", False)],
        ),
        (
            "/usr/sbin/snmpd -f",
            {"/etc/snmp/snmpd.conf": "agentaddress  127.0.0.1,[::1]\n"},
            [(161, "udp", True)],
        ),
        ("/usr/sbin/squid", {"/etc/squid/squid.conf": "http_port 99999\n"}, []),
    ],
)
def test_settings(plant: Plant, line: str, files: dict[str, str], expected: Expected) -> None:
    assert _ports(plant, line, files) == expected
