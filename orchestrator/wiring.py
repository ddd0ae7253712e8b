"""Settings become the values that converters, workers and vSphere want: one function for each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from converters.outputs.auth import Credentials
from converters.outputs.client import RegistryAccess
from converters.request import Reading
from orchestrator.settings import Settings


def reading(settings: Settings) -> Reading:
    """How disks are read."""
    return Reading(
        engines=tuple(engine.value for engine in settings.engines),
        root=settings.root,
        memory_bytes=settings.reader_memory << 20,
        stall_seconds=settings.reader_stall,
        keep=settings.keep,
    )


def registry_access(settings: Settings) -> RegistryAccess:
    """How the registry is reached from this process, with its credentials.

    Raises:
        UsageError: the password's file cannot be read.
    """
    username = settings.registry_username
    password = settings.from_file("registry_password")
    return RegistryAccess(
        credentials=Credentials(username, password) if username else None,
        plain_http=settings.registry_insecure,
        ca_file=str(settings.registry_ca_file or ""),
        patience=settings.registry_patience,
    )


@contextmanager
def scratch_folder(settings: Settings) -> Iterator[Path]:
    """A private folder for one conversion on this machine, removed with everything in it."""
    if settings.scratch is not None:
        settings.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="orchestrate-", dir=settings.scratch) as folder:
        yield Path(folder)
