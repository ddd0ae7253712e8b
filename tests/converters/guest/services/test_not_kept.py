"""Settings of a unit that a container does not keep are told."""

from __future__ import annotations

import pytest

from converters.guest.accounts import Accounts
from converters.guest.services.not_kept import not_kept
from converters.guest.services.systemd import systemd_boot
from converters.guest.services.unit_file import Settings, parse_unit
from tests.converters.guest.conftest import Plant

LIB = "/usr/lib/systemd/system"


def _notes(body: str) -> tuple[str, ...]:
    return not_kept("app", Settings(parse_unit(f"[Service]\n{body}\n")))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("MemoryMax=1G\nMemoryMax=512M", "MemoryMax=512M of its unit is"),
        ("MemoryHigh=1G\nCPUQuota=50%", "MemoryHigh=1G, CPUQuota=50% of its unit are"),
        ("BindPaths=/srv/a:/b\nBindPaths=/c", "BindPaths=/srv/a:/b /c of its unit is"),
        ("LoadCredential=key:/etc/key", "LoadCredential=key:/etc/key of its unit is"),
        ("SetCredential=key:hunter2", "SetCredential=key of its unit is"),
        ("WatchdogSec=30", "WatchdogSec=30 of its unit is"),
        ("ExecCondition=-/opt/check --token=hunter2", "ExecCondition=/opt/check of its unit is"),
        ("[Unit]\nJoinsNamespaceOf=db.service", "JoinsNamespaceOf=db.service of its unit is"),
    ],
)
def test_what_changes_how_it_runs_is_told(body: str, told: str) -> None:
    assert _notes(body) == (f"Service app: {told} not kept.",)


def test_what_only_confined_it_is_told_by_name() -> None:
    assert _notes("PrivateTmp=yes\nProtectSystem=full\nReadWritePaths=/srv\nProtectHome=no") == (
        "Service app: its unit confined it further (PrivateTmp=, ProtectSystem=, ReadWritePaths=);"
        " its container does not keep these settings.",
    )


@pytest.mark.parametrize(
    "body",
    [
        "Type=simple",
        "MemoryMax=infinity\nTasksMax=infinity\nWatchdogSec=0",
        "BindPaths=/a\nBindPaths=",
        "PrivateTmp=no\nProtectSystem=False\nSystemCallFilter=@x\nSystemCallFilter=",
        "ReadWritePaths=/srv\nIPAddressAllow=any",
        "ExecCondition=/usr/share/samba/is-configured smb",
    ],
)
def test_nothing_is_told_where_nothing_is_set(body: str) -> None:
    assert _notes(body) == ()


def test_values_are_bounded_and_harmless() -> None:
    (note,) = _notes(f"BindPaths=/a\x1b[2J\udcff {'/x' * 9000}")
    assert note.isprintable()
    assert len(note) < 300


def test_a_service_tells_it_under_its_own_name(plant: Plant) -> None:
    guest = plant(
        {
            f"{LIB}/default.target": "[Unit]\nWants=app.service each.socket\n",
            f"{LIB}/app.service": "[Service]\nMemoryMax=1G\nExecStart=/opt/app\n",
            f"{LIB}/each.socket": "[Socket]\nListenStream=80\nAccept=yes\n",
            f"{LIB}/each@.service": "[Service]\nMemoryMax=2G\nExecStart=/opt/each\n",
        }
    )
    assert [one.notes for one in systemd_boot(guest, Accounts(guest), "files", {}).services] == [
        ("Service app: MemoryMax=1G of its unit is not kept.",),
        ("Service each: MemoryMax=2G of its unit is not kept.",),
    ]
