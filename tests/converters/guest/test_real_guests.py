"""Real Debian systems, read from their disks by the product's own reader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from converters.disks.raw import RawDisk
from converters.filesystems.base import Entry
from converters.filesystems.ext import ExtFilesystem
from converters.guest.facts import Role
from converters.guest.inspect import inspect
from converters.plan import MachineFacts, plan_image
from deploy.demo import guests

MACHINE = MachineFacts("guest")


class _Counted(ExtFilesystem):
    """Counts the entries that walks gave."""

    walked = 0

    def walk(self, top: bytes = b"") -> Iterator[Entry]:
        for entry in super().walk(top):
            self.walked += 1
            yield entry


@contextmanager
def _root(guest: guests.Guest) -> Iterator[_Counted]:
    (built,) = (part for part in guest.partitions if part.mount == "/")
    with RawDisk(str(guest.raw)) as disk, _Counted(disk, built.offset, built.size) as filesystem:
        yield filesystem


def test_web() -> None:
    with _root(guests.web()) as filesystem:
        facts = inspect(filesystem)
    assert (facts.release.id, facts.release.version, facts.release.source) == (
        "debian",
        "12",
        "/etc/os-release",
    )
    assert (facts.architecture, facts.hostname, facts.init, facts.notes) == ("amd64", "web", "systemd", ())
    roles = {service.name: service.role for service in facts.services}
    assert {name for name, role in roles.items() if role is Role.APPLICATION} == {"nginx"}
    assert {"ssh", "cron", "getty@tty1"} <= roles.keys()
    plan = plan_image(facts, MACHINE)
    assert plan.run.entrypoint == ("/usr/sbin/nginx", "-g", "daemon off;")
    assert (plan.run.exposed_ports, plan.run.stop_signal) == (("80/tcp",), "SIGQUIT")


def test_db() -> None:
    with _root(guests.db()) as filesystem:
        facts = inspect(filesystem)
    plan = plan_image(facts, MACHINE)
    assert plan.service == "redis-server"
    (service,) = plan.services
    assert service.reasons == ("directories are made for it at each start", "it has a umask of its own")
    assert plan.run.entrypoint == ("/.orchestrate/init", "/.orchestrate/services/redis-server.json")
    assert (plan.run.user, plan.run.exposed_ports) == ("", ("6379/tcp",))
    assert service.specification is not None
    assert service.specification.start[0].words[:2] == ("/usr/bin/redis-server", "/etc/redis/redis.conf")
    assert service.specification.execution.user == "redis"
    assert "/run/redis" in {path.path for path in service.specification.paths}


def test_legacy() -> None:
    with _root(guests.legacy()) as filesystem:
        facts = inspect(filesystem)
    assert facts.init == "sysv"
    plan = plan_image(facts, MACHINE)
    assert plan.run.entrypoint == ("/usr/sbin/lighttpd", "-f", "/etc/lighttpd/lighttpd.conf", "-D")
    assert plan.run.exposed_ports == ("80/tcp",)


def test_a_look_is_no_walk_of_the_whole_tree() -> None:
    with _root(guests.web()) as filesystem:
        inspect(filesystem)
        looked_at = filesystem.walked
        everything = sum(1 for _ in filesystem.walk())
    assert everything > 5000
    assert looked_at < 1000
