"""What a guest's volumes are for, told by where they are mounted."""

from __future__ import annotations

import re

from converters.guest.facts import VolumeRole

_SYSTEM = re.compile(
    r"/|/(usr|boot|efi|bin|sbin|lib(32|64|x32)?|etc|root|dev|proc|sys|run|tmp|\.snapshots)(/.*)?"
    r"|/opt|/var|/var/(log|cache|tmp|spool|adm|crash|run|lock)(/.*)?|/var/lib",
    re.DOTALL,
)
"""The Filesystem Hierarchy Standard's places for programs and their upkeep. What a machine is there for lies
in /srv, /home, /data… or, on a volume of its own, below /var/lib."""


def role_of(path: str) -> VolumeRole:
    """The role of a volume that is mounted at ``path``."""
    return VolumeRole.SYSTEM if _SYSTEM.fullmatch(path) else VolumeRole.DATA
