"""Folders of machines for tests; their disks hold bytes that no reader looks at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from converters.descriptors.package import Verification
from orchestrator.sources.directory import DirectorySource

DISK = bytes(range(256)) * 256
DESCRIPTOR = """# Disk DescriptorFile
version=1
CID={cid}
parentCID={parent}
createType="vmfs"
{hint}RW {sectors} VMFS "{extent}"
"""


def vmx(folder: Path, name: str = "web", *lines: str, disks: Iterable[str] = ("web.vmdk",)) -> Path:
    """A VMX file, with a SCSI disk for each of ``disks``; the disks are not made."""
    folder.mkdir(parents=True, exist_ok=True)
    hung = [
        f'scsi0:{number}.present = "TRUE"\nscsi0:{number}.fileName = "{disk}"'
        for number, disk in enumerate(disks)
    ]
    path = folder / f"{name}.vmx"
    path.write_text("\n".join([f'displayName = "{name}"', 'memsize = "512"', *hung, *lines, ""]))
    return path


def flat_disk(folder: Path, name: str = "web", parent: str = "", cid: str = "fffffffe") -> Path:
    """A VMDK of a descriptor and one flat extent; over the disk ``parent`` if that is named."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}-flat.vmdk").write_bytes(DISK)
    path = folder / f"{name}.vmdk"
    path.write_text(
        DESCRIPTOR.format(
            cid=cid,
            parent="fffffffe" if parent else "ffffffff",
            hint=f'parentFileNameHint="{parent}"\n' if parent else "",
            sectors=len(DISK) // 512,
            extent=f"{name}-flat.vmdk",
        )
    )
    return path


def source(folder: Path, verification: Verification = Verification.CHECK) -> DirectorySource:
    """The folder as a source."""
    return DirectorySource(folder, verification)
