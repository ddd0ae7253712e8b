"""Which tests can be left out. No import of ours: settings name them."""

from __future__ import annotations

from enum import StrEnum


class Check(StrEnum):
    """What may be wrong about a site that works: a test that is then left out.

    Privileges are none of them: who may make a snapshot and not remove it must not make any.
    """

    HOSTS = "hosts"
    """Workers reach the ESXi hosts by their names."""
    REGISTRY = "registry"
    """The registry takes a blob in a repository of the check's own."""
    WORKERS = "workers"
    """Everything that is asked of workers, those two included."""
