"""Chains of images, each the difference to the next."""

from __future__ import annotations

import os

from converters.disks.references import Image
from converters.errors import DiskError

_LONGEST_CHAIN = 64
"""Images; VMware allows 32 snapshots in a chain."""


def check_chain(image: Image, above: tuple[Image, ...]) -> None:
    """Refuse an image that is one of those ``above`` it, or that comes after too many.

    Raises:
        DiskError: so it is.
    """
    if len(above) > _LONGEST_CHAIN:
        raise DiskError(f"{image.path}: a chain of more than {_LONGEST_CHAIN} images", "consolidate the disk")
    if above and any(_identity(image) == _identity(other) for other in above):
        raise DiskError(
            f"{image.path} is, by way of others, its own parent: the chain of images is a loop",
            "copy or export the disk again",
        )


def _identity(image: Image) -> tuple[tuple[int, int, int], ...]:
    """Which bytes of which files an image is."""
    found = []
    for extent in image.file.extents:
        if extent.disk is not None:
            about = os.fstat(extent.disk.fileno())
            found.append((about.st_dev, about.st_ino, extent.offset))
    return tuple(found)
