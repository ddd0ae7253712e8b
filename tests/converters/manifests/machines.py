"""A machine with all that deployment files can say, for the tests of each kind."""

from __future__ import annotations

from converters.guest.facts import DataDirectory, Directory, MountPoint, Port, VolumeRole
from converters.guest.privilege.values import Level, Privilege
from converters.image.config import RunConfig
from converters.init.specification import Execution, Specification
from converters.init.specification import Path as SpecificationPath
from converters.manifests.describe import machine
from converters.manifests.machine import Machine
from converters.plan import ImagePlan, Resources, ServicePlan
from converters.request import ServiceImage
from converters.scheduled import JobPlan

REPOSITORY = "registry.example.org:5000/demo/web-01"
REFERENCE = f"{REPOSITORY}@sha256:{'a' * 64}"

NGINX = ServicePlan(
    "nginx",
    RunConfig(entrypoint=("/usr/sbin/nginx",), exposed_ports=("80/tcp", "443/udp")),
    ports=(Port(81, "tcp", "x", loopback=True), Port(80, "tcp", "x")),
)
DATABASE = ServicePlan(
    "mariadb@Main",
    RunConfig(
        entrypoint=("/.orchestrate/init", "/x"),
        exposed_ports=("3306/tcp",),
        env=(("HASH", "$2b$12$Pg8A"), ("ANSWER", "yes"), ("MODE", "0755"), ("LINES", 'one\n  "two" %n')),
    ),
    Specification(
        "mariadb",
        paths=(SpecificationPath("directory", "/run/mysqld/sub"), SpecificationPath("directory", "/var/x")),
        execution=Execution(ambient_capabilities=("CAP_IPC_LOCK", "CAP_NET_BIND_SERVICE")),
        start_seconds=300,
        stop_seconds=900,
    ),
    ports=(Port(3306, "tcp", "x"),),
    data=(DataDirectory("/var/lib/my sql's", "its unit"), DataDirectory("/var/lib/mysql", "its unit")),
    stop_seconds=900,
)
JOB = JobPlan(
    "app-1", "/etc/cron.d/app", "0 3 * * 7", False, "Europe/Paris", Specification("app-1", "oneshot")
)
AT_BOOT = JobPlan("app-2", "/etc/cron.d/app", "", True, "", Specification("app-2", "oneshot"))

PLAN = ImagePlan(
    name="Web 01",
    hostname="web01.example.org",
    architecture="amd64",
    run=RunConfig(cmd=("/bin/sh",), labels=(("orchestrate.vm.name", "Web 01"),)),
    resources=Resources(
        cpus=1.5,
        memory_bytes=2 << 30,
        cpus_reserved=0.5,
        memory_reserved_bytes=1 << 30,
        restart_priority="high",
        cpu_weight=2048,
    ),
    services=(NGINX, DATABASE),
    jobs=(JOB, AT_BOOT),
    hosts=(
        ("127.0.0.1", ("localhost",)),
        ("127.0.1.1", ("web01.example.org", "web01")),
        ("192.0.2.7", ("Db01.example.org", "db01", "b a d")),
        ("2001:db8::7", ("db01",)),
        ("no address", ("x",)),
    ),
    search_domains=("example.org", "b a d"),
    data_volumes=(MountPoint("/srv", "disk 1", "ext4", "ext2fs", False, VolumeRole.DATA, 5 << 30),),
    directories=(
        Directory("/run/mysqld", 0o755, 1, 1, "unit"),
        Directory("/run/lock", 0o1777, 0, 0, "x"),
        Directory("/run/a:b", 0o755, 0, 0, "x"),
        Directory("/run/../etc", 0o755, 0, 0, "x"),
    ),
    notes=("A note\nof two lines: yes",),
)
IMAGES = tuple(
    ServiceImage(one.name, b"", f"sha256:{number:064}") for number, one in enumerate(PLAN.services)
)
PRIVILEGE = Privilege(
    Level.DEVICES,
    ("CAP_NET_ADMIN", "CAP_SETUID"),
    devices=("/dev/net/tun",),
    no_new_privileges=True,
    sysctls=(("net.ipv4.ip_unprivileged_port_start", "0"),),
)


def several() -> Machine:
    """Two services that share a network, with data, sockets and jobs."""
    return machine(PLAN, REFERENCE, IMAGES)
