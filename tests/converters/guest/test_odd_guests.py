"""A guest's odd or hostile file costs what it says, and never the guest: each of these once could."""

from __future__ import annotations

import json
import time

import pytest

from converters.entrypoint import file_name
from converters.guest.accounts import Accounts
from converters.guest.inspect import inspect
from converters.guest.jobs import scheduled_jobs
from converters.guest.services import find_services
from converters.init.specification import to_json
from converters.manifests.compose import compose
from converters.manifests.describe import machine
from converters.manifests.kubernetes.folder import kubernetes
from converters.plan import MachineFacts, plan_image
from converters.request import ServiceImage
from tests.converters.guest.conftest import Plant
from tests.directory_filesystem import DirectoryFilesystem

LIB = "/usr/lib/systemd/system"


def test_a_moment_without_a_date(plant: Plant) -> None:
    (job,) = scheduled_jobs(plant({"/var/spool/at/affffffffffff0": "#!/bin/sh\n"}), "sysv")
    assert "9999-12-31" in job.notes[0]


@pytest.mark.parametrize(
    ("init", "files"),
    [
        ("openrc", {"/etc/runlevels/default/x": 'command=/x\ncommand_args="it\'s \\"odd"\n'}),
        ("upstart", {"/etc/init/x.conf": "start on startup\nenv A=odd\\\nexec /x\n"}),
        ("sysv", {"/etc/rc2.d/S01x": 'DAEMON=/x\nDAEMON_OPTS="it\'s"\n'}),
        ("sysv", {"/etc/supervisord.conf": "[program:x]\ncommand=/x 'odd\n[program:x]\ncommand=/y\n"}),
        (
            "sysv",
            {"/etc/service/x/run": "exec /x it's\n", "/etc/supervisord.conf": "[program:x]\ncommand=/y\n"},
        ),
        ("sysv", {"/etc/supervisord.conf": "no section\n\0"}),
    ],
)
def test_quotes_without_an_end_and_names_that_come_twice(
    plant: Plant, init: str, files: dict[str, str]
) -> None:
    guest = plant(files)
    services = find_services(init, guest, Accounts(guest), "vm", {}).services
    names = [service.name for service in services]
    assert len(names) == len({*names})


@pytest.mark.parametrize(
    "path",
    [
        "/etc/crontab",
        "/etc/xinetd.conf",
        "/etc/conf.d/x",
        "/etc/supervisord.conf",
        "/etc/dovecot/dovecot.conf",
    ],
)
@pytest.mark.parametrize("text", ["\n" * 300_000 + "x", "a=" + " " * 300_000 + "x", "service x {" * 30_000])
def test_long_texts_end_soon(plant: Plant, path: str, text: str) -> None:
    guest = plant({path: text, "/usr/sbin/cron": "", "/etc/runlevels/default/x": "command=/x\n"})
    began = time.monotonic()
    scheduled_jobs(guest, "sysv")
    for init in ("openrc", "sysv"):
        find_services(init, guest, Accounts(guest), "vm", {})
    assert time.monotonic() - began < 10


def test_a_unit_that_says_nothing_right_still_becomes_a_container(plant: Plant, tmp_path: object) -> None:
    unit = (
        "[Service]\nExecStart=/opt/app\nKillMode=odd\nKillSignal=SIGODD\nFinalKillSignal=odd\nUMask=many\n"
        f"TimeoutStopSec={'9' * 400}\nLimitNOFILE={'9' * 400}\nRuntimeDirectory=a\nRuntimeDirectoryMode=odd\n"
        "Nice=very\nOOMScoreAdjust=1e9\nStateDirectory=a:b\nSuccessExitStatus=odd\n"
    )
    plant(
        {
            "/etc/os-release": "ID=debian\n",
            "/usr/lib/systemd/systemd": "",
            "/sbin/init": "-> /usr/lib/systemd/systemd",
            f"{LIB}/default.target": "[Unit]\nWants=app.service\n",
            f"{LIB}/app.service": unit,
            "/var/lib/a/x": "",
        }
    )
    plan = plan_image(inspect(DirectoryFilesystem(tmp_path)), MachineFacts("vm"))  # type: ignore[arg-type]
    (service,) = plan.services
    assert service.specification is not None
    told = json.loads(to_json(service.specification), parse_constant=pytest.fail)
    assert {"kill_mode", "kill_signal", "final_signal"}.isdisjoint(told)
    assert "umask" not in told["execution"]
    reference = f"registry.example.org/vm@sha256:{'a' * 64}"
    images = (ServiceImage(service.name, b"", f"sha256:{'b' * 64}"),)
    assert compose(plan, reference, images) and kubernetes(machine(plan, reference, images))


def test_names_that_are_no_file_names_stay_apart() -> None:
    assert len({file_name(name) for name in ("a b", "a_b", "a/b", "../b", "x" * 300, "x" * 301)}) == 6
    assert all(
        "/" not in file_name(name) and len(file_name(name)) < 250 for name in ("a/b", "../b", "x" * 300)
    )
