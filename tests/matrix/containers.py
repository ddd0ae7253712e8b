"""The disk formats that qemu-img(1) makes."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

FORMATS: Mapping[str, tuple[str, str]] = {
    "raw": ("raw", ""),
    "qcow2": ("qcow2", ""),
    "vdi": ("vdi", ""),
    "vdi-fixed": ("vdi", "static=on"),
    "vhd": ("vpc", ""),
    "vhd-fixed": ("vpc", "subformat=fixed"),
    "vhdx": ("vhdx", ""),
    "vmdk-sparse": ("vmdk", "subformat=monolithicSparse"),
    "vmdk-flat": ("vmdk", "subformat=monolithicFlat"),
    "vmdk-split-sparse": ("vmdk", "subformat=twoGbMaxExtentSparse"),
    "vmdk-split-flat": ("vmdk", "subformat=twoGbMaxExtentFlat"),
    "vmdk-stream": ("vmdk", "subformat=streamOptimized"),
}
"""QEMU's format and its options, by name."""


def convert(disk: Path, name: str, folder: Path) -> Path:
    """``disk`` in the format ``name``, in the empty ``folder``."""
    format, options = FORMATS[name]
    target = folder / f"disk.{format}"
    words = ["-o", options] if options else []
    subprocess.run(["qemu-img", "convert", "-q", "-f", "raw", "-O", format, *words, disk, target], check=True)
    return target
