"""A machine as a look at its disks may find it, and its plan's way out to a file and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from converters.guest.facts import (
    DataDirectory,
    GuestFacts,
    Job,
    Port,
    Release,
    Role,
    Service,
)
from converters.init.specification import Command, Execution, Specification
from converters.plan import ImagePlan, MachineFacts
from converters.planfile.decide import NO_DECISIONS, Decisions, decided_image, drafted
from converters.planfile.reading import read_plan, read_rules
from converters.planfile.writing import plan_text

MACHINE = MachineFacts(name="Web 01", vcpus=4, memory_mib=2048, instance_uuid="5021f1")

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
    specification=Specification("nginx", start=(Command(("/usr/sbin/nginx",)),)),
)
APP = Service(
    name="app",
    unit="/etc/systemd/system/app.service",
    role=Role.APPLICATION,
    reason="stays up",
    command=("/opt/app/run", "--colour", "blue"),
    user="app",
    group="www",
    working_directory="/opt/app",
    environment=(("COLOUR", "blue"), ("MODE", "no")),
    ports=(Port(8000, "tcp", "/opt/app/conf", loopback=True),),
    data=(DataDirectory("/var/lib/app", "StateDirectory="),),
    specification=Specification(
        "app",
        "forking",
        start=(Command(("/opt/app/run",)),),
        stop=(Command(("/opt/app/stop",)),),
        pid_file="/run/app.pid",
        execution=Execution(user="app", group="www", working_directory="/opt/app"),
    ),
)
AGENT = Service(
    name="acme-agent",
    unit="/usr/lib/systemd/system/acme-agent.service",
    role=Role.APPLICATION,
    reason="stays up",
    command=("/opt/acme/agent",),
)
CRON = Service(
    name="cron",
    unit="/usr/lib/systemd/system/cron.service",
    role=Role.PLATFORM,
    reason="jobs by the clock: to be scheduled from outside",
    command=("/usr/sbin/cron", "-f"),
    specification=Specification("cron", start=(Command(("/usr/sbin/cron", "-f")),)),
)
BACKUP = Job("backup", "/etc/cron.d/backup", Role.APPLICATION, "own", (("/bin/sh", "-c", "b"),), "0 3 * * *")
AT_BOOT = Job("backup", "/etc/crontab", Role.APPLICATION, "own", (("/bin/sh", "-c", "c"),), at_boot=True)

GUEST = GuestFacts(
    release=Release("debian", "12", "Debian GNU/Linux", "debian", "/etc/os-release"),
    architecture="amd64",
    hostname="web01",
    init="systemd",
    services=(NGINX, APP, AGENT, CRON),
    jobs=(BACKUP, AT_BOOT),
    notes=("Something was passed over.",),
)


def planned(guest: GuestFacts = GUEST, decisions: Decisions = NO_DECISIONS) -> ImagePlan:
    """What is made of a guest."""
    return decided_image(drafted(guest, MACHINE, decisions), MACHINE, decisions)


def written(guest: GuestFacts = GUEST, decisions: Decisions = NO_DECISIONS) -> str:
    """The plan file of a guest."""
    draft = drafted(guest, MACHINE, decisions)
    return plan_text(draft, decided_image(draft, MACHINE, decisions), (), MACHINE.instance_uuid)


def by_plan(path: Path, text: str) -> Decisions:
    """What a plan file of this text decides."""
    path.write_text(text)
    return Decisions(plan=read_plan(path), plan_name=path.name)


def by_rules(path: Path, text: str) -> Decisions:
    """What a rule file of this text decides."""
    path.write_text(text)
    return Decisions(read_rules(path), path.name)


def edited(path: Path, guest: GuestFacts = GUEST, **services: Mapping[str, object]) -> Decisions:
    """The guest's plan with other values for some keys of services."""
    document = yaml.safe_load(written(guest))
    for name, change in services.items():
        document["services"][name.replace("_", "-")].update(change)
    return by_plan(path, yaml.safe_dump(document))
