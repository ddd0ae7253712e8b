"""From the name of a file in a descriptor to the file: below the source folder, or refused."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from converters.errors import DescriptorError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DATASTORE = re.compile(rb"\[([^\]]*)\] (.*)", re.DOTALL)
_LEAST_SUFFIX = 2
"""Parts of an absolute path that must agree with one below the source: folder and file."""


def inside(folder: Path, root: Path, name: bytes) -> Path | None:
    """The path of ``name`` seen from ``folder``, links followed, where it lies below ``root``; else None."""
    if not name or b"\0" in name:
        return None
    try:
        path = (folder / os.fsdecode(name)).resolve()
    except (OSError, RuntimeError):  # a loop of links, a name that is too long
        return None
    return path if path.is_relative_to(root) and path != root else None


def disk_path(names: Iterable[bytes], folder: Path, root: Path, what: str) -> Path:
    """The file that a VMX names, under the first of ``names`` that exists.

    A relative name starts at the VMX's ``folder``. An absolute one is of the host that the machine came from
    (``/vmfs/volumes/UUID/web/web.vmdk``, ``[store 1] web/web.vmdk``): it is the file at the same place below
    ``root``, as far as at least folder and file agree, or else the file beside the VMX.

    Raises:
        DescriptorError: absent, or outside ``root``; ``what`` is for the message.
    """
    listed = tuple(names)
    outside = True
    for name in listed:
        for path in _candidates(name, folder, root):
            outside = False
            if path.is_file():
                return path
    shown = listed[0].decode("utf-8", "backslashreplace") if listed else ""
    if outside:
        raise DescriptorError(
            f"{what} is {shown!r}, which lies outside the folder {root}",
            "copy it there, or give a folder that holds both as the source",
        )
    raise DescriptorError(f"{what} is {shown!r}, which is absent", f"copy it to {folder}")


def _candidates(name: bytes, folder: Path, root: Path) -> Iterable[Path]:
    name = name.replace(b"\\", b"/") if _is_windows(name) else name
    datastore = _DATASTORE.fullmatch(name)
    if datastore is None and not name.startswith(b"/") and not _is_windows(name):
        return (path for path in (inside(folder, root, name),) if path is not None)
    whole = datastore[1] + b"/" + datastore[2] if datastore else name
    parts = [part for part in whole.split(b"/") if part not in (b"", b".", b"..")]
    suffixes = [b"/".join(parts[start:]) for start in range(len(parts) - _LEAST_SUFFIX + 1)]
    own = inside(Path("/"), root, name) if name.startswith(b"/") else None
    found = [own, *(inside(root, root, suffix) for suffix in suffixes), inside(folder, root, parts[-1])]
    return (path for path in found if path is not None)


def _is_windows(name: bytes) -> bool:
    r"""Whether it is a path of Windows, ``D:\machines\web.vmdk``."""
    return re.match(rb"[A-Za-z]:[\\/]", name) is not None


def href_names(href: str, what: str) -> tuple[str, ...]:
    """The names that a reference of an OVF may mean: as it stands, and with its ``%XX`` decoded.

    Raises:
        DescriptorError: a URL, an absolute path, or one with ``..``.
    """
    found = []
    for name in dict.fromkeys((href, unquote(href))):
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if _URL.match(name) or name.startswith("/") or ".." in parts or not parts or "\0" in name:
            raise DescriptorError(
                f"{what} refers to {href!r}, which is no file of the package",
                "copy its files into one folder",
            )
        found.append("/".join(parts))
    return tuple(found)
