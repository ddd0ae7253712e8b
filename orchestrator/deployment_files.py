"""Writes the deployment files of a machine, of the kinds that are wanted."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from converters.manifests.kinds import Manifest
from converters.manifests.write import manifests
from converters.request import Converted
from orchestrator import durable


def write(
    folder: Path, kinds: Iterable[Manifest], converted: Converted, reference: str, *, apart: bool = False
) -> list[tuple[Manifest, Path]]:
    """Write them, and give each kind with its file or folder.

    Args:
        reference: the machine's own image by digest.
        apart: whether each kind has a folder of its own, for many machines.

    Raises:
        OSError: a file cannot be written.
    """
    written: list[tuple[Manifest, Path]] = []
    for kind, name, files in manifests(kinds, converted, reference):
        home = folder / kind if apart else folder
        for path, text in files.items():
            durable.make_folder((home / path).parent)
            durable.write_text(home / path, text)
        written.append((kind, home / name))
    return written
