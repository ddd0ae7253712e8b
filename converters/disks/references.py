"""Files that a disk image names: found in the image's own folder, or refused."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from converters.disks.raw import open_file
from converters.errors import DiskError


def open_reference(owner: str, what: str, names: tuple[bytes, ...]) -> tuple[int, str]:
    """Open the file that the image ``owner`` names as its ``what`` under the first of ``names`` that exists.

    Gives a descriptor and the path.

    Raises:
        DiskError: absent, or outside the owner's folder, be it by ``..``, by an absolute path or by a link.
    """
    folder = Path(owner).resolve().parent
    shown = names[0].decode("utf-8", "backslashreplace")
    for name in names:
        path = (folder / os.fsdecode(name.replace(b"\0", b""))).resolve()
        if not name or name.startswith(b"/") or not path.is_relative_to(folder):
            raise DiskError(
                f"{owner} names the {what} {shown!r}, which is not a file of its own folder",
                "put the files of the disk into one folder and name them there",
            )
        if path.exists():
            return open_file(str(path), follow_links=False), str(path)
    raise DiskError(f"{owner} needs the {what} {shown!r}, which is absent", "copy it beside the image")


class OpenFiles:
    """Descriptors that a child process opens by number instead of by a path an image chose."""

    def __init__(self) -> None:
        self._paths: dict[int, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for descriptor in self._paths:
            os.close(descriptor)
        self._paths.clear()

    def add(self, descriptor: int, path: str) -> str:
        """Take over an open file; gives the name under which the child opens it."""
        self._paths[descriptor] = path
        return f"/proc/self/fd/{descriptor}"

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What to hand to the child."""
        return tuple(self._paths)

    def explain(self, message: str) -> str:
        """A message of the child's with the paths that a person knows."""
        for descriptor in sorted(self._paths, reverse=True):  # so that fd/12 is not taken for fd/1
            message = message.replace(f"/proc/self/fd/{descriptor}", self._paths[descriptor])
        return message
