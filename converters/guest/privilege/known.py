"""What is known of a daemon: the form of the entries in ``daemons.py``."""

from __future__ import annotations

from dataclasses import dataclass

from converters.guest.privilege.capabilities import GENERAL_ROOT


@dataclass(frozen=True, slots=True)
class Extra:
    """Something that a daemon needs beyond files and users."""

    capabilities: frozenset[str] = frozenset()
    devices: tuple[str, ...] = ()
    host_network: bool = False
    privileged: bool = False
    reason: str = ""
    """What for, completing "it …"."""
    optional: bool = False
    """Whether it starts without it."""
    advice: str = ""
    """What would do in its place."""
    places: tuple[str, ...] = ()
    """Configuration files that decide whether it needs it; a part of a path may hold ``*``."""
    pattern: str = ""
    """Regular expression of a line there, or of the command line, with which it does; empty: always."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a daemon needs."""

    source: str
    """Who says so."""
    as_root: frozenset[str] = GENERAL_ROOT
    """Capabilities that it uses when it is started as root."""
    extras: tuple[Extra, ...] = ()
    helpers: tuple[str, ...] = ()
    """Programs it starts that are setuid or have capabilities, by path."""
    alone: bool = False
    """Whether it starts no program at all, so that ``no-new-privileges`` takes nothing from it."""
