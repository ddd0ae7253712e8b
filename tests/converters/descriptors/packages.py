"""Small OVF packages, written as tools write them."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NAMESPACES = (
    'xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" '
    'xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" '
    'xmlns:vmw="http://www.vmware.com/schema/ovf"'
)


@dataclass(frozen=True)
class Hard:
    """A disk: its file's attributes and its own, as they stand in the XML."""

    href: str = "disk.vmdk"
    file: str = ""
    disk: str = 'ovf:capacity="16777216"'
    parent: int = 3
    address: int = 0


def item(kind: int, instance: int, **fields: object) -> str:
    """An item of the hardware."""
    told = "".join(f"<rasd:{name}>{value}</rasd:{name}>" for name, value in fields.items())
    return (
        f"<Item><rasd:InstanceID>{instance}</rasd:InstanceID><rasd:ResourceType>{kind}</rasd:ResourceType>"
        f"{told}</Item>"
    )


def system(name: str, items: str, more: str = "") -> str:
    """A virtual system."""
    return (
        f'<VirtualSystem ovf:id="{name}"><Name>{name}</Name>{more}<VirtualHardwareSection>{items}'
        "</VirtualHardwareSection></VirtualSystem>"
    )


def hardware(disks: Sequence[Hard], first: int = 0) -> str:
    """Two CPUs, 1 GiB, a SCSI and an IDE controller, and the disks."""
    cpu = item(3, 1, VirtualQuantity=2, AllocationUnits="hertz * 10^6", Reservation=100, Limit=3000, Weight=9)
    memory = item(4, 2, VirtualQuantity=1, AllocationUnits="byte * 2^30", Reservation=0, Limit="")
    controllers = item(6, 3, Address=0) + item(5, 4, Address=0)
    hung = "".join(
        item(
            17,
            10 + number,
            Parent=disk.parent,
            AddressOnParent=disk.address,
            HostResource=f"ovf:/disk/d{number + first}",
        )
        for number, disk in enumerate(disks)
    )
    return cpu + memory + controllers + hung


def envelope(disks: Sequence[Hard], systems: str, sections: str = "") -> str:
    """A whole descriptor."""
    files = "".join(
        f'<File ovf:id="f{number}" ovf:href="{disk.href}" {disk.file}/>' for number, disk in enumerate(disks)
    )
    described = "".join(
        f'<Disk ovf:diskId="d{number}" ovf:fileRef="f{number}" {disk.disk}/>'
        for number, disk in enumerate(disks)
    )
    return (
        f'<?xml version="1.0"?><Envelope {NAMESPACES}><References>{files}</References>'
        f"<DiskSection>{described}</DiskSection>{sections}{systems}</Envelope>"
    )


def machine(name: str = "web", *disks: Hard) -> str:
    """The descriptor of one machine."""
    hung = disks or (Hard(),)
    return envelope(hung, system(name, hardware(hung)))


def manifest(
    files: Mapping[str, bytes], form: str = "{algorithm}({name})= {digest}", algorithm: str = "SHA256"
) -> str:
    """A manifest in the spelling of ``form``."""
    word = (
        algorithm.replace("-", "").replace("SHA2", "SHA", 1) if algorithm.startswith("SHA2-") else algorithm
    )
    name = word.replace("-", "").lower()
    known = name if name in ("sha1", "sha256", "sha384", "sha512") else "sha256"
    return "".join(
        form.format(algorithm=algorithm, name=file, digest=hashlib.new(known, content).hexdigest()) + "\n"
        for file, content in files.items()
    )


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Files below a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def ova(path: Path, files: Mapping[str, bytes], form: int = tarfile.USTAR_FORMAT) -> Path:
    """An archive of these files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
