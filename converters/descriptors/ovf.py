"""OVF envelopes (DSP0243): the machines that one describes, and the files that it refers to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from converters.descriptors.machine import Address, Machine
from converters.descriptors.ovf_hardware import read_hardware
from converters.descriptors.units import byte_count
from converters.descriptors.xml import Element, parse_xml
from converters.errors import DescriptorError

_MOST_CHUNKS = 100_000


@dataclass(frozen=True, slots=True)
class Reference:
    """A file that an envelope refers to."""

    href: str
    size: int | None
    """Bytes of the file, of all its chunks together; None: not told."""
    chunk_size: int | None

    def names(self) -> tuple[str, ...]:
        """The files in which it lies: one, or its chunks (DSP0243, 7.1)."""
        if not self.chunk_size:
            return (self.href,)
        if self.size is None:
            raise DescriptorError(f"{self.href} lies in chunks and its size is not told", "export it again")
        count = max(1, -(-self.size // self.chunk_size))
        if count > _MOST_CHUNKS:
            raise DescriptorError(f"{self.href} lies in {count} chunks", "export it again")
        return tuple(f"{self.href}.{number:09d}" for number in range(count))


@dataclass(frozen=True, slots=True)
class EnvelopeDisk:
    """A disk of an envelope."""

    capacity: int | None
    """Bytes; None: not told."""
    file: Reference | None
    """None: it has no content yet. In which format it is, and whether compressed, its bytes tell."""


@dataclass(frozen=True, slots=True)
class System:
    """A machine of an envelope, its disks as the envelope has them."""

    identifier: str
    machine: Machine
    """Without disks."""
    disks: tuple[tuple[Address, EnvelopeDisk], ...]
    """In the order of their addresses."""


def parse_ovf(data: bytes, what: str) -> tuple[System, ...]:
    """The machines that an OVF descriptor describes.

    Raises:
        DescriptorError: no OVF, or it says of a disk what cannot be.
    """
    root = parse_xml(data, what)
    if root.name != "Envelope":
        raise DescriptorError(f"{what} is XML, but no OVF envelope", "name the .ovf file")
    files = {
        one.attributes.get("id", ""): _reference(one)
        for section in root.all("References")
        for one in section.all("File")
    }
    disks = {
        one.attributes.get("diskId", ""): one
        for section in root.all("DiskSection")
        for one in section.all("Disk")
    }
    configuration = _default_configuration(root)
    systems = tuple(_system(found, files, disks, configuration) for found in _virtual_systems(root))
    if not systems:
        raise DescriptorError(f"{what} describes no machine", "export the machine again")
    return systems


def _virtual_systems(element: Element) -> Iterator[Element]:
    """Every machine, in collections of collections too; depth is bounded by the parser."""
    for child in element.children:
        if child.name in ("VirtualSystem", "Content"):  # the latter in OVF 0.9
            yield child
        elif child.name == "VirtualSystemCollection":
            yield from _virtual_systems(child)


def _default_configuration(root: Element) -> str:
    options = [
        option for section in root.all("DeploymentOptionSection") for option in section.all("Configuration")
    ]
    chosen = [one for one in options if one.attributes.get("default", "").lower() in ("true", "1")]
    return (chosen or options)[0].attributes.get("id", "") if options else ""


def _system(
    element: Element,
    files: Mapping[str, Reference],
    disks: Mapping[str, Element],
    configuration: str,
) -> System:
    identifier = element.attributes.get("id", "")
    name = element.value("Name") or identifier
    hardware = read_hardware(element, configuration)
    system = element.first("OperatingSystemSection")
    annotation = element.first("AnnotationSection")
    guest_os = system.attributes.get("osType", "") if system else ""
    guest_name = (system.value("Description") or system.value("OSType")) if system else ""
    machine = Machine(
        name=name,
        cpus=hardware.cpus,
        memory_mib=hardware.memory_mib,
        cpu=hardware.cpu,
        memory=hardware.memory,
        firmware=hardware.firmware,
        guest_os=guest_os,
        guest_name=guest_name,
        annotation=annotation.value("Annotation") if annotation else "",
        notes=hardware.notes,
    )
    found = tuple((address, _disk(name, resource, files, disks)) for address, resource in hardware.disks)
    return System(identifier or name, machine, found)


def _disk(
    machine: str, resource: str, files: Mapping[str, Reference], disks: Mapping[str, Element]
) -> EnvelopeDisk:
    """The disk behind a host resource: ``ovf:/disk/ID``, or ``ovf:/file/ID`` (DSP0243, 8.3)."""
    kind, _, identifier = resource.removeprefix("ovf:").strip("/").partition("/")
    match kind:
        case "disk" if identifier in disks:
            return _described(machine, disks[identifier], files)
        case "file" if identifier in files:
            return EnvelopeDisk(None, files[identifier])
        case _:
            raise DescriptorError(
                f"{machine}: a hard disk refers to {resource!r}, which the OVF does not have",
                "export the machine again",
            )


def _described(machine: str, disk: Element, files: Mapping[str, Reference]) -> EnvelopeDisk:
    identifier = disk.attributes.get("diskId", "")
    capacity = disk.attributes.get("capacity", "")
    try:
        size = byte_count(capacity, disk.attributes.get("capacityAllocationUnits"))
    except DescriptorError as error:
        raise DescriptorError(
            f"{machine}: capacity of the disk {identifier}: {error.message}", error.hint
        ) from error
    if parent := disk.attributes.get("parentRef", ""):
        raise DescriptorError(
            f"{machine}: the disk {identifier} holds only the differences to {parent}",
            "export the machine without snapshots",
        )
    reference = disk.attributes.get("fileRef", "")
    if reference and reference not in files:
        raise DescriptorError(
            f"{machine}: the disk {identifier} lies in the file {reference!r}, which the OVF does not name",
            "export the machine again",
        )
    return EnvelopeDisk(size, files.get(reference))


def _reference(element: Element) -> Reference:
    compression = element.attributes.get("compression", "").strip().lower()
    href = element.attributes.get("href", "")
    if compression not in ("", "gzip", "identity"):
        raise DescriptorError(
            f"{href} is compressed by {compression!r}, which OVF does not have",
            "export it with gzip, or plain",
        )
    size, chunk_size = element.attributes.get("size"), element.attributes.get("chunkSize")
    return Reference(href, _number(size), _number(chunk_size))


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
