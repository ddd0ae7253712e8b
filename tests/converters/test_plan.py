"""From facts to what an image starts and with which resources."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from converters.guest.facts import Directory, GuestFacts, Job, Port, Release, Role, Service
from converters.plan import SHELL, ImagePlan, MachineFacts, Resources, plan_image, resources

NGINX = Service(
    name="nginx",
    unit="/usr/lib/systemd/system/nginx.service",
    role=Role.APPLICATION,
    reason="stays up",
    command=("/usr/sbin/nginx", "-g", "daemon off;"),
    environment=(("PATH", "/bin"),),
    stop_signal="SIGQUIT",
    ports=(Port(80, "tcp", "/etc/nginx/nginx.conf"), Port(443, "udp", "/etc/nginx/nginx.conf")),
    notes=("A thing to know.",),
)
REDIS = Service(
    name="redis-server",
    unit="/usr/lib/systemd/system/redis-server.service",
    role=Role.APPLICATION,
    reason="stays up",
    command=("/usr/bin/redis-server", "/etc/redis/redis.conf"),
    user="redis",
)
CRON = replace(REDIS, name="cron", role=Role.PLATFORM)
UNKNOWN = replace(REDIS, name="thingd", command=(), notes=("It forks.",))


def _guest(*services: Service) -> GuestFacts:
    return GuestFacts(
        release=Release("debian", "12", "Debian", "debian", "/etc/os-release"),
        architecture="amd64",
        hostname="web01",
        init="systemd",
        services=services,
        environment=(("LANG", "C.UTF-8"),),
        directories=(Directory("/run/x", 0o755, 0, 0, "unit"),),
    )


MACHINE = MachineFacts(name="Web 01", vcpus=4, memory_mib=2048)


def test_the_one_application_is_the_entrypoint() -> None:
    plan = plan_image(_guest(CRON, NGINX), MACHINE, labels=(("b", "2"), ("a", "1")))
    assert plan.service == "nginx"
    assert (plan.run.entrypoint, plan.run.cmd) == (NGINX.command, ())
    assert plan.run.exposed_ports == ("80/tcp", "443/udp")
    assert (plan.run.stop_signal, plan.run.user, plan.run.env) == ("SIGQUIT", "", (("PATH", "/bin"),))
    assert plan.run.labels == (("a", "1"), ("b", "2"))
    assert (plan.name, plan.hostname, plan.architecture) == ("Web 01", "web01", "amd64")
    assert plan.directories == _guest().directories
    assert plan.notes == NGINX.notes


@pytest.mark.parametrize(("group", "user"), [("", "redis"), ("ssl", "redis:ssl")])
def test_a_group_is_named_only_when_it_is_another(group: str, user: str) -> None:
    assert plan_image(_guest(replace(REDIS, group=group)), MACHINE).run.user == user


def test_a_port_on_the_loopback_address_is_not_published() -> None:
    ports = (Port(80, "tcp", "a"), Port(6379, "tcp", "/etc/redis/redis.conf", loopback=True))
    plan = plan_image(_guest(replace(NGINX, ports=ports)), MACHINE)
    assert plan.run.exposed_ports == ("80/tcp",)
    assert "6379/tcp on the loopback address only (/etc/redis/redis.conf)" in plan.notes[-1]


def test_of_several_each_has_an_image_and_the_machines_own_starts_a_shell() -> None:
    plan = plan_image(_guest(NGINX, REDIS, CRON), MACHINE, labels=(("a", "1"),))
    assert (plan.service, plan.run.entrypoint, plan.run.cmd) == ("", (), SHELL)
    assert plan.run.env == (("LANG", "C.UTF-8"),)
    assert plan.notes[0].startswith("2 application services")
    nginx, redis = plan.services
    assert (nginx.name, nginx.run.entrypoint, nginx.ports) == ("nginx", NGINX.command, NGINX.ports)
    assert nginx.run.labels == (("a", "1"), ("orchestrate.vm.service", "nginx"))
    assert (redis.name, redis.run.entrypoint, redis.run.user) == ("redis-server", REDIS.command, "redis")


def test_a_service_without_a_command_is_not_passed_over_for_another() -> None:
    plan = plan_image(_guest(NGINX, UNKNOWN), MACHINE)
    assert plan.service == ""
    assert [service.name for service in plan.services] == ["nginx"]
    assert any(note.startswith("Service thingd") and "It forks." in note for note in plan.notes)
    plan = plan_image(_guest(UNKNOWN), MACHINE)
    assert plan.run.cmd == SHELL
    assert "It forks." in plan.notes[1]


def test_no_application_at_all() -> None:
    plan = plan_image(_guest(CRON), MachineFacts(name="x"))
    assert plan.notes == ("No application service was found, so the image starts a shell.",)
    assert plan.resources == Resources(cpus=None, memory_bytes=None)


@pytest.mark.parametrize(
    ("machine", "cpus", "memory", "reserved"),
    [
        (MachineFacts("x", vcpus=4, memory_mib=1024), 4.0, 1 << 30, 0),
        (MachineFacts("x", vcpus=4, memory_mib=1024, cpu_limit=1.5, memory_limit_mib=512), 1.5, 512 << 20, 0),
        (MachineFacts("x", vcpus=2, memory_mib=1024, cpu_limit=8.0, memory_limit_mib=4096), 2.0, 1 << 30, 0),
        (MachineFacts("x", memory_mib=1024, memory_reservation_mib=256), None, 1 << 30, 256 << 20),
        (
            MachineFacts("x", memory_mib=1024, memory_limit_mib=128, memory_reservation_mib=256),
            None,
            *[128 << 20] * 2,
        ),
        (MachineFacts("x", memory_reservation_mib=256), None, None, 256 << 20),
    ],
)
def test_the_tighter_of_size_and_limit_counts(
    machine: MachineFacts, cpus: float | None, memory: int | None, reserved: int
) -> None:
    found = resources(machine)
    assert (found.cpus, found.memory_bytes, found.memory_reserved_bytes) == (cpus, memory, reserved)


def test_a_plan_travels_as_json() -> None:
    adapter = TypeAdapter(ImagePlan)
    plan = plan_image(_guest(NGINX), MACHINE)
    assert adapter.validate_json(adapter.dump_json(plan)) == plan


def test_jobs_are_told_and_can_be_run_once() -> None:
    nightly = Job(
        "app-1", "/etc/cron.d/app", Role.APPLICATION, "own", (("/bin/sh", "-c", "x y"),), "0 3 * * *"
    )
    jobs = (
        replace(nightly, user="app", timezone="UTC", notes=("Note.",), environment=(("A", "1"),)),
        replace(nightly, schedule="", at_boot=True, input="it's\n"),
        replace(nightly, name="fstrim", role=Role.PLATFORM),
        replace(nightly, name="app-3", schedule="", commands=()),
    )
    plan = plan_image(replace(_guest(NGINX), jobs=jobs), MACHINE)
    first, again = plan.jobs
    assert (first.name, first.schedule, first.timezone) == ("app-1", "0 3 * * *", "UTC")
    assert first.specification.type == "oneshot"
    assert (first.specification.execution.user, first.specification.execution.environment) == (
        "app",
        (("A", "1"),),
    )
    assert [path.path for path in first.specification.paths] == ["/run/x"]
    assert again.specification.start[0].words[2] == "printf %s 'it'\"'\"'s\n' | /bin/sh -c 'x y'"
    assert plan.notes[1:] == (
        "Job app-1 (/etc/cron.d/app) ran at `0 3 * * *` (UTC):"
        " `/.orchestrate/init /.orchestrate/jobs/app-1.json` runs it once. Note.",
        "Job app-1.2 (/etc/cron.d/app) ran at boot:"
        " `/.orchestrate/init /.orchestrate/jobs/app-1.2.json` runs it once.",
        "Job app-3 (/etc/cron.d/app) ran by the clock: no command of it is known.",
    )
