"""The last engine: libguestfs, whose small virtual machine (the appliance) mounts what others cannot.

Disks are attached as snapshots: what the mount writes (a journal's replay) goes to an overlay of libguestfs'
own and is dropped with it, so the disk stays untouched and a dirty file system is read as it is after replay.
Starting takes about ten seconds without KVM, so one appliance serves all volumes of a guest.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from converters.disks.base import Disk, DiskSource, NbdSource, RawFile
from converters.disks.raw import RawDisk
from converters.disks.serving import served
from converters.errors import FilesystemError, UnsupportedError
from converters.filesystems.guestfs_calls import Calls
from converters.volumes.base import Content, Volume

if TYPE_CHECKING:
    import guestfs

log = logging.getLogger(__name__)

_MEMORY_MIB = 768
_NODE_TRIES, _NODE_SECONDS = 6, 0.5
"""The appliance's udev takes a partition's node away, and makes it anew, when a disk was closed."""
_EXT = ("ext2", "ext3", "ext4")
_HINT = "install the Debian packages libguestfs-tools, python3-guestfs and a kernel image"
_HINT_DEBUG = "run `libguestfs-test-tool` on the machine to see whether its appliance works"


@dataclass(frozen=True, slots=True)
class ApplianceDevice:
    """What only the appliance sees: a logical volume, a RAID, a subvolume of btrfs."""

    name: str
    """As libguestfs calls it: ``/dev/vg/root``, ``/dev/md127``, ``btrfsvol:/dev/sda2/@``."""
    content: Content


class Appliance:
    """The appliance over all disks of a guest, started when it is first needed."""

    def __init__(self, disks: Sequence[tuple[DiskSource, Disk]], scratch: Path) -> None:
        """Where each disk is, and the disk, which stays the caller's."""
        self._disks = tuple(disks)
        self._scratch = scratch
        self._servers = ExitStack()
        self._handle: guestfs.GuestFS | None = None
        self._mounts: dict[tuple[str, str], bytes] = {}
        self._calls: Calls | None = None
        self.notes: list[str] = []
        """What mounting did beside mounting, each a sentence."""

    @property
    def calls(self) -> Calls:
        """The calls whose names are bytes."""
        self._launched()
        assert self._calls is not None
        return self._calls

    def device(self, volume: Volume) -> str:
        """The appliance's name of a volume.

        Raises:
            FilesystemError: the appliance does not see a partition there.
        """
        handle = self._launched()
        with _explained(f"cannot find disk {volume.disk}"):
            disk: str = handle.list_devices()[volume.disk]
            if volume.number == 0:
                return disk
            for partition in handle.part_list(disk):
                if partition["part_start"] == volume.start:
                    return f"{disk}{partition['part_num']}"
        raise FilesystemError(f"libguestfs sees no partition at byte {volume.start} of disk {volume.disk}")

    def devices(self) -> tuple[ApplianceDevice, ...]:
        """What the appliance sees beside disks and their partitions."""
        handle = self._launched()
        plain = {*handle.list_devices(), *handle.list_partitions()}
        found = []
        for name, type in sorted(handle.list_filesystems().items()):
            if name not in plain:
                found.append(ApplianceDevice(name, Content(type, *self._identity(name))))
        return tuple(found)

    def type(self, device: str) -> str:
        """What a device holds, in blkid(8)'s words."""
        with _explained(f"cannot tell what {device} holds"):
            return str(self._launched().vfs_type(device))

    def mount(self, device: str, options: str = "") -> bytes:
        """Mount a device, once, and give the folder in the appliance.

        Raises:
            FilesystemError: its kernel does not mount it.
        """
        key = (device, options)
        if key not in self._mounts:
            folder = f"/volume{len(self._mounts)}"
            handle = self._launched()
            handle.mkmountpoint(folder)
            try:
                self._mount(handle, device, ",".join(filter(None, ("ro", options))), folder)
            except FilesystemError:
                handle.rmmountpoint(folder)  # which the next mount has the name of
                raise
            self._mounts[key] = folder.encode()
        return self._mounts[key]

    def close(self) -> None:
        """End the appliance; a second call does nothing."""
        handle, self._handle, self._calls = self._handle, None, None
        self._mounts.clear()
        if handle is not None:
            handle.close()
        self._servers.close()

    def _launched(self) -> guestfs.GuestFS:
        if self._handle is None:
            # QEMU in the appliance reads no image by its path: what an image names would be opened with it.
            drives = [self._servers.enter_context(_drive(*disk)) for disk in self._disks]
            self._handle = _launch(drives, self._scratch)
            self._calls = Calls(self._handle._o)
        return self._handle

    def _identity(self, name: str) -> tuple[str, str]:
        """UUID and label; empty where there is none, as for content that is not recognised."""
        import tenacity  # brings asyncio and more: 35 ms of each reading process, few of which come here

        handle = self._launched()
        with _explained(f"cannot identify {name}"):
            retrying = tenacity.Retrying(
                retry=tenacity.retry_if_exception_type(RuntimeError),
                stop=tenacity.stop_after_attempt(_NODE_TRIES),
                wait=tenacity.wait_fixed(_NODE_SECONDS),
                reraise=True,
            )
            return retrying(lambda: (str(handle.vfs_uuid(name)), str(handle.vfs_label(name))))

    def _mount(self, handle: guestfs.GuestFS, device: str, options: str, folder: str) -> None:
        # The device is a writable overlay, so even a read-only mount replays the journal (mount(8), ext4).
        try:
            handle.mount_options(options, device, folder)
        except RuntimeError as refused:
            with _explained(f"cannot mount {device}"):
                if handle.vfs_type(device) not in _EXT:
                    raise
                # What e2fsck does whenever a guest starts: replay up to the last good commit (e2fsck -p).
                handle.e2fsck(device, correct=True)
                handle.mount_options(options, device, folder)
            self.notes.append(f"the kernel refused {device} ({refused}); mounted after e2fsck")


