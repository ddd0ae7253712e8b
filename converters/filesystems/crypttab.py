"""A guest's /etc/crypttab (crypttab(5)): what it calls the encrypted volumes that it opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from converters.errors import FilesystemError
from converters.filesystems.access import read_bytes
from converters.filesystems.base import Filesystem
from converters.filesystems.fstab import Line, unquote
from converters.filesystems.places import find_volumes
from converters.volumes.base import Volume

_FILE = b"etc/crypttab"
_LIMIT = 1 << 20
_MOST = 1000
_MAPPER = "/dev/mapper/"
_LUKS = "crypto_LUKS"


def opened_name(uuid: str) -> str:
    """What a volume is called here that was opened with a key, by the UUID of its LUKS header."""
    return f"{_MAPPER}luks-{uuid}"


def mapped_names(filesystem: Filesystem, volumes: Sequence[Volume]) -> Mapping[str, str]:
    """What a root calls its opened volumes (``/dev/mapper/data``), and what they are called here."""
    try:
        content = read_bytes(filesystem, _FILE, _LIMIT) or b""
    except FilesystemError:
        return {}
    names = {}
    for written in content.decode("utf-8", "surrogateescape").split("\n")[:_MOST]:
        fields = written.split()
        if len(fields) < 2 or fields[0].startswith("#"):
            continue
        source = Line(unquote(fields[1]), "none", _LUKS, ())
        for volume in find_volumes(source, volumes):
            if volume.content.type == _LUKS:
                names[_MAPPER + fields[0]] = opened_name(volume.content.uuid)
    return names


def by_our_name(line: Line, names: Mapping[str, str]) -> Line:
    """An entry whose source is one of ``names``, in our words."""
    return replace(line, source=names.get(line.source, line.source))
