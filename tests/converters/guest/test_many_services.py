"""A Debian system with many services, against what systemd itself would start on it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from converters import process
from converters.guest.facts import GuestFacts, Role
from converters.guest.files import GuestFiles
from converters.guest.inspect import inspect
from converters.guest.services.systemd import started_units
from converters.guest.services.unit_tree import UnitTree
from converters.plan import MachineFacts, plan_image
from deploy.demo import cache
from tests.directory_filesystem import DirectoryFilesystem

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0, reason="installing Debian into a folder with its owners needs root"
    ),
]

PACKAGES = (
    *("systemd-sysv", "dbus", "cron", "rsyslog", "openssh-server", "open-vm-tools"),
    *("nginx-light", "apache2", "postgresql", "redis-server", "mariadb-server", "memcached", "haproxy"),
)

# systemd's test mode loads what a boot would start and prints it; not as root, and with control groups only.
TEST_MODE = """
set -e
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
mount -t tmpfs run "$1/run"
mount --rbind /sys "$1/sys"
exec chroot --userspec=65534:65534 "$1" /usr/lib/systemd/systemd --test --system --unit=default.target
"""
JOB = re.compile(r"Action: (\S+\.(?:service|socket|target|path|timer)) -> start")

MADE_BY_GENERATORS = {"local-fs-pre.target", "systemd-remount-fs.service"}
"""From /etc/fstab and the like: nothing that a container would run."""


@pytest.fixture(scope="module")
def tree() -> Path:
    def install(folder: Path) -> None:
        options = ["--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        process.run(["mmdebstrap", *options, "bookworm", str(folder / "tree")], env=os.environ, timeout=250)

    return cache.cached("tree-many-services", cache.digest(*PACKAGES), install) / "tree"


@pytest.fixture(scope="module")
def facts(tree: Path) -> GuestFacts:
    return inspect(DirectoryFilesystem(tree))


def test_what_starts_is_what_systemd_starts(tree: Path) -> None:
    tree.chmod(0o755)
    environment = {
        **process.MINIMAL_ENVIRONMENT,
        "SYSTEMD_LOG_TARGET": "console",
        "SYSTEMD_IGNORE_CHROOT": "1",
        "HOME": "/",
        "XDG_RUNTIME_DIR": "/run",
    }
    command = ["unshare", "--mount", "sh", "-c", TEST_MODE, "sh", str(tree)]
    answer = process.run(command, env=environment, accept=range(256))
    expected = set(JOB.findall((answer.stdout + answer.stderr).decode("utf-8", "replace")))
    if not expected:
        pytest.skip("systemd's test mode does not run here: no control groups in this namespace")
    files = GuestFiles(DirectoryFilesystem(tree))
    found = started_units(files, UnitTree(files))
    activated = {name for name, unit in found.items() if unit.name.type == "service" and name not in expected}
    assert expected - set(found) == MADE_BY_GENERATORS
    # What is started by somebody's first connection is no job of the boot.
    assert activated <= {
        f"{name.rpartition('.')[0]}.service" for name in found if name.endswith((".socket", ".path"))
    }


APPLICATIONS = {
    "apache2": ("", 80),
    "haproxy": ("", None),
    "mariadb": ("mysql", 3306),
    "memcached": ("", 11211),
    "nginx": ("", 80),
    "postgresql@15-main": ("postgres", 5432),
    "redis-server": ("redis", 6379),
}


def test_applications(facts: GuestFacts) -> None:
    applications = {service.name: service for service in facts.services if service.role is Role.APPLICATION}
    assert applications.keys() == APPLICATIONS.keys()
    for name, (user, port) in APPLICATIONS.items():
        service = applications[name]
        assert service.command, name
        assert service.user == user, name
        assert [found.number for found in service.ports] == ([port] if port else []), name


def test_the_machines_own_services(facts: GuestFacts) -> None:
    own = {service.name: service.reason for service in facts.services if service.role is Role.PLATFORM}
    assert {"ssh", "cron", "rsyslog", "dbus", "open-vm-tools", "getty@tty1", "systemd-logind"} <= own.keys()
    assert all(own.values())


def test_directories(facts: GuestFacts) -> None:
    made = {directory.path: (directory.uid, oct(directory.mode)) for directory in facts.directories}
    assert {"/run/mysqld", "/run/postgresql", "/run/redis", "/run/haproxy", "/run/sshd"} <= made.keys()
    assert made["/run/postgresql"][1] == "0o2775"
    assert made["/run/mysqld"][0] != 0


def test_of_many_none_is_chosen(facts: GuestFacts) -> None:
    plan = plan_image(facts, MachineFacts("many"))
    assert plan.service == ""
    assert {service.name for service in plan.services} == {*APPLICATIONS}
    assert [note.partition(" ran ")[0] for note in plan.notes if note.startswith("Job ")] == [
        "Job cron.daily-apache2 (/etc/crontab)"
    ]
