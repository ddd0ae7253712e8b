"""Programs that decide whether a service starts, foreseen where they are known."""

from __future__ import annotations

import pytest

from converters.guest.accounts import Accounts
from converters.guest.services.systemd import systemd_boot
from tests.converters.guest.conftest import Plant

LIB, ETC = "/usr/lib/systemd/system", "/etc/systemd/system"
HELPER = "/usr/share/samba/is-configured"


@pytest.mark.parametrize(
    ("configuration", "names"),
    [
        ("[global]\n  server role = standalone server\n", {"smb", "nmb", "other"}),
        ("[global]\n  Server Role = Active Directory Domain Controller\n", {"samba", "other"}),
        ("[global]\n  ; server role = dc\n", {"smb", "nmb", "other"}),
        ("[global]\n  disable netbios = Yes\n", {"smb", "other"}),
        (None, {"other"}),
    ],
)
def test_of_sambas_daemons_those_start_that_are_wanted(
    plant: Plant, configuration: str | None, names: set[str]
) -> None:
    files = {f"{LIB}/default.target": "[Unit]\n"}
    for name in ("smb", "nmb", "samba", "other"):
        condition = f"ExecCondition={'/opt/check' if name == 'other' else HELPER} {name}"
        files[f"{LIB}/{name}.service"] = f"[Service]\n{condition}\nExecStart=/usr/sbin/{name}\n"
        files[f"{ETC}/default.target.wants/{name}.service"] = f"-> {LIB}/{name}.service"
    if configuration is not None:
        files["/etc/samba/smb.conf"] = configuration
    guest = plant(files)
    assert {one.name for one in systemd_boot(guest, Accounts(guest), "files", {}).services} == names
