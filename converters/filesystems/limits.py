"""What opening a guest's volumes may take, beside memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits that are settings (``converters.reading.Reading``)."""

    unpacked_bytes: int = 4 << 40
    """Of a gzip'd disk image whose size no envelope tells."""
    uml_seconds: float = 300
    """For one replay of a journal by user-mode Linux, and for each of its answers where it reads."""
    uml_memory_mib: int = 1536
    """Of its kernel, which holds a bit for each sector of the disks: enough for 4 TiB where it reads."""
    uml_written_bytes: int = 8 << 30
    """That it may change; a journal is at most 2 GiB on XFS, usually 1 GiB on ext4."""


DEFAULT_LIMITS = Limits()
