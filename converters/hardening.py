"""How much a converted machine's containers may have, and what becomes of its secrets: a person's choices."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from converters.guest.privilege.values import Ceiling


class Secrets(StrEnum):
    """What is done with the secrets of a guest."""

    REPORT = "report"
    """They stay in the image; the report says where they are."""
    EXTRACT = "extract"
    """They are moved out of the image, into files beside the deployment files."""


@dataclass(frozen=True, slots=True)
class Hardening:
    """The choices."""

    ceiling: Ceiling = Ceiling.DEFAULT
    secrets: Secrets = Secrets.REPORT
    extract: tuple[str, ...] = ()
    """Kinds of secrets, and paths, that are moved out; a path may hold ``*``. Empty: all that were found."""


STANDARD = Hardening()
"""What holds when nobody chooses."""
