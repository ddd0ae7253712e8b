"""Units that a guest makes as it boots, worked out from what its generators read (systemd.generator(7))."""

from __future__ import annotations

import re
from collections.abc import Mapping

from converters.guest.files import GuestFiles
from converters.guest.services.sysv import enabled_scripts
from converters.guest.services.unit_tree import UnitTree

_AUTO = re.compile(r"^\s*auto\b", re.MULTILINE)


def generated_wants(files: GuestFiles, tree: UnitTree) -> Mapping[str, list[str]]:
    """What generators add to units' ``Wants=``, by the unit that wants.

    PostgreSQL's makes one instance for each cluster whose start.conf says ``auto``; Postfix's one for each
    instance, without ``multi_instance_directories`` just ``postfix@-``.
    """
    wants: dict[str, list[str]] = {}
    if tree.exists("postgresql@.service"):
        wants["postgresql.service"] = [f"postgresql@{cluster}.service" for cluster in _clusters(files)]
    if tree.exists("postfix@.service"):
        wants["postfix.service"] = ["postfix@-.service"]
    return wants


def _clusters(files: GuestFiles) -> list[str]:
    clusters = []
    for relative in files.below("/etc/postgresql"):
        version, _, rest = relative.partition("/")
        name, _, file = rest.partition("/")
        if file == "postgresql.conf":
            start = files.text(f"/etc/postgresql/{version}/{name}/start.conf")
            if start is None or _AUTO.search(start):
                clusters.append(f"{version}-{name}")
    return clusters


def generated_services(files: GuestFiles, tree: UnitTree) -> dict[str, str]:
    """SysV scripts that systemd starts as services, by unit name: those that no unit replaces or masks."""
    return {
        f"{name}.service": script
        for name, script in enabled_scripts(files, ("2", "3", "4", "5")).items()
        if not tree.exists(f"{name}.service")
    }
