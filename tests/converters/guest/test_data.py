"""Where services keep their data."""

from __future__ import annotations

import pytest

from converters.guest.data import data_directories
from tests.converters.guest.conftest import Plant


@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        ("/usr/sbin/mariadbd", {"/var/lib/mysql/ibdata1": ""}, [("/var/lib/mysql", "default of mariadbd")]),
        ("/usr/sbin/mariadbd", {}, []),
        (
            "/bin/sh -c exec_/usr/sbin/mysqld",
            {"/etc/mysql/my.cnf": "[mysqld]\ndatadir = /srv/db/\n", "/srv/db/ibdata1": ""},
            [("/srv/db", "/etc/mysql/my.cnf")],
        ),
        (
            "/usr/lib/postgresql/15/bin/postgres -D /var/lib/postgresql/15/main -c config_file=/etc/pg.conf",
            {"/var/lib/postgresql/15/main/PG_VERSION": "15"},
            [("/var/lib/postgresql/15/main", "command line")],
        ),
        (
            "/usr/bin/redis-server /etc/redis/redis.conf",
            {"/etc/redis/redis.conf": "# dir /no\ndir /data/redis\n", "/data/redis/dump.rdb": ""},
            [("/data/redis", "/etc/redis/redis.conf")],
        ),
        (
            "/usr/bin/mongod --config /etc/mongod.conf",
            {"/etc/mongod.conf": "storage:\n  dbPath: /srv/mongo\n", "/srv/mongo/x": ""},
            [("/srv/mongo", "/etc/mongod.conf")],
        ),
        (
            "/usr/bin/prometheus --storage.tsdb.path=/srv/prom",
            {"/srv/prom/wal": ""},
            [("/srv/prom", "command line")],
        ),
        (
            "/usr/share/grafana/bin/grafana server --config=/etc/grafana/grafana.ini",
            {"/etc/grafana/grafana.ini": "[paths]\n;data = /no\ndata = /srv/g\n", "/srv/g/x": ""},
            [("/srv/g", "/etc/grafana/grafana.ini")],
        ),
        ("/usr/sbin/nginx", {"/var/www/html/index.html": ""}, []),
    ],
)
def test_data(plant: Plant, line: str, files: dict[str, str], expected: list[tuple[str, str]]) -> None:
    words = tuple(word.replace("exec_", "exec ") for word in line.split())
    found = data_directories(plant(files), words)
    assert [(one.path, one.source) for one in found] == expected


def test_the_state_that_a_unit_names(plant: Plant) -> None:
    files = plant({"/var/lib/app/deep/x": "", "/var/lib/other/x": ""})
    found = data_directories(files, ("/opt/app",), ["/var/lib/app/deep", "/var/lib/app", "/var/lib/gone"])
    assert [(one.path, one.source) for one in found] == [("/var/lib/app", "its unit")]
