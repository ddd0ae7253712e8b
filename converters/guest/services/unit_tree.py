"""The units a guest has: load paths, aliases, masks, templates and drop-ins (systemd.unit(5))."""

from __future__ import annotations

from dataclasses import dataclass

from converters.filesystems.base import Entry, Kind
from converters.guest.files import GuestFiles
from converters.guest.services.unit_file import Assignment, Settings, parse_unit
from converters.guest.services.words import UnitName

LOAD_PATH = (
    "/etc/systemd/system.control",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""Where units are, the first that has one deciding; generators' output is not on a disk."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as systemd loads it."""

    name: UnitName
    """Its own name, not an alias."""
    path: str
    """The file that defines it."""
    settings: Settings
    names: frozenset[str]
    """Its name and the aliases it was reached by."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A file or link in one of the directories."""

    path: str
    entry: Entry

    @property
    def masked(self) -> bool:
        """A link to /dev/null or an empty file stands for "not this one"."""
        if self.entry.kind is Kind.SYMLINK:
            return self.entry.target.endswith(b"/dev/null")
        return self.entry.kind is not Kind.FILE or self.entry.size == 0


@dataclass(frozen=True, slots=True)
class _Fragment:
    name: str
    path: str
    """Empty when no file defines the unit."""
    aliases: frozenset[str]
    masked: bool = False


class UnitTree:
    """Units of a guest by name."""

    def __init__(self, files: GuestFiles) -> None:
        self._files = files
        self._units: dict[str, _Place] = {}
        self._folders: dict[str, dict[str, _Place]] = {}
        """``nginx.service.d``, ``multi-user.target.wants``…: of one name, the first in the load path."""
        for directory in _distinct(files):
            for relative, entry in files.below(directory).items():
                folder, slash, name = relative.rpartition("/")
                place = _Place(f"{directory}/{relative}", entry)
                held = self._folders.setdefault(folder, {}) if slash else self._units
                held.setdefault(name, place)

    def load(self, name: str) -> Unit | None:
        """The unit of that name; None when there is none, or it is masked."""
        fragment = self._find(name, frozenset())
        if fragment is None or fragment.masked:
            return None
        text = self._files.text(fragment.path) if fragment.path else ""
        if text is None:
            return None
        assignments = [*parse_unit(text), *self.overrides(UnitName(fragment.name))]
        names = fragment.aliases | {name, fragment.name}
        return Unit(UnitName(fragment.name), fragment.path, Settings(assignments), names)

    def place(self, name: str) -> str:
        """The file or link that defines or masks the unit; empty where there is none."""
        return self._units[name].path if name in self._units else ""

    def overrides(self, name: UnitName) -> list[Assignment]:
        """What the drop-ins of a unit say, also of one that a generator makes."""
        return [
            assignment
            for path in self._drop_ins(name)
            for assignment in parse_unit(self._files.text(path) or "")
        ]

    def exists(self, name: str) -> bool:
        """Whether something defines the unit or masks it."""
        return self._find(name, frozenset()) is not None

    def linked(self, unit: Unit, suffix: str) -> list[str]:
        """Names in the unit's ``.wants`` or ``.requires`` directories; a link to /dev/null masks a name."""
        owners = [*sorted(unit.names), unit.name.template]
        wanted = {
            _instantiated(name, unit.name): place.masked
            for owner in reversed(owners)
            for name, place in self._folders.get(owner + suffix, {}).items()
        }
        return sorted(name for name, masked in wanted.items() if not masked)

    def _find(self, name: str, seen: frozenset[str]) -> _Fragment | None:
        for wanted in (name, UnitName(name).template):
            if wanted in self._units and name not in seen:
                return self._follow(name, self._units[wanted], seen)
        # A target without a file, as on systems put together by hand, still pulls what its directory names.
        implied = name.endswith(".target") and f"{name}.wants" in self._folders
        return _Fragment(name, "", seen) if implied else None

    def _follow(self, name: str, place: _Place, seen: frozenset[str]) -> _Fragment | None:
        if place.masked:
            return _Fragment(name, "", seen, masked=True)
        if place.entry.kind is Kind.FILE:
            return _Fragment(name, place.path, seen)
        base = place.entry.target.decode("utf-8", "surrogateescape").rpartition("/")[2]
        # A link to a unit of another name makes an alias; the name it leads to is looked up anew, since a
        # directory of higher priority may mask or replace it. A link of the same name is a unit elsewhere.
        if base not in (name, UnitName(name).template):
            return self._find(_instance_of(base, UnitName(name)), seen | {name})
        return _Fragment(name, place.path, seen) if self._files.is_file(place.path) else None

    def _drop_ins(self, name: UnitName) -> list[str]:
        """Drop-ins in the order they are read: by file name, whichever directory holds them.

        A directory of the unit's own name goes before its template's, that before ``foo-.service.d`` for
        ``foo-bar.service``, that before ``service.d``; of two files of one name the first hides the second.
        """
        chosen: dict[str, _Place] = {}
        for owner in _drop_in_owners(name):
            for file, place in self._folders.get(owner + ".d", {}).items():
                chosen.setdefault(file, place)
        return [
            place.path
            for file, place in sorted(chosen.items())
            if file.endswith(".conf") and not place.masked
        ]


def _distinct(files: GuestFiles) -> list[str]:
    """The load path without what a merged /usr makes the same directory."""
    real: dict[str, str] = {}
    for path in LOAD_PATH:
        if files.is_directory(path):
            real.setdefault(files.real_path(path) or path, path)
    return list(real.values())


def _drop_in_owners(name: UnitName) -> list[str]:
    owners = [name.full, name.template] if name.template else [name.full]
    parts = name.prefix.split("-")
    for count in range(len(parts) - 1, 0, -1):
        owners.append("-".join(parts[:count]) + f"-.{name.type}")
    return [*owners, name.type]


def _instance_of(base: str, alias: UnitName) -> str:
    """The unit an alias of an instance leads to: the template's instance of the same name."""
    target = UnitName(base)
    if target.stem.endswith("@") and alias.instance:
        return f"{target.prefix}@{alias.instance}.{target.type}"
    return base


def _instantiated(name: str, owner: UnitName) -> str:
    """A template in the ``.wants`` directory of an instance is wanted for that instance."""
    wanted = UnitName(name)
    return f"{wanted.prefix}@{owner.instance}.{wanted.type}" if wanted.stem.endswith("@") else name
