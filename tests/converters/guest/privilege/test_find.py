"""From a guest's files to what its services need."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from converters.filesystems.base import Entry
from converters.guest.inspect import inspect
from converters.guest.privilege.values import Need, NeedKind, Needs
from tests.converters.guest.conftest import Plant
from tests.directory_filesystem import DirectoryFilesystem
from tests.trees import CAPABILITY

LIB, ETC = "/usr/lib/systemd/system", "/etc/systemd/system"
BASE = {
    f"{LIB}/default.target": "[Unit]\n",
    "/etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    "/etc/group": "root:x:0:\napp:x:1000:\n",
}


class _WithAttributes(DirectoryFilesystem):
    """Files with extended attributes that no test may need root to set."""

    def __init__(self, root: Path, attributes: Mapping[str, bytes]) -> None:
        super().__init__(root)
        self._attributes = attributes

    def lookup(self, path: bytes) -> Entry | None:
        entry = super().lookup(path)
        value = self._attributes.get("/" + path.decode())
        if entry is None or value is None:
            return entry
        return entry._replace(xattrs=((b"security.capability", value),))


def _needs(
    plant: Plant,
    root: Path,
    service: str,
    files: Mapping[str, str] | None = None,
    attributes: Mapping[str, bytes] | None = None,
    setuid: str = "",
) -> Needs:
    """What the service ``app`` with these lines needs."""
    unit = {f"{LIB}/app.service": f"[Service]\n{service}\n"}
    link = {f"{ETC}/default.target.wants/app.service": f"-> {LIB}/app.service"}
    plant({**BASE, **unit, **link, **(files or {})})
    if setuid:
        (root / setuid.lstrip("/")).chmod(0o4755)
    (found,) = (one for one in inspect(_WithAttributes(root, attributes or {})).services if one.name == "app")
    return found.needs


def _named(needs: Needs, optional: bool | None = None) -> set[str]:
    return {
        need.name.removeprefix("CAP_") or str(need.kind)
        for need in needs.needs
        if optional is None or need.optional is optional
    }


ROOT = {
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
}


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("ExecStart=/opt/app\nUser=app", set()),
        ("ExecStart=/opt/app", ROOT),
        ("ExecStart=/opt/app\nCapabilityBoundingSet=CAP_CHOWN CAP_SYS_PTRACE", {"CHOWN", "SYS_PTRACE"}),
        ("ExecStart=/opt/app\nCapabilityBoundingSet=~CAP_CHOWN CAP_KILL", ROOT - {"CHOWN", "KILL"}),
        ("ExecStart=/opt/app\nUser=app\nCapabilityBoundingSet=CAP_SYS_PTRACE", set()),
        ("ExecStart=/opt/app\nUser=app\nAmbientCapabilities=CAP_SYS_NICE", {"SYS_NICE"}),
        (
            "ExecStart=/usr/bin/memcached -u app\nAmbientCapabilities=CAP_NET_ADMIN",
            {"SETGID", "SETUID", "NET_ADMIN"},
        ),
        ("ExecStart=/opt/app\nUser=app\nDeviceAllow=/dev/ttyS0 rw\nDeviceAllow=char-rtc r", {"/dev/ttyS0"}),
        ("ExecStart=/opt/app --port=/dev/ttyUSB0 /dev/null /dev/pts/0\nUser=app", {"/dev/ttyUSB0"}),
        ("ExecStart=/opt/app --port 80\nUser=app", {"low port"}),
        ("ExecStart=/opt/app --port 8080\nUser=app", set()),
        (
            "ExecStart=/opt/app --port 80\nUser=app\nAmbientCapabilities=CAP_NET_BIND_SERVICE",
            {"NET_BIND_SERVICE"},
        ),
        (
            "ExecStart=/usr/bin/redis-server",
            {"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETGID", "SETUID"},
        ),
        ("ExecStart=/usr/bin/memcached -u app\nUser=root", {"SETGID", "SETUID"}),
        (
            "ExecStart=/opt/app\nUser=app\nExecStartPre=+/sbin/modprobe tun\n"
            "ExecStartPre=-+/sbin/sysctl -w a.b=1",
            {"SYS_MODULE", "privileged"},
        ),
        # As another user it failed on the machine as well.
        ("ExecStart=/opt/app\nUser=app\nExecStartPre=-/sbin/modprobe tun", set()),
        ("ExecStart=/opt/app\nUser=app\nExecStartPre=+/bin/sh -c 'mkdir -p /run/x && kill 1'", None),
    ],
)
def test_what_a_unit_shows(plant: Plant, tmp_path: Path, lines: str, expected: set[str] | None) -> None:
    found = _named(_needs(plant, tmp_path, lines))
    files = {"CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL"}
    assert found == (files if expected is None else expected)


def test_a_failure_that_is_passed_over_is_optional(plant: Plant, tmp_path: Path) -> None:
    needs = _needs(plant, tmp_path, "ExecStart=/opt/app\nUser=app\nExecStartPre=-+/sbin/modprobe tun")
    assert _named(needs, optional=True) == {"SYS_MODULE"}
    (need,) = needs.needs
    assert need == Need(
        NeedKind.CAPABILITY,
        "CAP_SYS_MODULE",
        "ExecStartPre= runs modprobe",
        optional=True,
        advice="load the module on the hosts (modules-load.d(5))",
    )


def test_what_sandbox_settings_take(plant: Plant, tmp_path: Path) -> None:
    lines = "ExecStart=/opt/app\nCapabilityBoundingSet=CAP_MKNOD CAP_SYSLOG CAP_CHOWN"
    assert _named(_needs(plant, tmp_path, lines)) == {"MKNOD", "SYSLOG", "CHOWN"}


def test_private_devices_take_mknod(plant: Plant, tmp_path: Path) -> None:
    lines = "ExecStart=/opt/app\nCapabilityBoundingSet=CAP_MKNOD CAP_SYSLOG CAP_CHOWN\nPrivateDevices=yes\n"
    assert _named(_needs(plant, tmp_path, lines + "ProtectKernelLogs=yes")) == {"CHOWN"}


KEEPALIVED = "ExecStart=/usr/sbin/keepalived --dont-fork"
OPENVPN = (
    "ExecStart=/usr/sbin/openvpn --config server.conf\nDeviceAllow=/dev/null rw\n"
    "DeviceAllow=/dev/net/tun rw\n"
    "CapabilityBoundingSet=CAP_IPC_LOCK CAP_NET_ADMIN CAP_SETGID CAP_SETUID CAP_DAC_OVERRIDE"
)


def test_daemons_that_are_known(plant: Plant, tmp_path: Path) -> None:
    needs = _needs(plant, tmp_path, KEEPALIVED)
    assert _named(needs) == ROOT | {"NET_ADMIN", "NET_BROADCAST", "NET_RAW", "host network"}
    assert "keepalived(8)" in next(need.evidence for need in needs.needs if need.name == "CAP_NET_ADMIN")


def test_a_units_bounding_set_bounds_what_is_known(plant: Plant, tmp_path: Path) -> None:
    found = _named(_needs(plant, tmp_path, OPENVPN))
    assert found == {"NET_ADMIN", "SETGID", "SETUID", "DAC_OVERRIDE", "/dev/net/tun"}


@pytest.mark.parametrize(
    ("configuration", "needed"),
    [("domain=x\n#dhcp-range=10.0.0.2,10.0.0.9\n", False), ("dhcp-range=10.0.0.2,10.0.0.9\n", True)],
)
def test_what_only_a_configuration_needs(
    plant: Plant, tmp_path: Path, configuration: str, needed: bool
) -> None:
    needs = _needs(plant, tmp_path, "ExecStart=/usr/sbin/dnsmasq -k", {"/etc/dnsmasq.conf": configuration})
    assert ("NET_ADMIN" in _named(needs)) is needed
    assert ("host network" in _named(needs)) is needed


def test_the_capabilities_of_its_file(plant: Plant, tmp_path: Path) -> None:
    lines = "ExecStart=/opt/app\nUser=app\nPrivateDevices=yes"
    needs = _needs(plant, tmp_path, lines, {"/opt/app": "x"}, {"/opt/app": CAPABILITY})
    assert _named(needs, optional=False) == {"NET_RAW"}
    # With no-new-privileges the kernel would not give them.
    assert needs.no_new_privileges == ""


def test_setuid_programs_it_starts(plant: Plant, tmp_path: Path) -> None:
    lines = "ExecStart=/bin/sh -c 'sudo -n /opt/app'\nUser=app\nProtectClock=yes"
    needs = _needs(plant, tmp_path, lines, {"/usr/bin/sudo": "x"}, setuid="/usr/bin/sudo")
    assert _named(needs) == {"SETGID", "SETUID", "AUDIT_WRITE"}
    assert needs.no_new_privileges == ""


def test_log_ins(plant: Plant, tmp_path: Path) -> None:
    needs = _needs(plant, tmp_path, "ExecStart=/usr/sbin/ftpd", {"/etc/pam.d/ftpd": "x"})
    assert "AUDIT_WRITE" in _named(needs)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("User=app", ""),
        ("NoNewPrivileges=yes", "its unit sets NoNewPrivileges="),
        ("User=app\nProtectClock=yes", "ProtectClock="),
        ("ProtectClock=yes", ""),
        ("DynamicUser=yes", "DynamicUser="),
        ("User=app\nProtectClock=no", ""),
    ],
)
def test_who_gains_nothing(plant: Plant, tmp_path: Path, lines: str, why: str) -> None:
    found = _needs(plant, tmp_path, f"ExecStart=/opt/app\n{lines}").no_new_privileges
    assert why in found
    assert bool(found) is bool(why)


def test_a_sysv_script_tells_its_daemon(plant: Plant, tmp_path: Path) -> None:
    script = "#!/bin/sh\nstart-stop-daemon --start --exec /usr/sbin/keepalived -- $OPTIONS\n"
    plant({**BASE, "/etc/init.d/ha": script, "/etc/rc2.d/S01ha": "-> /etc/init.d/ha", "/sbin/init": "x"})
    (found,) = inspect(DirectoryFilesystem(tmp_path)).services
    assert "NET_BROADCAST" in _named(found.needs)
