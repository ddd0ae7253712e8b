"""The virtual hardware of an OVF's machine, by resource types (DSP0243, 8; CIM_ResourceAllocation)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from converters.descriptors.machine import Address, Bus, Share
from converters.descriptors.units import byte_count, megahertz
from converters.descriptors.xml import Element
from converters.errors import DescriptorError

_CPU, _MEMORY, _DISK = "3", "4", "17"
_MIB = 1 << 20
_MOST_ITEMS = 2000


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the items add up to."""

    cpus: int
    memory_mib: int
    cpu: Share
    memory: Share
    firmware: str
    disks: tuple[tuple[Address, str], ...]
    """Each disk's address and host resource, in the order of addresses."""
    notes: tuple[str, ...]


def read_hardware(system: Element, configuration: str) -> Hardware:
    """The hardware of a virtual system under a deployment configuration.

    Raises:
        DescriptorError: a size or its unit is not known, or it has more devices than any machine.
    """
    sections = system.all("VirtualHardwareSection", "Section")
    items = _items(sections, configuration)
    notes: list[str] = []
    cpu = _only(items, _CPU)
    memory = _only(items, _MEMORY)
    memory_bytes = _bytes(memory, "VirtualQuantity") or 0
    if not memory_bytes:
        notes.append("it does not say how much memory the machine has")
    return Hardware(
        cpus=(_whole(cpu.value("VirtualQuantity")) or 0) if cpu else 0,
        memory_mib=memory_bytes // _MIB,
        cpu=_cpu_share(cpu),
        memory=_memory_share(memory),
        firmware=_firmware(sections),
        disks=_disks(items, notes),
        notes=tuple(notes),
    )


def _items(sections: list[Element], configuration: str) -> list[Element]:
    """The items in force, the last of each instance: bounds and other configurations' items do not count."""
    found: dict[str, Element] = {}
    for number, item in enumerate(
        item for section in sections for item in section.all("Item", "StorageItem", "EthernetPortItem")
    ):
        wanted = item.attributes.get("configuration", "").split()
        if item.attributes.get("bound") or (wanted and configuration not in wanted):
            continue
        found[_instance(item) or f"item {number}"] = item
    if len(found) > _MOST_ITEMS:
        raise DescriptorError(f"a machine of {len(found):,} devices", "export the machine again")
    return list(found.values())


def _only(items: list[Element], kind: str) -> Element | None:
    return next((item for item in items if item.value("ResourceType") == kind), None)


def _disks(items: list[Element], notes: list[str]) -> tuple[tuple[Address, str], ...]:
    controllers = _controllers(items)
    taken: set[Address] = set()
    found: list[tuple[Address, str]] = []
    for item in items:
        if item.value("ResourceType") != _DISK:
            continue
        name = item.value("ElementName") or item.value("Caption") or "a hard disk"
        resource = item.value("HostResource")
        if not resource:
            notes.append(f"{name} has no content in the package")
            continue
        bus, number = controllers.get(item.value("Parent"), (Bus.SCSI, 0))
        unit = _whole(item.value("AddressOnParent")) or 0
        while (address := Address(bus, number, unit)) in taken:
            unit += 1
        taken.add(address)
        found.append((address, resource))
    return tuple(sorted(found, key=lambda disk: disk[0].key))


def _controllers(items: list[Element]) -> Mapping[str, tuple[Bus, int]]:
    """Bus and number of each controller, by its instance; a number that is taken or not told is the next."""
    found: dict[str, tuple[Bus, int]] = {}
    taken: set[tuple[Bus, int]] = set()
    for item in items:
        bus = _bus(item)
        if bus is None:
            continue
        number = _whole(item.value("Address")) or 0
        while (bus, number) in taken:
            number += 1
        taken.add((bus, number))
        found[_instance(item)] = (bus, number)
    return found


def _bus(item: Element) -> Bus | None:
    subtype = item.value("ResourceSubType").lower()
    match item.value("ResourceType"):
        case "5":
            return Bus.IDE
        case "6":
            return Bus.SCSI
        case (
            "20"
        ):  # "other storage device": its subtype tells, vmware.sata.ahci, AHCI, vmware.nvme.controller
            return Bus.NVME if "nvme" in subtype else Bus.SATA
        case _:
            return None


def _instance(item: Element) -> str:
    return item.value("InstanceID") or item.value("InstanceId")


def _cpu_share(item: Element | None) -> Share:
    if item is None:
        return Share()
    unit = item.value("AllocationUnits")
    reservation, limit = item.value("Reservation"), item.value("Limit")
    return Share(
        megahertz(reservation, unit) if reservation else 0,
        megahertz(limit, unit) if limit else None,
        _whole(item.value("Weight")) or 0,
    )


def _memory_share(item: Element | None) -> Share:
    limit = _bytes(item, "Limit")
    return Share(
        (_bytes(item, "Reservation") or 0) // _MIB,
        None if limit is None else limit // _MIB,
        (_whole(item.value("Weight")) or 0) if item else 0,
    )


def _bytes(item: Element | None, name: str) -> int | None:
    """A quantity of memory; its default unit is 2^20 bytes, as old exports leave it out."""
    text = item.value(name) if item else ""
    return (
        byte_count(text, (item.value("AllocationUnits") if item else "") or "byte * 2^20") if text else None
    )


def _firmware(sections: list[Element]) -> str:
    settings = (one.attributes for section in sections for one in section.all("Config"))
    word = next((one.get("value", "") for one in settings if one.get("key") == "firmware"), "")
    return "efi" if word.lower() in ("efi", "uefi") else "bios"


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
