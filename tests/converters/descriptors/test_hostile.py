"""Descriptors that are made to hang, to flood or to deceive; each ends soon, and in a word to a person."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from converters.descriptors.found import machines_at
from converters.errors import DefectError
from tests.converters.descriptors.packages import Hard, envelope, item, machine, system, write

MANY = 30_000
SECONDS = 5.0


def controllers() -> str:
    return "".join(item(6, number, Address=0) for number in range(MANY))


def disks_on_one_unit() -> str:
    return "".join(item(17, number, Parent=1, HostResource="ovf:/disk/d0") for number in range(MANY))


HOSTILE = {
    "controllers.ovf": envelope([Hard()], system("a", controllers())),
    "units.ovf": envelope([Hard()], system("a", disks_on_one_unit())),
    "chunks.ovf": machine("a", Hard("d", f'ovf:size="{10**18}" ovf:chunkSize="1"')),
    "disks.vmx": "".join(f'scsi{n % 1000}:{n // 1000}.present = "1"\n' for n in range(MANY)),
    "order.vmx": 'bios.hddOrder = "' + "a," * 10**6 + '"\nscsi0:0.present = "1"\nscsi0:0.fileName = "a"\n',
    "lines.vmx": "no setting\n" * 300_000 + 'a = "1"\n',
    "digits.vmx": 'memsize = "' + "9" * 10**6 + '"\nnumvcpus = "' + "9" * 10**6 + '"\n',
    "loop.vmx": 'scsi0:0.present = "1"\nscsi0:0.fileName = "loop/a.vmdk"\n',
    "long.vmx": 'scsi0:0.present = "1"\nscsi0:0.fileName = "' + "a/" * 5000 + '"\n',
    "deep.ovf": "<Envelope>" + "<VirtualSystemCollection>" * 10**5,
    "text.ovf": "<Envelope>" + "&amp;" * 10**6 + "</Envelope>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_ends_soon(tmp_path: Path, name: str) -> None:
    write(tmp_path, {name: HOSTILE[name].encode()})
    (tmp_path / "loop").symlink_to("loop")
    began = time.monotonic()
    (found,) = machines_at(tmp_path / name, tmp_path)
    assert time.monotonic() - began < SECONDS
    assert len(found.machine.notes) <= 25
    if name not in ("lines.vmx", "digits.vmx"):
        assert found.trouble is not None
        assert not isinstance(found.trouble, DefectError), found.trouble
        assert len(found.trouble.message) < 20_000


def test_what_people_read_holds_no_control_characters(tmp_path: Path) -> None:
    text = 'displayName = "a|1B[2Jb|0A"\nscsi0:0.present = "1"\nscsi0:0.fileName = "|1B]0;x|07"\nb \x1b c\n'
    write(tmp_path, {"a.vmx": text.encode(), "a.ovf": machine("a&#27;", Hard("../&#155;")).encode()})
    for name in ("a.vmx", "a.ovf"):
        (found,) = machines_at(tmp_path / name, tmp_path)
        assert found.trouble is not None
        said = (found.machine.name, *found.machine.notes, found.trouble.message, found.trouble.hint)
        assert all(text.isprintable() for text in said)


def test_what_nobody_foresaw_costs_one_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise RecursionError("deep")

    monkeypatch.setattr("converters.descriptors.found.vmx_machine", broken)
    write(tmp_path, {"a.vmx": b'a = "1"'})
    (found,) = machines_at(tmp_path / "a.vmx", tmp_path)
    assert isinstance(found.trouble, DefectError)
    assert "RecursionError: deep" in found.trouble.message


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (found,) = machines_at(tmp_path / "absent.vmx", tmp_path)
    assert found.trouble is not None
    assert "No such file" in found.trouble.message
