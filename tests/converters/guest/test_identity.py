"""Name, time zone, variables, init, accounts and architecture of a guest."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from converters.guest.accounts import Accounts
from converters.guest.architecture import read_architecture
from converters.guest.identity import (
    detect_init,
    read_hostname,
    read_login_environment,
    read_manager_environment,
    read_timezone,
)
from tests.converters.guest.conftest import Plant


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/etc/hostname": "# mine\n\nweb01\n"}, "web01"),
        ({"/etc/HOSTNAME": "sles.example.org\n"}, "sles.example.org"),
        ({"/etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=c6.example.org\n"}, "c6.example.org"),
        ({}, ""),
    ],
)
def test_hostname(plant: Plant, files: dict[str, str], expected: str) -> None:
    assert read_hostname(plant(files)) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/etc/localtime": "-> /usr/share/zoneinfo/Europe/Paris"}, "Europe/Paris"),
        ({"/etc/localtime": "-> ../usr/share/zoneinfo/posix/UTC", "/etc/timezone": "Etc/X"}, "UTC"),
        ({"/etc/localtime": "TZif", "/etc/timezone": "Asia/Tokyo\n"}, "Asia/Tokyo"),
        ({"/etc/sysconfig/clock": 'ZONE="America/New_York"\n'}, "America/New_York"),
        ({}, ""),
    ],
)
def test_timezone(plant: Plant, files: dict[str, str], expected: str) -> None:
    assert read_timezone(plant(files)) == expected


def test_environments(plant: Plant) -> None:
    files = plant(
        {
            "/etc/locale.conf": 'LANG="de_DE.UTF-8"\nOTHER=1\n',
            "/etc/environment": "# x\nexport PROXY=http://p\nPATH=/opt/bin\n",
        }
    )
    manager = read_manager_environment(files)
    assert manager["LANG"] == "de_DE.UTF-8"
    assert "PROXY" not in manager and "OTHER" not in manager
    login = read_login_environment(files)
    assert (login["PATH"], login["PROXY"], login["LANG"]) == ("/opt/bin", "http://p", "de_DE.UTF-8")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/sbin/init": "-> ../lib/systemd/systemd", "/lib/systemd/systemd": "x"}, "systemd"),
        ({"/usr/lib/systemd/systemd": "x"}, "systemd"),
        ({"/sbin/init": "x", "/usr/lib/systemd/systemd": "x", "/etc/inittab": ""}, "sysv"),
        ({"/sbin/init": "x", "/lib/systemd/systemd": "x", "/etc/init/rc.conf": ""}, "upstart"),
        (
            {"/sbin/init": "-> /bin/busybox", "/bin/busybox": "x", "/sbin/openrc": "x", "/etc/inittab": ""},
            "openrc",
        ),
        ({"/bin/sh": "x"}, ""),
    ],
)
def test_init(plant: Plant, files: dict[str, str], expected: str) -> None:
    assert detect_init(plant(files)) == expected


def test_accounts(plant: Plant) -> None:
    files = plant(
        {
            "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n+@ngtest:x:::::\n+::::::\nodd:x::0:::\n"
            "app:x:1000:1001:App:/srv/app:/bin/sh\nbroken\n",
            "/etc/group": "root:x:0:\napp:x:1001:\n+:::\n",
        }
    )
    accounts = Accounts(files)
    assert (accounts.uid("root"), accounts.uid("app"), accounts.uid("odd"), accounts.uid("42")) == (
        0,
        1000,
        None,
        42,
    )
    assert (accounts.gid("app"), accounts.gid("nobody"), accounts.gid("7")) == (1001, None, 7)
    assert (accounts.primary_gid("app"), accounts.primary_gid("1000"), accounts.primary_gid("x")) == (
        1001,
        1001,
        None,
    )
    assert (accounts.home("app"), accounts.home("x")) == ("/srv/app", "/")
    notes = " ".join(files.notes)
    assert "+@ngtest" in notes and "user odd" in notes


def _elf(machine: int, bits: int, order: str) -> bytes:
    start = b"\x7fELF" + bytes([bits, 1 if order == "<" else 2, 1]) + bytes(9)
    return start + struct.pack(order + "HH", 2, machine) + bytes(40)


@pytest.mark.parametrize(
    ("machine", "bits", "order", "expected"),
    [
        (62, 2, "<", "amd64"),
        (3, 1, "<", "386"),
        (183, 2, "<", "arm64"),
        (40, 1, "<", "arm"),
        (21, 2, "<", "ppc64le"),
        (21, 2, ">", "ppc64"),
        (22, 2, ">", "s390x"),
        (243, 2, "<", "riscv64"),
    ],
)
def test_architecture(
    plant: Plant, tmp_path: Path, machine: int, bits: int, order: str, expected: str
) -> None:
    files = plant({"/usr/bin/script": "#!/bin/sh\n", "/bin/sh": "-> ../usr/bin/dash"})
    (tmp_path / "usr/bin/dash").write_bytes(_elf(machine, bits, order))
    assert read_architecture(files) == expected
    assert files.notes == ()


def test_architecture_is_not_guessed(plant: Plant, tmp_path: Path) -> None:
    files = plant({"/bin/bash": "#!/bin/false\n"})
    (tmp_path / "bin/sh").write_bytes(_elf(9999, 2, "<"))
    assert read_architecture(files) == ""
    assert "9999" in files.notes[0]
