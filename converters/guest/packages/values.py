"""Packages as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Package:
    """One installed package."""

    name: str
    version: str
    """As its manager writes it: ``1:2.3-4``."""
    architecture: str
    """The manager's word: ``amd64``, ``x86_64``, ``noarch``."""


@dataclass(frozen=True, slots=True)
class ServicePackage:
    """The package that a service of the guest came with."""

    service: str
    package: Package


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """What a guest's package manager has installed."""

    manager: str
    """``dpkg``, ``rpm``, ``apk`` or ``pacman``."""
    source: str
    """Its database."""
    count: int
    """Packages that are wholly installed."""
    owners: tuple[ServicePackage, ...] = ()
    """Of application services; those of no package are not among them."""
    unfinished: tuple[str, ...] = ()
    """Packages whose installation or removal was begun and not ended."""
