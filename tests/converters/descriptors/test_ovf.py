"""OVF envelopes: machines, disks and their addresses, references."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.descriptors.machine import Share
from converters.descriptors.ovf import Reference, System, parse_ovf
from converters.errors import DescriptorError
from tests.converters.descriptors.packages import Hard, envelope, hardware, item, machine, system


def parsed(text: str) -> System:
    (found,) = parse_ovf(text.encode(), "test.ovf")
    return found


def test_sizes_and_shares() -> None:
    found = parsed(machine()).machine
    assert (found.name, found.cpus, found.memory_mib, found.firmware) == ("web", 2, 1024, "bios")
    assert found.cpu == Share(100, 3000, 9)
    assert found.memory == Share(0, None, 0)


def test_what_else_an_envelope_tells() -> None:
    more = (
        '<OperatingSystemSection ovf:id="96" vmw:osType="debian12_64Guest"><Description>Debian</Description>'
        "</OperatingSystemSection>"
        "<AnnotationSection><Annotation>made by hand</Annotation></AnnotationSection>"
    )
    firmware = '<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>'
    found = parsed(envelope([], system("web", item(3, 1, VirtualQuantity=1) + firmware, more))).machine
    assert (found.guest_os, found.guest_name) == ("debian12_64Guest", "Debian")
    assert (found.annotation, found.firmware) == ("made by hand", "efi")
    assert found.notes == ("it does not say how much memory the machine has",)


def test_disks_in_the_order_of_controllers_and_addresses() -> None:
    disks = [
        Hard("a.vmdk", parent=4, address=1),
        Hard("b.vmdk", parent=3, address=10),
        Hard("c.vmdk", parent=3, address=2),
        Hard("d.vmdk", parent=99, address=0),
    ]
    found = parsed(machine("web", *disks)).disks
    names = [(str(address), disk.file.href if disk.file else "") for address, disk in found]
    assert names == [
        ("scsi0:0", "d.vmdk"),
        ("scsi0:2", "c.vmdk"),
        ("scsi0:10", "b.vmdk"),
        ("ide0:1", "a.vmdk"),
    ]


def test_controllers_by_type_and_number() -> None:
    controllers = (
        item(20, 5, Address=0, ResourceSubType="vmware.sata.ahci")
        + item(20, 6, Address=0, ResourceSubType="vmware.nvme.controller")
        + item(6, 7, Address=0)
        + item(6, 8, Address=0)
    )
    disks = [Hard(f"{parent}.vmdk", parent=parent) for parent in (6, 5, 8, 7)]
    hung = "".join(
        item(17, 20 + number, Parent=disk.parent, HostResource=f"/disk/d{number}")
        for number, disk in enumerate(disks)
    )
    found = parsed(envelope(disks, system("web", controllers + hung))).disks
    assert [str(address) for address, _ in found] == ["scsi0:0", "scsi1:0", "sata0:0", "nvme0:0"]


def test_as_virtualbox_writes_it() -> None:
    """SATA as "other storage", sizes in ``MegaBytes``, a capacity without a unit, the disk ``/disk/ID``."""
    hardware = (
        item(3, 1, Caption="2 virtual CPU", VirtualQuantity=2)
        + item(4, 2, AllocationUnits="MegaBytes", VirtualQuantity=768)
        + item(5, 3, Address=0, ResourceSubType="PIIX4")
        + item(5, 4, Address=1, ResourceSubType="PIIX4")
        + item(20, 5, Address=0, ResourceSubType="AHCI")
        + item(17, 6, AddressOnParent=0, HostResource="/disk/d0", Parent=5)
        + item(15, 7, AddressOnParent=0, AutomaticAllocation="true", Parent=4)
    )
    guest = (
        '<OperatingSystemSection ovf:id="96"><Info>The kind of installed guest operating system</Info>'
        '<Description>Debian_64</Description><vbox:OSType xmlns:vbox="http://www.virtualbox.org/ovf/machine"'
        ' ovf:required="false">Debian_64</vbox:OSType></OperatingSystemSection>'
    )
    found = parsed(envelope([Hard("web-disk001.vmdk")], system("vm", hardware, guest)))
    assert (found.machine.cpus, found.machine.memory_mib) == (2, 768)
    assert found.machine.guest_name == "Debian_64"
    ((address, disk),) = found.disks
    assert (str(address), disk.capacity) == ("sata0:0", 16 << 20)


def test_a_disk_may_be_a_file_whose_capacity_nobody_tells() -> None:
    ((_, disk),) = parsed(
        machine("web", Hard(file='ovf:size="7"')).replace("ovf:/disk/d0", "ovf:/file/f0")
    ).disks
    assert disk.capacity is None
    assert disk.file is not None
    assert (disk.file.href, disk.file.size) == ("disk.vmdk", 7)


def test_storage_items_of_version_2() -> None:
    """OVF 2 has items of their own for disks; what counts in them is called the same."""
    storage = item(17, 6, AddressOnParent=3, HostResource="ovf:/disk/d0", Parent=5).replace(
        "Item>", "StorageItem>"
    )
    text = envelope([Hard()], system("vm", item(6, 5, Address=1) + storage))
    ((address, _),) = parsed(text).disks
    assert str(address) == "scsi1:3"


def test_several_machines_of_a_collection() -> None:
    disks = [Hard("a.vmdk"), Hard("b.vmdk")]
    inner = system("one", hardware(disks[:1])) + system("two", hardware(disks[1:], first=1))
    text = envelope(disks, f'<VirtualSystemCollection ovf:id="all">{inner}</VirtualSystemCollection>')
    found = parse_ovf(text.encode(), "test.ovf")
    assert [one.identifier for one in found] == ["one", "two"]
    assert [disk.file.href for one in found for _, disk in one.disks if disk.file] == ["a.vmdk", "b.vmdk"]


def test_items_of_the_default_configuration_count() -> None:
    options = (
        '<DeploymentOptionSection><Configuration ovf:id="small"/>'
        '<Configuration ovf:id="big" ovf:default="true"/></DeploymentOptionSection>'
    )
    cpus = "".join(
        item(3, 1, VirtualQuantity=count).replace("<Item>", f"<Item {attribute}>", 1)
        for count, attribute in (
            (1, ""),
            (2, 'ovf:configuration="small"'),
            (8, 'ovf:configuration="big huge"'),
        )
    )
    least = item(3, 1, VirtualQuantity=99).replace("<Item>", '<Item ovf:bound="max">', 1)
    assert parsed(envelope([], system("web", cpus + least), options)).machine.cpus == 8


def test_a_disk_without_a_file_has_no_content() -> None:
    text = machine().replace('ovf:fileRef="f0"', "")
    ((_, disk),) = parsed(text).disks
    assert (disk.file, disk.capacity) == (None, 16 << 20)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('ovf:capacity="16777216"', 'ovf:capacity="1" ovf:capacityAllocationUnits="ells"'), "ells"),
        (('ovf:capacity="16777216"', 'ovf:capacity="${size}"'), "size"),
        (('ovf:fileRef="f0"', 'ovf:fileRef="f7"'), "f7"),
        (('ovf:fileRef="f0"', 'ovf:fileRef="f0" ovf:parentRef="d9"'), "differences to d9"),
        (("ovf:/disk/d0", "ovf:/disk/d7"), "ovf:/disk/d7"),
        (('ovf:id="f0"', 'ovf:id="f0" ovf:compression="bzip2"'), "bzip2"),
        (("<Envelope", "<Else"), "no XML"),
        (('<?xml version="1.0"?>', '<!DOCTYPE x [<!ENTITY a "b">]>'), "document type"),
    ],
)
def test_what_cannot_be_is_an_error(change: tuple[str, str], said: str) -> None:
    with pytest.raises(DescriptorError, match=re.escape(said)):
        parse_ovf(machine().replace(*change).encode(), "test.ovf")


def test_chunks() -> None:
    assert Reference("d.vmdk", 25, 10).names() == tuple(f"d.vmdk.{number:09d}" for number in range(3))
    assert Reference("d.vmdk", 20, 10).names() == ("d.vmdk.000000000", "d.vmdk.000000001")
    assert Reference("d.vmdk", 20, None).names() == ("d.vmdk",)
    for size, chunk in ((None, 10), (1 << 60, 1)):
        with pytest.raises(DescriptorError):
            Reference("d.vmdk", size, chunk).names()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a>" * 1000,
        b"<a/>",
        b"<Envelope/>",
        b"<?xml version='1.0' encoding='nonsense'?><Envelope/>",
        '<!DOCTYPE a [<!ENTITY b "c">]><Envelope>&b;</Envelope>'.encode("utf-16"),
        b"<Envelope>" + b"<a/>" * 300_000 + b"</Envelope>",
    ],
)
def test_hostile_xml(data: bytes) -> None:
    with pytest.raises(DescriptorError):
        parse_ovf(data, "test.ovf")


@given(st.integers(0, 1500), st.binary(min_size=1, max_size=3))
def test_damaged_envelopes_end_in_an_error_or_a_machine(position: int, damage: bytes) -> None:
    data = machine().encode()
    position %= len(data)
    try:
        assert parse_ovf(data[:position] + damage + data[position + len(damage) :], "test.ovf")
    except DescriptorError as error:
        assert error.message


def test_cases(cases: Path) -> None:
    told: dict[str, list[tuple[int, str]]] = {}
    with (cases / "OVF-expected.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["capacity_bytes"] != "?":
                told.setdefault(row["#file"], []).append((int(row["capacity_bytes"]), row["href"]))
    assert len(told) == 5
    for name, expected in told.items():
        (found,) = parse_ovf((cases / name).read_bytes(), name)
        assert [(disk.capacity, disk.file.href) for _, disk in found.disks if disk.file] == expected
        assert found.machine.memory_mib in (1024, 2048, 4096)
        assert found.machine.cpus in (1, 2)


@pytest.mark.parametrize(
    ("file", "name", "firmware", "disks"),
    [
        ("test-i-ova-formats", "2K8R2EESP1_2_Medium", "efi", 1),
        ("test-i-ova-subfolders", "2K8R2EESP1_2_Medium", "efi", 1),
        ("test-i-ova-two-disks", "2K8R2EESP1_2_Medium", "bios", 2),
    ],
)
def test_cases_as_virt_v2v_reads_them(cases: Path, file: str, name: str, firmware: str, disks: int) -> None:
    (found,) = parse_ovf((cases / "OVF-01/tests" / f"{file}.ovf").read_bytes(), file)
    assert (found.machine.name, found.machine.memory_mib, found.machine.cpus) == (name, 1024, 1)
    assert found.machine.firmware == firmware
    assert [str(address) for address, _ in found.disks] == [f"scsi0:{number}" for number in range(disks)]


@pytest.mark.parametrize("version", [7, 10, 11, 13, 14, 15, 17, 18, 19, 20, 21])
def test_templates_of_every_hardware_version(cases: Path, version: int) -> None:
    text = (cases / "OVF-03/templates" / f"template-hw{version}.ovf").read_text()
    values = {"NAME": "web", "VMDK_CAPACITY": "1024", "NUM_CPUS": "3", "MEM_SIZE": "512", "FIRMWARE": "efi"}
    for key, value in values.items():
        text = text.replace(f"@@{key}@@", value)
    found = parsed(text)
    assert (found.machine.name, found.machine.cpus, found.machine.memory_mib) == ("web", 3, 512)
    ((address, disk),) = found.disks
    assert (str(address), disk.capacity, disk.file and disk.file.href) == ("scsi0:0", 1024, "web-disk1.vmdk")
