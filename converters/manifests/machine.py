"""What runs a machine's images as the machine ran: the containers, volumes and jobs that every writer writes.

All services of a machine share one network, so that they find each other at localhost as they did there: what
a program in one of them connects to is not always in a file that can be read.
"""

from __future__ import annotations

from dataclasses import dataclass

from converters.guest.privilege.values import Privilege
from converters.guest.secrets.values import SecretMount
from converters.image.config import RunConfig
from converters.manifests.volumes import Volume
from converters.plan import Resources

IDLE_STOP_SECONDS = 1
"""A shell does not end when it is told to, and has nothing to finish."""
_GIVEN = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
"""Capabilities that Docker gives every container (moby, oci/caps/defaults.go)."""


@dataclass(frozen=True, slots=True)
class Container:
    """One service in its container, or the machine's own image with a shell."""

    key: str
    """A label, unique among the machine's containers, and not the machine's own."""
    service: str
    """As the guest calls it; empty for the shell."""
    image: str
    """By digest."""
    run: RunConfig
    stop_seconds: int
    start_seconds: int
    capabilities: tuple[str, ...]
    """Those it needs, without ``CAP_``."""
    privilege: Privilege | None
    """What it is given beside them; None: nothing, and all that the engine gives every container."""
    secrets: tuple[SecretMount, ...]
    volumes: tuple[Volume, ...]
    check: tuple[str, ...]
    """A command in the container that succeeds once its first port is open; empty: there is none."""
    check_seconds: int
    """How often to look."""
    probe_port: int
    """The first TCP port that others reach; 0 where there is none."""
    probe_path: str
    """What to ask for at that port by HTTP; empty: a connection is enough."""
    resources: Resources | None
    """What a person gave it; None: what the machine had."""

    @property
    def environment(self) -> tuple[tuple[str, str], ...]:
        """Its variables in order, without those that no engine takes by their names."""
        found = sorted(dict(self.run.env).items())
        return tuple((name, value) for name, value in found if name and "=" not in name)

    @property
    def added_capabilities(self) -> tuple[str, ...]:
        """Those that are to be asked for: where all are dropped first, every one."""
        if self.privilege is not None:
            return self.capabilities
        return tuple(name for name in self.capabilities if name not in _GIVEN)


@dataclass(frozen=True, slots=True)
class ScheduledJob:
    """What the machine ran by the clock or at boot, and a container of its own image runs once."""

    key: str
    """A label, unique on the machine."""
    name: str
    schedule: str
    """Five fields of crontab(5); empty where those cannot say it."""
    timezone: str
    """By name; empty where it is not known."""
    at_boot: bool
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, as containers."""

    title: str
    """As vCenter calls it."""
    name: str
    """A label, no two machines of a registry's folder the same."""
    image: str
    """The machine's own image by digest."""
    architecture: str
    containers: tuple[Container, ...]
    """Its services; the shell where it has none."""
    jobs: tuple[ScheduledJob, ...]
    volumes: tuple[Volume, ...]
    ports: tuple[str, ...]
    """``80/tcp``, of all containers."""
    hostname: str
    """Empty where no engine takes it."""
    hosts: tuple[tuple[str, str], ...]
    """Name and address of its /etc/hosts, those of itself left out."""
    resources: Resources
    labels: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    secrets_folder: str
    """The folder beside the deployment files with what was moved out of the images, a file each."""
    idle: tuple[str, ...]
    """What the machine's own image starts to do nothing; empty: what it starts anyhow."""
    ipv6_loopback: bool = False
    """Whether a service's configuration asks for ``::1``."""

    @property
    def alone(self) -> bool:
        """Whether there is one container only, so that nothing is shared."""
        return len(self.containers) == 1

    @property
    def host_network(self) -> bool:
        """Whether it is in the host's network: with one service there, all are, since they share it."""
        return any(one.privilege is not None and one.privilege.host_network for one in self.containers)

    @property
    def sysctls(self) -> tuple[tuple[str, str], ...]:
        """Settings of the network that the containers share; none where it is the host's."""
        given = [one.privilege for one in self.containers if one.privilege is not None]
        found = {} if self.host_network else {name: value for one in given for name, value in one.sysctls}
        return tuple(sorted(found.items()))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Names of all that its containers get from outside, in order."""
        return tuple(sorted({secret.name for one in self.containers for secret in one.secrets}))

    @property
    def engine_sysctls(self) -> tuple[tuple[str, str], ...]:
        """The same for engines that leave IPv6 off, even ``::1`` (Docker before 27)."""
        if not self.ipv6_loopback or self.host_network:
            return self.sysctls
        return tuple(sorted({**dict(self.sysctls), "net.ipv6.conf.all.disable_ipv6": "0"}.items()))

    @property
    def summary(self) -> str:
        """What it runs, in a few words."""
        names = [one.service for one in self.containers if one.service]
        if not names:
            return "without a service to start"
        return f"service{'s' if len(names) > 1 else ''} {', '.join(names)}"
