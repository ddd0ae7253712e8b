"""Writes the deployment files of a machine, of the kinds that are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from converters.difference import differences, markdown
from converters.manifests.kinds import Manifest
from converters.manifests.write import DeploymentFiles, manifests
from converters.request import Converted
from orchestrator import durable

_NONE: Mapping[str, bytes] = {}


def write(
    folder: Path,
    kinds: Iterable[Manifest],
    converted: Converted,
    reference: str,
    *,
    apart: bool = False,
    secrets: Mapping[str, bytes] = _NONE,
) -> list[tuple[Manifest, Path]]:
    """Write them, readable for their owner alone, and give each kind with its file or folder.

    Args:
        reference: the machine's own image by digest.
        apart: whether each kind has a folder of its own, for many machines.
        secrets: what was moved out of the images, by name; each kind gets it where it expects it, readable
            for its owner alone.

    Raises:
        OSError: a file cannot be written.
    """
    written: list[tuple[Manifest, Path]] = []
    for found in manifests(kinds, converted, reference):
        home = folder / found.kind if apart else folder
        _write_secrets(home, found, secrets)
        for path, text in found.texts.items():
            durable.make_folder((home / path).parent)
            # Variables of services may hold passwords.
            durable.write_private(home / path, text.encode())
        written.append((found.kind, home / found.name))
    return written


def write_difference(folder: Path, converted: Converted, *, apart: bool = False) -> Path:
    """Write the page that tells how the machine's containers differ from it; gives its path.

    Raises ``OSError``.
    """
    home = folder / "difference" if apart else folder
    durable.make_folder(home)
    found = differences(converted.inspection, converted.plan, converted.removals)
    path = home / f"{converted.target.repository.rpartition('/')[2]}.difference.md"
    durable.write_text(path, markdown(converted.plan, found))
    return path


def _write_secrets(home: Path, found: DeploymentFiles, secrets: Mapping[str, bytes]) -> None:
    """Those too that no container gets: they are in no image any more."""
    if not secrets:
        return
    place = home / found.secrets_folder
    durable.make_folder(place)
    place.chmod(0o700)
    for name, content in secrets.items():
        durable.write_private(place / name, content)
