"""The process that reads descriptors: it tells what there is, and what ends it costs one machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from converters.descriptors.child import LENGTH
from converters.descriptors.describer import Describer
from converters.descriptors.found import FoundMachine, machines_at
from converters.descriptors.package import Verification
from converters.errors import LimitError, ReaderDiedError
from tests.converters.descriptors.packages import Hard, machine, manifest, ova, write

DISK = b"disk" * 1024
VMX = b'displayName = "a|1B"\nmemsize = "512"\nscsi0:0.present = "1"\nscsi0:0.fileName = "\xe9.raw"\n'


def folder_of_all(root: Path) -> list[Path]:
    """One descriptor of each kind, one with a name that is not UTF-8, one that is broken, and a bare disk."""
    envelope = machine("b", Hard("d.raw")).encode()
    write(root, {"a/a.vmx": VMX, "b/b.ovf": envelope, "b/d.raw": DISK, "broken.vmx": b"", "disk.raw": DISK})
    (root / "a" / os.fsdecode(b"\xe9.raw")).write_bytes(DISK)
    files = {"b.ovf": envelope, "d.raw": DISK}
    ova(root / "c.ova", {"b.ovf": envelope, "b.mf": manifest(files).encode(), "d.raw": DISK})
    return [root / name for name in ("a/a.vmx", "b/b.ovf", "broken.vmx", "c.ova", "disk.raw")]


def trouble_of(found: tuple[FoundMachine, ...]) -> Exception | None:
    (only,) = found
    return only.trouble


def test_it_tells_what_is_read_in_process(tmp_path: Path) -> None:
    paths = folder_of_all(tmp_path)
    with Describer(tmp_path, Verification.CHECK) as describer:
        for path in paths:
            (told,), (found,) = describer.machines(path), machines_at(path, tmp_path)
            assert (told.machine.name, told.files, told.checks) == (
                found.machine.name,
                found.files,
                found.checks,
            )
            assert [disk.source for disk in told.disks] == [disk.source for disk in found.disks]
            assert [disk.described.name for disk in told.disks] == [
                disk.described.name for disk in found.disks
            ]
            assert str(told.trouble) == str(found.trouble)


def test_one_that_hangs_costs_one_machine(tmp_path: Path) -> None:
    """Whoever opens a pipe that nobody writes to waits for ever."""
    write(tmp_path, {"a.vmx": VMX, "a.raw": DISK})
    os.mkfifo(tmp_path / "hangs.vmx")
    with Describer(tmp_path, Verification.CHECK, longest_seconds=2) as describer:
        trouble = trouble_of(describer.machines(tmp_path / "hangs.vmx"))
        (next_one,) = describer.machines(tmp_path / "a.vmx")
    assert isinstance(trouble, LimitError)
    assert f"{tmp_path / 'hangs.vmx'} was read for 2 seconds" in trouble.message
    assert next_one.machine.memory_mib == 512


def test_one_that_eats_memory_costs_one_machine(tmp_path: Path) -> None:
    write(tmp_path, {"a.vmx": VMX, "eats.ovf": machine("a" * (7 << 20)).encode()})
    with Describer(tmp_path, Verification.CHECK, memory_bytes=100 << 20) as describer:
        trouble = trouble_of(describer.machines(tmp_path / "eats.ovf"))
        (next_one,) = describer.machines(tmp_path / "a.vmx")
    assert isinstance(trouble, LimitError), trouble
    assert "eats.ovf" in trouble.message
    assert next_one.machine.memory_mib == 512


def test_one_that_kills_its_reader_costs_one_machine(tmp_path: Path) -> None:
    with Describer(tmp_path, Verification.CHECK, command=("sh", "-c", "kill -SEGV $$")) as describer:
        trouble = trouble_of(describer.machines(tmp_path / "a.vmx"))
    assert isinstance(trouble, ReaderDiedError)
    assert f"the process that read {tmp_path / 'a.vmx'} died: `sh` was ended by SIGSEGV" in trouble.message


SHADOW = {
    "described": {"address": {"bus": "scsi", "number": 0, "unit": 0}},
    "raw": {"path": "/etc/shadow"},
    "image": None,
    "packed": None,
    "capacity": 1,
}


@pytest.mark.parametrize(
    "lie",
    [
        {"path": "/etc/passwd"},
        {"files": ["/etc/shadow"]},
        {"files": ["link/shadow"]},
        {"disks": [SHADOW]},
        {"trouble": {"kind": "x" * 10}},
        {"machine": 5},
    ],
)
def test_a_reader_that_lies_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: dict[str, object]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.vmx"
    (tmp_path / "link").symlink_to("/etc")
    answer = {
        "path": str(path),
        "descriptor": ".vmx",
        "identifier": "",
        "machine": {"name": "a"},
        "disks": [],
        "files": [str(path)],
        "checks": [],
        "trouble": None,
    }
    honest, lying = (told(tmp_path, path, answer | changed) for changed in ({}, lie))
    assert honest.trouble is None
    assert isinstance(lying.trouble, ReaderDiedError)


def told(root: Path, path: Path, answer: dict[str, object]) -> FoundMachine:
    """What comes of a process that answers so."""
    content = json.dumps([answer]).encode()
    (root / "answer").write_bytes(LENGTH.pack(len(content)) + content)
    with Describer(root, Verification.CHECK, command=("cat", str(root / "answer"))) as describer:
        (found,) = describer.machines(path)
    return found


def test_it_reaches_the_source_folder_alone(tmp_path: Path) -> None:
    """Nothing in the folder of another, nor the network."""
    write(tmp_path, {"source/a.vmx": VMX, "other/b.vmx": VMX})
    program = (
        "import socket, sys; from pathlib import Path; from converters.reader import reach\n"
        "from converters.reader.confine import confine\n"
        "root, other = map(Path, sys.argv[1:])\n"
        "confine(1 << 30, reach.rules_of_descriptors(str(root)))\n"
        "print(len((root / 'a.vmx').read_bytes()))\n"
        "connect = lambda: socket.create_connection(('127.0.0.1', 1))\n"
        "for attempt in (other.read_bytes, (root / 'new').touch, connect):\n"
        "    try: attempt()\n"
        "    except PermissionError: print('refused')\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "source"), str(tmp_path / "other/b.vmx")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert said == [str(len(VMX)), "refused", "refused", "refused"]
