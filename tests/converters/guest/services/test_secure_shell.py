"""When an SSH daemon is kept."""

from __future__ import annotations

import time

import pytest

from converters.guest.accounts import Accounts
from converters.guest.facts import Role, Service
from converters.guest.services import find_services
from converters.guest.services.secure_shell import beyond_logins
from tests.converters.guest.conftest import Plant

CONFIG = "/etc/ssh/sshd_config"
PLAIN = (
    "Include /etc/ssh/sshd_config.d/*.conf\nX11Forwarding yes\nSubsystem sftp /usr/lib/openssh/sftp-server\n"
)
PASSWD = "root:x:0:0::/root:/bin/bash\napp:x:1000:1000::/home/app:/bin/bash\n"


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({CONFIG: PLAIN}, ""),
        ({CONFIG: "Match Group sftp\n ChrootDirectory /srv/sftp/%u\n"}, "/srv/sftp/%u (for Group sftp"),
        ({CONFIG: 'match user="drop"\n\tForceCommand internal-sftp -d /in\n'}, "file transfer only"),
        ({CONFIG: "ForceCommand=/usr/bin/backup\n"}, "`/usr/bin/backup`"),
        ({CONFIG: "ChrootDirectory none\nForceCommand none\nPermitTunnel no\nGatewayPorts no\n"}, ""),
        ({CONFIG: "PermitTunnel ethernet\n"}, "tunnels between networks"),
        ({CONFIG: "GatewayPorts clientspecified\n"}, "ports that clients open"),
        ({CONFIG: "Subsystem netconf /usr/bin/netconf\n"}, "the subsystem netconf"),
        ({CONFIG: "Match Address 10.0.0.0/8\n PasswordAuthentication yes\n PermitRootLogin yes\n"}, ""),
        ({CONFIG: "Match User a\n AllowTcpForwarding yes\n"}, "a rule of its own, allowtcpforwarding yes"),
        ({CONFIG: "Match User a\n X11Forwarding no\n"}, ""),
        ({CONFIG: "Match User a\n PermitTTY no\nMatch all\nAllowTcpForwarding yes\n"}, ""),
        (
            {CONFIG: PLAIN, "/etc/ssh/sshd_config.d/50-x.conf": "Match User s\nForceCommand internal-sftp\n"},
            "sshd_config.d/50-x.conf",
        ),
        ({CONFIG: PLAIN, "/etc/ssh/sshd_config.d/50-x.old": "ForceCommand /x\n"}, ""),
        (
            {"/etc/passwd": PASSWD + "git:x:998:998::/srv/git:/usr/bin/git-shell\n"},
            "Git repository for the user git",
        ),
        ({"/etc/passwd": PASSWD, "/home/app/.ssh/authorized_keys": "ssh-ed25519 AAAA me\n"}, ""),
        (
            {
                "/etc/passwd": PASSWD,
                "/home/app/.ssh/authorized_keys": '# x\nrestrict,command="rrsync /srv" ssh-ed25519 AAAA\n',
            },
            "a key that runs `rrsync /srv`",
        ),
        (
            {
                "/etc/passwd": PASSWD,
                "/root/.ssh/authorized_keys": 'no-pty,permitopen="db:5432" ssh-rsa AAAA\n',
            },
            "a key for tunnels",
        ),
        (
            {
                "/etc/passwd": PASSWD,
                "/root/.ssh/authorized_keys": "command=\"echo 'Please log in as debian'\" ssh-rsa A\n",
            },
            "",
        ),
        (
            {
                CONFIG: PLAIN,
                "/usr/bin/xauth": "",
                "/usr/share/applications/vim.desktop": "[Desktop Entry]\nTerminal=true\n",
            },
            "",
        ),
        (
            {
                CONFIG: PLAIN,
                "/usr/bin/xauth": "",
                "/usr/share/applications/gitk.desktop": "[Desktop Entry]\nTerminal=false\n",
            },
            "programs with windows over X11",
        ),
    ],
)
def test_what_keeps_it(plant: Plant, files: dict[str, str], word: str) -> None:
    guest = plant(files)
    reasons = beyond_logins(guest, Accounts(guest))
    assert bool(reasons) is bool(word)
    assert word in "; ".join(reasons)


def test_configurations_that_include_each_other_end_soon(plant: Plant) -> None:
    text = "Include sshd_config.d/*.conf\n"
    files = {f"/etc/ssh/sshd_config.d/{number}.conf": text for number in range(300)}
    guest = plant({CONFIG: "Include sshd_config.d/*.conf sshd_config\n" * 1000, **files})
    began = time.monotonic()
    assert beyond_logins(guest, Accounts(guest)) == ()
    assert time.monotonic() - began < 5


def _services(plant: Plant, files: dict[str, str]) -> dict[str, Service]:
    lib = "/usr/lib/systemd/system"
    wants = {
        f"{lib}/multi-user.target.wants/{path.rpartition('/')[2]}": f"-> {path}"
        for path in files
        if path.endswith(".service")
    }
    guest = plant({f"{lib}/multi-user.target": "[Unit]\n", **files, **wants})
    found = find_services("systemd", guest, Accounts(guest), "vm", {}).services
    return {service.name: service for service in found}


def test_the_role_of_the_daemon(plant: Plant) -> None:
    unit = {"/usr/lib/systemd/system/ssh.service": "[Service]\nExecStart=/usr/sbin/sshd -D\n"}
    assert _services(plant, unit)["ssh"].role is Role.PLATFORM
    chroot = {CONFIG: "Match Group sftp\nChrootDirectory /srv/sftp\n"}
    guest = plant(chroot)
    (service,) = find_services("systemd", guest, Accounts(guest), "vm", {}).services
    assert service.role is Role.APPLICATION
    assert service.reason.startswith("serves more than log-ins: file transfer in a directory of its own")
    assert service.specification is not None


def test_units_that_start_containers(plant: Plant) -> None:
    unit = "[Service]\nExecStart=/usr/bin/docker run --rm --name web nginx:1.25\n"
    service = _services(plant, {"/etc/systemd/system/web.service": unit})["web"]
    assert service.role is Role.PLATFORM
    assert "starts a container with docker" in service.reason
