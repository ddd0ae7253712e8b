"""What services need, with the evidence, and what their containers are given: values, nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How far a container is from an ordinary one, least first."""

    NONE = "none"
    """Its service needs no capability."""
    CAPABILITIES = "capabilities"
    DEVICES = "devices"
    HOST_NETWORK = "host network"
    PRIVILEGED = "privileged"
    """All of it: the host itself."""


class Ceiling(StrEnum):
    """The most that a container is given without a person's word; each includes those before it."""

    DEFAULT = "default"
    """Capabilities that an engine gives every container."""
    CAPABILITIES = "capabilities"
    """Any capability but those that are as good as the host's root."""
    DEVICES = "devices"
    HOST_NETWORK = "host-network"
    PRIVILEGED = "privileged"


class NeedKind(StrEnum):
    """What a need is for."""

    CAPABILITY = "capability"
    DEVICE = "device"
    HOST_NETWORK = "host network"
    PRIVILEGED = "privileged"
    LOW_PORT = "low port"
    """A port below 1024 that a user other than root opens: the engine's to allow, by a sysctl."""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a service needs of the kernel or the host."""

    kind: NeedKind
    name: str
    """``CAP_NET_ADMIN``, ``/dev/net/tun``; empty where the kind says all."""
    evidence: str
    """What shows it: a setting of the unit, a file's attribute, a program that is known."""
    optional: bool = False
    """Whether the service starts without it, and does less."""
    advice: str = ""
    """What would do in its place."""


@dataclass(frozen=True, slots=True)
class Needs:
    """All that a service needs, as its files tell."""

    needs: tuple[Need, ...] = ()
    no_new_privileges: str = ""
    """Why it gains nothing by programs that are setuid or have capabilities; empty: it may."""


@dataclass(frozen=True, slots=True)
class Privilege:
    """The verdict on a service, and what its container is given: everything else is taken from it."""

    level: Level
    """What the service needs, given or not."""
    capabilities: tuple[str, ...] = ()
    """All that the container gets, by their numbers: ``CAP_CHOWN``… Every other one is dropped."""
    devices: tuple[str, ...] = ()
    """Devices of the host that it gets."""
    host_network: bool = False
    """Whether it is in the host's network."""
    privileged: bool = False
    """Whether it gets everything."""
    no_new_privileges: bool = False
    """Whether ``no-new-privileges`` can be set: no program of it gains anything when it is started."""
    sysctls: tuple[tuple[str, str], ...] = ()
    """Settings of the container's network that it needs and not every engine has by default."""
    reasons: tuple[str, ...] = ()
    """Why it has what it has, each a sentence."""
    decisions: tuple[str, ...] = ()
    """What it needs and was not given, and what would work, each a sentence: for a person to decide."""