@contextmanager
def _drive(source: DiskSource, disk: Disk) -> Iterator[RawFile | NbdSource]:
    """How the appliance gets a disk: as a file if it is one, else by NBD."""
    if isinstance(disk, RawDisk):
        yield RawFile(disk.path)
    else:
        with served(source) as server:
            yield server


def _launch(drives: Sequence[RawFile | NbdSource], scratch: Path) -> guestfs.GuestFS:
    """A running appliance: with KVM where it works, else in software."""
    if os.access("/dev/kvm", os.R_OK | os.W_OK):
        # Inside another virtual machine the device may be there and not do: only the start tells.
        try:
            return _start(drives, scratch, [])
        except FilesystemError as error:
            log.warning("libguestfs did not start with KVM, trying without: %s", error.message)
    return _start(drives, scratch, ["force_tcg"])


def _start(drives: Sequence[RawFile | NbdSource], scratch: Path, settings: list[str]) -> guestfs.GuestFS:
    try:
        import guestfs
    except ImportError as error:
        raise UnsupportedError(f"libguestfs is not installed: {error}", _HINT) from error
    began = time.monotonic()
    handle = guestfs.GuestFS(python_return_dict=True)
    try:
        with _explained("the appliance does not start"):
            handle.set_backend("direct")
            handle.set_backend_settings(settings)
            handle.set_memsize(_MEMORY_MIB)
            handle.set_tmpdir(str(scratch))
            for drive in drives:
                _attach(handle, drive)
            handle.launch()
    except BaseException:
        handle.close()
        raise
    log.info("libguestfs appliance started in %.1f s", time.monotonic() - began)
    return handle


def _attach(handle: guestfs.GuestFS, drive: RawFile | NbdSource) -> None:
    match drive:
        case RawFile(path):
            handle.add_drive_opts(path, readonly=True, format="raw")
        case NbdSource(uri):
            (socket,) = parse_qs(urlsplit(uri).query)["socket"]
            handle.add_drive_opts("", readonly=True, format="raw", protocol="nbd", server=[f"unix:{socket}"])


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn the library's error into ours."""
    try:
        yield
    except RuntimeError as error:
        said = str(error).strip().splitlines()
        raise FilesystemError(f"libguestfs: {what}: {said[0] if said else error}", _HINT_DEBUG) from error
