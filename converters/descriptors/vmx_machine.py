"""A VMX file's settings as a machine."""

from __future__ import annotations

import re

from converters.descriptors.machine import Address, Bus, Machine, MachineDisk, Share
from converters.descriptors.vmx import Vmx, parse_vmx
from converters.errors import DescriptorError

_DEVICE = re.compile(r"(scsi|sata|ide|nvme)(\d{1,3}):(\d{1,3})\.(present|filename)")
_NO_DISKS = ("cdrom", "atapi", "passthru", "floppy", "tape")
"""In ``deviceType`` of what is no hard disk: ``cdrom-image``, ``atapi-cdrom``, ``scsi-passthru``…"""
_NO_FILES = ("auto detect", "emptybackingstring", "")
_UUID = re.compile(r"[0-9a-f]{32}")
_CPU_SHARES = {"low": 500, "normal": 1000, "high": 2000}
_MEMORY_SHARES = {"low": 5, "normal": 10, "high": 20}
"""For each virtual CPU, and for each MiB (*vSphere Resource Management*, "Resource Allocation Shares")."""
_MOST_DISKS = 1024
"""vSphere allows 256 on SCSI, 120 on SATA and 256 on NVMe (Configuration Maximums)."""
_PRIORITIES = ("disabled", "lowest", "low", "medium", "high", "highest")
_MIB = 1 << 20


def vmx_machine(data: bytes, fallback: str) -> Machine:
    """The machine that a VMX file describes; ``fallback`` is its name where it has none.

    Raises:
        DescriptorError: not a VMX file.
    """
    vmx = parse_vmx(data)
    notes = list(vmx.notes)
    cpus = vmx.number("numvcpus")
    memory = vmx.number("memsize")
    if memory is None:
        notes.append("it does not say how much memory the machine has")
    memory_mib = memory or 0
    return Machine(
        name=vmx.get("displayname").strip() or fallback,
        uuid=_uuid(vmx.get("vc.uuid")) or _uuid(vmx.get("uuid.bios")),
        cpus=1 if cpus is None else cpus,  # what VMware takes where the file does not say
        memory_mib=memory_mib,
        cpu=_cpu_share(vmx, 1 if cpus is None else cpus, notes),
        memory=_memory_share(vmx, memory_mib),
        firmware=vmx.get("firmware").strip().lower() or "bios",
        guest_os=vmx.get("guestos").strip(),
        annotation=vmx.get("annotation"),
        restart_priority=_restart_priority(vmx),
        disks=_disks(vmx, notes),
        suspended=bool(vmx.get("checkpoint.vmstate").strip()),
        encrypted=bool(vmx.get("encryption.data") or vmx.get("encryption.keysafe")),
        notes=tuple(notes),
    )


def _disks(vmx: Vmx, notes: list[str]) -> tuple[MachineDisk, ...]:
    addresses = {
        Address(Bus(found[1]), int(found[2]), int(found[3]))
        for name in vmx.raw
        if (found := _DEVICE.fullmatch(name))
    }
    if len(addresses) > _MOST_DISKS:
        raise DescriptorError(f"a VMX file with {len(addresses):,} disks", "is it a VMX file?")
    disks = [
        MachineDisk(
            address,
            vmx.file_names(f"{address}.filename"),
            mode=vmx.get(f"{address}.mode").strip().lower() or "persistent",
        )
        for address in addresses
        if _is_disk(vmx, address, notes)
    ]
    order = vmx.get("bios.hddorder").split(",", _MOST_DISKS)
    first = [name.strip().lower() for name in order]

    def place(disk: MachineDisk) -> tuple[int, int]:
        name = str(disk.address)
        return first.index(name) if name in first else len(first), disk.address.key

    return tuple(sorted(disks, key=place))


def _is_disk(vmx: Vmx, address: Address, notes: list[str]) -> bool:
    """Whether the machine has a hard disk there; what is odd about it goes into ``notes``."""
    if not vmx.truth(f"{address}.present"):
        return False
    if not vmx.truth(f"{address.bus}{address.number}.present", default=True):
        notes.append(f"{address} hangs on a controller that is not present, so the machine has it not")
        return False
    kind = vmx.get(f"{address}.devicetype").lower()
    name = vmx.get(f"{address}.filename").strip()
    if any(word in kind for word in _NO_DISKS) or name.lower().endswith((".iso", ".flp")):
        return False
    if name.lower() in _NO_FILES:
        notes.append(f"{address} names no file")
        return False
    if redo := vmx.get(f"{address}.redo").strip():
        notes.append(f"{address} keeps what was written since the start in {redo}, which is not read")
    return True


def _cpu_share(vmx: Vmx, cpus: int, notes: list[str]) -> Share:
    units = vmx.get("sched.cpu.units").strip().lower() or "mhz"
    if units != "mhz":
        notes.append(f"its CPU reservation and limit are in {units!r}, not in MHz, and do not count")
        return Share()
    shares = _shares(vmx, "sched.cpu.shares", _CPU_SHARES, cpus)
    return Share(vmx.number("sched.cpu.min") or 0, vmx.number("sched.cpu.max"), shares)


def _memory_share(vmx: Vmx, memory_mib: int) -> Share:
    reserved = vmx.number("sched.mem.minsize") or vmx.number("sched.mem.min") or 0
    if vmx.truth("sched.mem.pin"):
        reserved = memory_mib
    shares = _shares(vmx, "sched.mem.shares", _MEMORY_SHARES, memory_mib)
    return Share(reserved, vmx.number("sched.mem.max"), shares)


def _shares(vmx: Vmx, name: str, words: dict[str, int], count: int) -> int:
    word = vmx.get(name).strip().lower()
    return words[word] * count if word in words else vmx.number(name) or 0


def _restart_priority(vmx: Vmx) -> str:
    word = vmx.get("das.restartpriority").strip().lower()
    return word if word in _PRIORITIES else ""


def _uuid(text: str) -> str:
    """``42 1b … 81-07 a0 …`` as others write it; empty where it is no UUID."""
    digits = re.sub(r"[\s-]", "", text).lower()
    if not _UUID.fullmatch(digits):
        return ""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
