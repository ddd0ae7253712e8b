"""Files that a disk image names: found in the folder it may name files of, or refused."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from converters.disks.raw import FileDisk, RawDisk
from converters.errors import DiskError


class OpenFiles:
    """The files of one disk, which are closed together; a child process opens them by number.

    So it opens no path that an image chose.
    """

    def __init__(self) -> None:
        self._files: dict[int, RawDisk] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def keep(self, file: RawDisk) -> RawDisk:
        """Take over an open file."""
        self._files[file.fileno()] = file
        return file

    def keep_all(self, disk: FileDisk) -> None:
        """Take over the files of ``disk``."""
        for extent in disk.extents:
            if extent.disk is not None:
                self.keep(extent.disk)

    def release(self, disk: FileDisk) -> None:
        """Give up the files of ``disk``, which closes them from now on."""
        for extent in disk.extents:
            if extent.disk is not None:
                self._files.pop(extent.disk.fileno(), None)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What to hand to the child."""
        return tuple(self._files)

    def explain(self, message: str) -> str:
        """A message of the child's with the paths that a person knows."""
        for descriptor in sorted(self._files, reverse=True):  # so that fd/12 is not taken for fd/1
            message = message.replace(child_path(descriptor), self._files[descriptor].path)
        return message


def child_path(descriptor: int) -> str:
    """Under which name a child opens what it was handed."""
    return f"/proc/self/fd/{descriptor}"


@dataclass(frozen=True, slots=True)
class Image:
    """An open disk image and what it may name."""

    file: FileDisk
    path: str
    """For messages, and what relative names start from."""
    root: Path | None
    """Folder, resolved, whose files it may name; None: no file at all."""
    files: OpenFiles
    """Owner of what is opened for it."""

    def named(self, file: RawDisk) -> Image:
        """An image that this one names."""
        return Image(file, file.path, self.root, self.files)


def image_at(path: str, within: str, files: OpenFiles) -> Image:
    """The image at ``path``, which may name files of ``within``, or if that is empty of its own folder.

    Raises:
        DiskError: missing, empty, or not readable.
    """
    root = Path(within).resolve() if within else Path(path).resolve().parent
    return Image(files.keep(RawDisk(path)), path, root, files)


def open_reference(owner: Image, what: str, names: tuple[bytes, ...], *, moved: bool = False) -> RawDisk:
    """Open the file that ``owner`` names as its ``what`` under the first of ``names`` that exists.

    ``moved``: the file is known by more than its name, so it may also lie beside its owner, whatever folder
    the name tells.

    Raises:
        DiskError: absent, or outside the owner's root, be it by ``..``, by an absolute path or by a link.
    """
    shown = names[0].decode("utf-8", "backslashreplace") if names else ""
    if owner.root is None:
        raise DiskError(
            f"{owner.path} names the {what} {shown!r}, and a disk in an archive must stand alone",
            "extract the archive and convert the image there",
        )
    folder = Path(owner.path).resolve().parent
    told = [_inside(folder, owner.root, name) for name in names]
    beside = [_inside(folder, owner.root, name.replace(b"\\", b"/").rpartition(b"/")[2]) for name in names]
    for path in (*told, *(beside if moved else ())):
        if path is not None and path.exists():
            return owner.files.keep(RawDisk(str(path), follow_links=False))
    if not any(told):
        raise DiskError(
            f"{owner.path} names the {what} {shown!r}, which is not a file of the folder {owner.root}",
            "put the files of the disk into one folder and name them there",
        )
    raise DiskError(f"{owner.path} needs the {what} {shown!r}, which is absent", "copy it beside the image")


def _inside(folder: Path, root: Path, name: bytes) -> Path | None:
    """The path of ``name``, all links followed, where that is a file below ``root``; else None."""
    name = name.replace(b"\0", b"")
    if not name or name.startswith(b"/"):
        return None
    try:
        path = (folder / os.fsdecode(name)).resolve()
    except (OSError, RuntimeError):  # a loop of links, a name that is too long
        return None
    return path if path.is_relative_to(root) and path != root else None
