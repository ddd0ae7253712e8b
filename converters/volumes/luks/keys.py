"""Keys of encrypted volumes: a folder with a file for each, named by the volume's UUID."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from converters.errors import UnsupportedError

_LARGEST = 8 << 20
"""Bytes of a key file that cryptsetup(8) takes by default."""


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """Where keys are; ``None`` where none were given. Keys are never part of a message."""

    folder: Path | None = None

    def candidates(self, uuid: str) -> tuple[bytes, ...]:
        """What may open the volume ``uuid``: the file's bytes, and without the line's end an editor left.

        A UUID comes from the guest's disk, so it is looked for among the names and never made into a path.

        Raises:
            UnsupportedError: the folder or the file cannot be read.
        """
        if self.folder is None:
            return ()
        try:
            files = {path.name.lower(): path for path in self.folder.iterdir()}
            found = files.get(uuid.lower()) if uuid else None
            if found is None:
                return ()
            with open(found, "rb") as file:
                key = file.read(_LARGEST)
        except OSError as error:
            raise UnsupportedError(
                f"the key of the encrypted volume {uuid} cannot be read: {error.strerror}",
                f"check the folder {self.folder} and who may read it",
            ) from error
        return tuple(dict.fromkeys((key, key.removesuffix(b"\n").removesuffix(b"\r"))))
