"""How long distributors mend their releases, by a table of dated facts (``support.toml``)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from converters.guest.facts import Release

TABLE = Path(__file__).with_name("support.toml")

_SAME = {"sled": "sles", "sles_sap": "sles", "redhat": "rhel"}
"""Ids of products that end with another's."""


@dataclass(frozen=True, slots=True)
class Support:
    """What the table says of a release."""

    code_name: str
    end: date
    """The last day on which it is mended for everybody who has it."""


def support(id: str, version: str, name: str = "") -> Support | None:
    """What is known of a release; None where nothing is.

    Args:
        name: tells CentOS Stream from CentOS Linux: both have the id ``centos``.
    """
    if id == "centos" and "Stream" in name:
        id = "centos-stream"
    releases = _table().get(_SAME.get(id, id), {})
    parts = version.split(".")
    versions = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((releases[one] for one in (f"{version}.0", *versions) if one in releases), None)


@cache
def _table() -> Mapping[str, Mapping[str, Support]]:
    with TABLE.open("rb") as file:
        return {
            id: {
                version: Support(code_name, date.fromisoformat(day))
                for version, (code_name, day) in product["releases"].items()
            }
            for id, product in tomllib.load(file).items()
        }


def end_of_life_note(release: Release, today: date) -> str:
    """A sentence on a release that nobody mends any more; empty while somebody does, and where none knows."""
    if not release.end_of_life or today <= date.fromisoformat(release.end_of_life):
        return ""
    return (
        f"{release.name} {release.version} has had no general security updates since {release.end_of_life}:"
        " the container keeps its flaws, so let only those reach it who must, and plan for a newer base."
    )
