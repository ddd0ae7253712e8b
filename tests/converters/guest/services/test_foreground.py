"""Commands that keep well-known daemons in front."""

from __future__ import annotations

import pytest

from converters.guest.services.foreground import foreground
from tests.converters.guest.conftest import Plant

NGINX = "/usr/sbin/nginx"


@pytest.mark.parametrize(
    ("words", "configuration", "expected"),
    [
        ((NGINX, "-g", "daemon on; master_process on;"), "", (NGINX, "-g", "daemon off;")),
        ((NGINX,), "user www;\n", (NGINX, "-g", "daemon off;")),
        ((NGINX,), "daemon off;\n", (NGINX,)),
        ((NGINX,), "daemon on;\n", ()),
        ((NGINX,), "# daemon off;\n", (NGINX, "-g", "daemon off;")),
    ],
)
def test_nginx(plant: Plant, words: tuple[str, ...], configuration: str, expected: tuple[str, ...]) -> None:
    found = foreground(plant({"/etc/nginx/nginx.conf": configuration}), words)
    assert found.words == expected
    assert bool(found.notes) is not bool(found.words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("/usr/sbin/mysqld", "--daemonize", "--user=mysql"), ("/usr/sbin/mysqld", "--user=mysql")),
        (("/usr/sbin/php-fpm8.2", "--daemonize"), ("/usr/sbin/php-fpm8.2", "--nodaemonize")),
        (("/usr/sbin/httpd", "-k", "start"), ("/usr/sbin/httpd", "-DFOREGROUND")),
        (("/usr/sbin/vsftpd", "/etc/v.conf"), ("/usr/sbin/vsftpd", "/etc/v.conf", "-obackground=NO")),
        (("/usr/sbin/apachectl", "start"), ("/usr/sbin/apachectl", "-DFOREGROUND")),
        (("/usr/sbin/postmulti", "-i", "-", "start"), ("/usr/sbin/postfix", "start-fg")),
        (("/usr/bin/pg_ctlcluster", "start"), ()),
        (("/opt/unknown",), ()),
    ],
)
def test_others(plant: Plant, words: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert foreground(plant({}), words).words == expected


def test_debian_apache_reads_its_own_variables(plant: Plant) -> None:
    found = foreground(
        plant({"/etc/apache2/envvars": "export APACHE_RUN_USER=x\n"}), ("/usr/sbin/apachectl", "start")
    )
    assert found.words[:2] == ("/bin/sh", "-c")
    assert found.words[2].startswith(". /etc/apache2/envvars")
    assert found.words[2].endswith("exec /usr/sbin/apache2 -DFOREGROUND")
    assert found.stop_signal == "SIGWINCH"
