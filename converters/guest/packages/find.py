"""Packages of a guest: how many, and which of them its services came with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from converters.guest.facts import Role, Service
from converters.guest.files import GuestFiles, printable
from converters.guest.packages.apk import read_apk
from converters.guest.packages.dpkg import read_dpkg
from converters.guest.packages.pacman import read_pacman
from converters.guest.packages.rpm.read import read_rpm
from converters.guest.packages.values import Package, PackageFacts, ServicePackage

Owners = dict[str, Package]
"""Packages by the path that was asked for."""
Reader = Callable[[GuestFiles, frozenset[str]], tuple[PackageFacts, Owners] | None]
"""Reads one manager's database, and finds who owns each of some paths; None where there is none."""

_READERS: Sequence[Reader] = (read_dpkg, read_rpm, read_apk, read_pacman)
"""Machines with two managers have the second for others' packages: the first with a package counts."""

_HAND_MADE = ("/etc/systemd/", "/run/", "/usr/local/", "/opt/", "/srv/", "/home/")
"""Where units and scripts are that no package of a distribution brings."""
_MOST_NAMED = 5


def read_packages(files: GuestFiles, services: Sequence[Service]) -> PackageFacts | None:
    """The packages of the first manager that has some; None where none has.

    Application services are looked for, by the file that defines them.
    """
    wanted = _wanted(services)
    for read in _READERS:
        found = read(files, frozenset(path for paths in wanted.values() for path in paths))
        if found is None:
            continue
        facts, owners = found
        if facts.count or facts.unfinished:
            _tell_unfinished(files, facts)
            owned = (
                ServicePackage(name, owners[path])
                for name, paths in wanted.items()
                if (path := next((one for one in paths if one in owners), ""))
            )
            return PackageFacts(facts.manager, facts.source, facts.count, tuple(owned), facts.unfinished)
    return None


def _wanted(services: Sequence[Service]) -> Mapping[str, tuple[str, ...]]:
    """Paths under which a service's file may stand in a database: of a merged /usr both names count."""
    return {
        service.name: (service.unit, _other_name(service.unit))
        for service in services
        if service.role is Role.APPLICATION and service.unit and not service.unit.startswith(_HAND_MADE)
    }


def _other_name(path: str) -> str:
    return path.removeprefix("/usr") if path.startswith("/usr/lib/") else f"/usr{path}"


def _tell_unfinished(files: GuestFiles, facts: PackageFacts) -> None:
    if facts.unfinished:
        named = ", ".join(facts.unfinished[:_MOST_NAMED])
        more = (
            f" and {len(facts.unfinished) - _MOST_NAMED} more" if len(facts.unfinished) > _MOST_NAMED else ""
        )
        files.note(
            f"{facts.manager} was in the middle of its work ({facts.source}): {printable(named)}{more}."
            " Files of old and new versions may be mixed: finish it in the VM"
            f"{' (`dpkg --configure -a`)' if facts.manager == 'dpkg' else ''}, then convert again."
        )
