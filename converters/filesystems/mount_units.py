"""Mount units of a guest under systemd: what they mount at boot, beside its fstab or in place of it.

Sources: systemd.mount(5), systemd.automount(5), systemd-fstab-generator(8), systemd.unit(5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from converters.filesystems.fstab import Line, clean_path, split_options, unquote
from converters.guest.files import GuestFiles
from converters.guest.services.conditions import failing_condition
from converters.guest.services.systemd import boot
from converters.guest.services.unit_file import Settings
from converters.guest.services.unit_tree import Unit, UnitTree
from converters.guest.services.words import UnitName, escape_path, expand_specifiers, unit_specifiers

_BEFORE_GENERATORS = "/etc/systemd/"
"""A unit below it replaces or masks what the generator makes of an fstab; one in /usr does not."""
_SECTION = "Mount"


@dataclass(frozen=True, slots=True)
class Decided:
    """What boot makes of one entry of an fstab."""

    line: Line
    """The entry with what its unit\'s drop-ins change, or what the unit says that replaces it."""
    starts: bool
    """Whether boot mounts it."""
    note: str = ""


class MountUnits:
    """The mount units of a guest, and which of them a boot starts."""

    def __init__(self, files: GuestFiles) -> None:
        self._files = files
        self._tree = UnitTree(files)
        self._started, self._asked = boot(files, self._tree)

    def decide(self, line: Line) -> Decided:
        """What becomes of an entry of the fstab whose target is a path."""
        name = f"{escape_path(line.target)}.mount"
        place = self._tree.place(name)
        starts = self._starts(line, name)
        if not place.startswith(_BEFORE_GENERATORS):
            return Decided(self._overridden(line, name), starts)
        unit = self._tree.load(name)
        if unit is None:
            return Decided(line, False, f"{line.target} is not mounted at boot: {place} masks it.")
        said = self._line(unit)
        if said is None:
            return Decided(line, False, _broken(unit))
        return Decided(said, starts, f"{line.target} is mounted as {place} says, not as /etc/fstab does.")

    def others(self, targets: frozenset[str]) -> tuple[list[Line], list[str]]:
        """What started units mount that are at none of ``targets``, and a sentence for each broken one."""
        lines, notes = [], []
        for unit in self._started.values():
            if unit.name.type != "mount":
                continue
            line = self._line(unit)
            if line is None:
                notes.append(_broken(unit))
            elif line.target not in targets and not self._fails(unit):
                lines.append(line)
        return lines, notes

    def _starts(self, line: Line, name: str) -> bool:
        if line.has("x-systemd.automount") or name in self._asked:
            return True
        pulling = [
            option.partition("=")[2]
            for option in line.options
            if option.startswith(("x-systemd.wanted-by=", "x-systemd.required-by="))
        ]
        if pulling:
            return any(unit in self._started for unit in pulling)
        return not line.has("noauto")

    def _fails(self, unit: Unit) -> bool:
        return bool(failing_condition(unit.settings, unit_specifiers(unit.name), self._files))

    def _overridden(self, line: Line, name: str) -> Line:
        settings = Settings(self._tree.overrides(UnitName(name)))
        if not settings.has(_SECTION):
            return line
        options = settings.last(_SECTION, "Options")
        return replace(
            line,
            source=unquote(settings.last(_SECTION, "What", line.source)),
            type=settings.last(_SECTION, "Type", line.type),
            options=split_options(options) if options else line.options,
        )

    def _line(self, unit: Unit) -> Line | None:
        """What a unit mounts; None when systemd refuses it: ``Where=`` has to be what the name says."""
        specifiers = unit_specifiers(unit.name)
        source, where, type, options = (
            expand_specifiers(unit.settings.last(_SECTION, key), specifiers)
            for key in ("What", "Where", "Type", "Options")
        )
        if not source or not where.startswith("/") or f"{escape_path(where)}.mount" != unit.name.full:
            return None
        return Line(unquote(source), clean_path(where), type or "auto", split_options(options), unit.path)


def _broken(unit: Unit) -> str:
    return f"{unit.path} mounts nothing: What= is missing, or Where= is not what its name says."
