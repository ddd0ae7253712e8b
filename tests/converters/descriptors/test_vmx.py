"""VMX files with all their oddities."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.descriptors.machine import Machine, Share
from converters.descriptors.vmx import LARGEST_VMX, parse_vmx
from converters.descriptors.vmx_machine import vmx_machine
from converters.errors import DescriptorError


def machine(text: str | bytes) -> Machine:
    data = text.encode() if isinstance(text, str) else text
    return vmx_machine(data, "fallback")


def addresses(found: Machine) -> list[str]:
    return [str(disk.address) for disk in found.disks]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('name = "value"', "value"),
        ('name="value"', "value"),
        ('  name\t=   "value"   # told', "value"),
        ("name = value", "value"),
        ("name = value# told", "value"),
        ("name =", ""),
        ('name = ""', ""),
        ('NAME = "value"\r', "value"),
        ('name = "a # b = c"', "a # b = c"),
        ('name = "a|22b|0Ac|7Cd|7C0A"', 'a"b\nc|d|0A'),
        ('name = "a|2"', "a|2"),
        ('name = "a|zz"', "a|zz"),
        ('name = "a\\b"', "a\\b"),
        ('name = "first"\nname = "last"', "last"),
        ('\ufeffname = "value"', "value"),
    ],
)
def test_lines(line: str, value: str) -> None:
    assert parse_vmx(line.encode()).get("Name") == value


@pytest.mark.parametrize("line", ['b = "no end', "b = two words", "no sign", "= nothing", 'b = "a" b'])
def test_what_vmware_takes_for_no_setting_does_not_count_and_is_told(line: str) -> None:
    found = parse_vmx(f'a = "1"\n{line}\nc = "3"\n'.encode())
    assert set(found.raw) == {"a", "c"}
    (note,) = found.notes
    assert note.startswith("line 2 is no setting")


def test_duplicates_are_told_where_they_differ() -> None:
    assert parse_vmx(b'a = "1"\na = "1"\n').notes == ()
    (note,) = parse_vmx(b'a = "1"\nA = "2"\n').notes
    assert note == "a stands more than once: the last, in line 2, counts"


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("GBK", "网页服务器"),
        ("GBK", "\u4e48\u4e5f"),
        ("windows-1251", "Сервер Ж"),
        ("windows-1252", "Æther café"),
        ("Shift_JIS", "ウェブ"),
        ("UTF-8", "größe"),
        ("ISO-8859-1", "größe"),
    ],
)
def test_the_encoding_is_read_first(encoding: str, name: str) -> None:
    text = f'displayName = "{name}"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "{name}.vmdk"\n'
    found = machine(text.encode(encoding) + f'.encoding = "{encoding}"\n'.encode())
    assert found.name == name
    assert found.disks[0].file_names[0] == f"{name}.vmdk".encode()
    assert found.disks[0].file_names[-1] == f"{name}.vmdk".encode(encoding)
    assert not any("encoding" in note for note in found.notes)


def test_an_escape_is_a_byte_of_the_files_encoding() -> None:
    # VMware escapes a bar byte by byte, also one that is the second byte of a character of GBK.
    assert parse_vmx(b'.encoding = "GBK"\nname = "\x81|7C"\n').get("name") == b"\x81\x7c".decode("gbk")


@pytest.mark.parametrize("declared", ["windows-1252", "no-such-encoding", "rot13", "zlib"])
def test_another_encoding_than_it_says(declared: str) -> None:
    text = f'.encoding = "{declared}"\nname = "\u0201\u0341"\n'  # its bytes are no windows-1252
    found = parse_vmx(text.encode())
    assert found.get("name") == "\u0201\u0341"
    assert any(declared in note for note in found.notes)


def test_bytes_of_no_encoding_are_shown_and_still_name_the_file() -> None:
    found = machine(b'displayName = "a\xff"\nscsi0:0.present = "TRUE"\nscsi0:0.fileName = "a\xff.vmdk"\n')
    assert found.name == "a\\xff"
    assert found.disks[0].file_names == (b"a\xff.vmdk",)


def test_sizes_shares_and_limits() -> None:
    found = machine(
        'numvcpus = "4"\nmemsize = "2048"\nsched.cpu.units = "mhz"\nsched.cpu.min = "500"\n'
        'sched.cpu.max = "3000"\nsched.cpu.shares = "high"\nsched.mem.minSize = "512"\n'
        'sched.mem.max = "1024"\nsched.mem.shares = "1234"\nfirmware = "EFI"\nguestOS = "debian12-64"\n'
        'annotation = "first|0Asecond"\nuuid.bios = "42 1b 4b 87 e6 b7 d8 81-07 a0 c9 d2 21 cd 3c 6b"\n'
        'das.restartPriority = "high"\n'
    )
    assert (found.cpus, found.memory_mib, found.firmware) == (4, 2048, "efi")
    assert found.cpu == Share(500, 3000, 8000)
    assert found.memory == Share(512, 1024, 1234)
    assert found.annotation == "first\nsecond"
    assert found.uuid == "421b4b87-e6b7-d881-07a0-c9d221cd3c6b"
    assert found.restart_priority == "high"
    assert found.notes == ()


def test_the_uuid_of_vcenter_outranks_that_of_the_bios() -> None:
    bios, vcenter = "56 4d " * 7 + "56 4d", "50 1b 1f 1b 73 00 32 bf-93 a1 1c b2 b4 e6 17 d6"
    assert (
        machine(f'uuid.bios = "{bios}"\nvc.uuid = "{vcenter}"').uuid == "501b1f1b-7300-32bf-93a1-1cb2b4e617d6"
    )
    assert machine('uuid.bios = "no uuid"').uuid == ""


def test_missing_sizes() -> None:
    found = machine('displayName = ""\nsched.cpu.max = "unlimited"\nsched.mem.max = "-1"\n')
    assert (found.name, found.cpus, found.memory_mib) == ("fallback", 1, 0)
    assert (found.cpu.limit, found.memory.limit) == (None, None)
    assert found.notes == ("it does not say how much memory the machine has",)


def test_disks_of_every_controller_in_the_order_of_vsphere() -> None:
    names = ("nvme0:0", "sata0:3", "ide1:0", "scsi1:0", "scsi0:10", "scsi0:2")
    text = "".join(f'{name}.present = "TRUE"\n{name}.fileName = "{name}.vmdk"\n' for name in names)
    assert addresses(machine(text)) == ["scsi0:2", "scsi0:10", "scsi1:0", "ide1:0", "sata0:3", "nvme0:0"]
    ordered = machine(text + 'bios.hddOrder = "sata0:3,SCSI0:10"\n')
    assert addresses(ordered) == ["sata0:3", "scsi0:10", "scsi0:2", "scsi1:0", "ide1:0", "nvme0:0"]


@pytest.mark.parametrize(
    "lines",
    [
        'scsi0:0.fileName = "a.vmdk"',
        'scsi0:0.present = "FALSE"\nscsi0:0.fileName = "a.vmdk"',
        'scsi0:0.present = "TRUE"\nscsi0:0.fileName = "a.vmdk"\nscsi0.present = "FALSE"',
        'ide1:0.present = "TRUE"\nide1:0.fileName = "auto detect"\nide1:0.deviceType = "cdrom-raw"',
        'ide1:0.present = "TRUE"\nide1:0.fileName = "x.ISO"',
        'ide1:0.present = "TRUE"\nide1:0.fileName = "x.vmdk"\nide1:0.deviceType = "atapi-cdrom"',
        'scsi0:0.present = "TRUE"\nscsi0:0.fileName = "/dev/sg0"\nscsi0:0.deviceType = "scsi-passthru"',
        'scsi0:0.present = "TRUE"\nscsi0:0.fileName = ""',
    ],
)
def test_what_is_no_disk(lines: str) -> None:
    assert machine(lines).disks == ()


def test_modes_snapshots_and_states() -> None:
    found = machine(
        'scsi0:0.present = "true"\nscsi0:0.fileName = "web-000002.vmdk"\n'
        'scsi0:0.mode = "independent-persistent"\ncheckpoint.vmState = "web.vmss"\n'
        'encryption.keySafe = "vmware:key/…"\n'
    )
    (disk,) = found.disks
    assert (disk.name, disk.mode) == ("web-000002.vmdk", "independent-persistent")
    assert found.suspended
    assert found.encrypted
    redo = machine(
        'scsi0:0.present = "1"\nscsi0:0.fileName = "a.vmdk"\nscsi0:0.redo = "a.REDO"\nmemsize = "4"'
    )
    assert redo.notes == ("scsi0:0 keeps what was written since the start in a.REDO, which is not read",)


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"\0" * 100, b" " * (LARGEST_VMX + 1)])
def test_no_vmx(data: bytes) -> None:
    with pytest.raises(DescriptorError):
        parse_vmx(data)


@given(
    st.binary(max_size=200), st.sampled_from(["GBK", "UTF-8", "utf-7", "idna", "punycode", "windows-1251"])
)
def test_any_bytes(data: bytes, encoding: str) -> None:
    found = machine(f'.encoding = "{encoding}"\nide0:0.present = "1"\nide0:0.filename = "'.encode() + data)
    assert all(name for disk in found.disks for name in disk.file_names)


@pytest.mark.parametrize(
    ("file", "name", "cpus", "memory", "firmware", "disks"),
    [
        ("test-i-vmx-2", "Fedora 20", 1, 2048, "bios", ["scsi0:0"]),
        ("test-i-vmx-3", "RHEL 7.1 UEFI", 1, 2048, "efi", ["scsi0:0"]),
        ("test-i-vmx-5", "MSEdge - Win10_preview", 1, 2048, "bios", ["scsi0:0"]),
        ("test-i-vmx-7", "win2019", 2, 4096, "efi", ["scsi0:0", "sata0:3"]),
    ],
)
def test_cases(
    cases: Path, file: str, name: str, cpus: int, memory: int, firmware: str, disks: list[str]
) -> None:
    found = vmx_machine((cases / "OVF-01/tests" / f"{file}.vmx").read_bytes(), "")
    assert (found.name, found.cpus, found.memory_mib, found.firmware) == (name, cpus, memory, firmware)
    assert addresses(found) == disks
    assert found.cpu.limit is None
    assert found.notes == ()
