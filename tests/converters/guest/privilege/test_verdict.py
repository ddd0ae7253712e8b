"""From needs to what a container is given."""

from __future__ import annotations

import pytest

from converters.guest.privilege.own import init_needs
from converters.guest.privilege.values import Ceiling, Level, Need, NeedKind, Needs, Privilege
from converters.guest.privilege.verdict import verdict
from converters.init.specification import Command, Execution, Path, Socket, Specification

CAPABILITY = NeedKind.CAPABILITY
SETUID = Need(CAPABILITY, "CAP_SETUID", "it starts as root")
ADMIN = Need(CAPABILITY, "CAP_NET_ADMIN", "it moves addresses", advice="a load balancer")
NICE = Need(CAPABILITY, "CAP_SYS_NICE", "AmbientCapabilities=", optional=True)
MOUNTS = Need(CAPABILITY, "CAP_SYS_ADMIN", "it mounts")
TUN = Need(NeedKind.DEVICE, "/dev/net/tun", "DeviceAllow=")
NETWORK = Need(NeedKind.HOST_NETWORK, "", "it answers broadcasts")
ALL = Need(NeedKind.PRIVILEGED, "", "it starts containers")
LOW = Need(NeedKind.LOW_PORT, "", "port 80/tcp (x), opened by user app")
EVERY = Needs((SETUID, ADMIN, NICE, MOUNTS, TUN, NETWORK, ALL))


@pytest.mark.parametrize(
    ("needs", "level"),
    [
        ((), Level.NONE),
        ((LOW,), Level.NONE),
        ((NICE,), Level.NONE),
        ((SETUID,), Level.CAPABILITIES),
        ((ADMIN,), Level.CAPABILITIES),
        ((ADMIN, TUN), Level.DEVICES),
        ((NETWORK, TUN), Level.HOST_NETWORK),
        ((MOUNTS,), Level.PRIVILEGED),
        ((NETWORK, ALL), Level.PRIVILEGED),
    ],
)
def test_the_verdict_is_the_farthest_need(needs: tuple[Need, ...], level: Level) -> None:
    assert verdict("x", Needs(needs), (), Ceiling.DEFAULT).level is level


@pytest.mark.parametrize(
    ("ceiling", "capabilities", "devices", "host_network", "privileged"),
    [
        (Ceiling.DEFAULT, ("SETUID",), 0, False, False),
        (Ceiling.CAPABILITIES, ("SETUID", "NET_ADMIN", "SYS_NICE"), 0, False, False),
        (Ceiling.DEVICES, ("SETUID", "NET_ADMIN", "SYS_NICE"), 1, False, False),
        (Ceiling.HOST_NETWORK, ("SETUID", "NET_ADMIN", "SYS_NICE"), 1, True, False),
        (Ceiling.PRIVILEGED, ("SETUID", "NET_ADMIN", "SYS_ADMIN", "SYS_NICE"), 1, True, True),
    ],
)
def test_nothing_above_the_ceiling_is_given(
    ceiling: Ceiling, capabilities: tuple[str, ...], devices: int, host_network: bool, privileged: bool
) -> None:
    given = verdict("x", EVERY, (), ceiling)
    assert given.capabilities == tuple(f"CAP_{name}" for name in capabilities)
    assert (len(given.devices), given.host_network, given.privileged) == (devices, host_network, privileged)
    assert given.level is Level.PRIVILEGED
    assert bool(given.decisions) is (ceiling is not Ceiling.PRIVILEGED)


def test_what_is_not_given_is_told_with_what_would_work() -> None:
    given = verdict("ha", Needs((ADMIN, NICE)), (), Ceiling.DEFAULT)
    assert given.decisions == (
        "Service ha needs CAP_NET_ADMIN (it moves addresses). That is above the ceiling default: it is"
        " written without, and may not start. What would work: a load balancer; or"
        " `--privilege-ceiling capabilities` gives it.",
        "Service ha asks for CAP_SYS_NICE (AmbientCapabilities=). That is above the ceiling default: it"
        " starts without. What would work: `--privilege-ceiling capabilities` gives it.",
    )
    assert given.reasons == ()


def test_low_ports_are_the_networks_to_allow() -> None:
    assert verdict("x", Needs((LOW,)), (), Ceiling.DEFAULT).sysctls == (
        ("net.ipv4.ip_unprivileged_port_start", "0"),
    )
    on_the_host = verdict("x", Needs((LOW, NETWORK)), (), Ceiling.HOST_NETWORK)
    assert on_the_host.sysctls == ()
    assert "on the host" in on_the_host.decisions[0]


def test_no_service_gets_more_than_it_needs() -> None:
    assert verdict("x", Needs(), (), Ceiling.PRIVILEGED) == Privilege(Level.NONE)


def _own(**fields: object) -> set[str]:
    told = Specification("x", start=(Command(("/x",)),), **fields)  # type: ignore[arg-type]
    return {need.name.removeprefix("CAP_") for need in init_needs(told)}


LOWERS = {"SETGID", "SETUID", "KILL"}
MAKES = {"CHOWN", "FOWNER"}
RUN = Path("directory", "/run/x", "0755", "app", "app")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, set()),
        ({"execution": Execution(user="app")}, LOWERS),
        ({"execution": Execution(user="0", supplementary_groups=("ssl",))}, {"SETGID"}),
        ({"before": (Command(("/y",), execution=Execution(user="app")),)}, LOWERS),
        ({"paths": (Path("directory", "/run/x"),)}, set()),
        ({"paths": (RUN,)}, MAKES),
        ({"paths": (Path("directory", "/run/x", "2775", "0", "app"),)}, MAKES | {"FSETID"}),
        ({"paths": (RUN, Path("directory", "/run/x/y"))}, MAKES | {"DAC_OVERRIDE"}),
        ({"paths": (RUN,), "pid_file": "/run/x/x.pid"}, MAKES | {"DAC_OVERRIDE"}),
        ({"paths": (RUN,), "pid_file": "/run/x.pid"}, MAKES),
        ({"sockets": (Socket("stream", "127.0.0.1:80"),)}, {"NET_BIND_SERVICE"}),
        ({"sockets": (Socket("stream", "8080"), Socket("stream", "/run/s", user="app"))}, MAKES),
        ({"execution": Execution(bounding_capabilities=())}, {"SETPCAP"}),
        ({"paths": (Path("file", "/etc/key", source="/s"),)}, MAKES | {"DAC_OVERRIDE"}),
    ],
)
def test_what_the_init_needs(fields: dict[str, object], expected: set[str]) -> None:
    assert _own(**fields) == expected
