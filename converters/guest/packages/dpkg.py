"""Debian's packages: dpkg(1)'s status file, as one or as a folder of parts; deb822(5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from converters.guest.files import GuestFiles, printable
from converters.guest.packages.values import Package, PackageFacts

_FOLDER = "/var/lib/dpkg"
_STATUS = f"{_FOLDER}/status"
_PARTS = f"{_FOLDER}/status.d"
"""Where images without dpkg have a file for each package."""
_UPDATES = f"{_FOLDER}/updates"
"""Records that dpkg has not yet written to the status file: it was cut off where there are some."""
_BESIDE = (".md5sums", ".preinst", ".postinst", ".prerm", ".postrm", ".conffiles", ".list")
"""What such a folder has of a package beside its record."""
_LIMIT = 64 << 20
_MOST_PARTS = 20_000
_MOST_LISTS = 3000
_FIELD = re.compile(rb"^(Package|Status|Version|Architecture):[ \t]*([^\n]{0,400}?)[ \t\r]*$", re.MULTILINE)
_STANZAS = re.compile(rb"\n[ \t\r]*\n")
_UNFINISHED = frozenset(
    {"half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending"}
)
_WORD = re.compile(r"[a-z0-9]{2,}")


@dataclass(frozen=True, slots=True)
class _Stanza:
    package: Package
    status: str
    """The third word: ``installed``, ``config-files``…"""


def read_dpkg(files: GuestFiles, paths: frozenset[str]) -> tuple[PackageFacts, dict[str, Package]] | None:
    """What dpkg has installed (third word of ``Status``: ``installed``), and who owns ``paths``."""
    whole = files.content(_STATUS, _LIMIT)
    stanzas = list(_stanzas(files, _STATUS, whole or b"", "")) + list(_from_parts(files))
    if whole is None and not stanzas:
        return None
    installed = [stanza.package for stanza in stanzas if stanza.status == "installed"]
    unfinished = [
        f"{stanza.package.name} ({stanza.status})" for stanza in stanzas if stanza.status in _UNFINISHED
    ]
    journal = [name for name, _ in files.some_below(_UPDATES, _MOST_PARTS) if name.isdecimal()]
    if journal:
        unfinished.append(f"{len(journal)} steps in {_UPDATES}")
    facts = PackageFacts(
        "dpkg", _STATUS if whole is not None else _PARTS, len(installed), unfinished=tuple(unfinished)
    )
    return facts, _owners(files, installed, paths)


def _from_parts(files: GuestFiles) -> Iterator[_Stanza]:
    for name, _ in files.some_below(_PARTS, _MOST_PARTS):
        if not name.endswith(_BESIDE):
            path = f"{_PARTS}/{name}"
            yield from _stanzas(files, path, files.content(path, _LIMIT) or b"", "installed")


def _stanzas(files: GuestFiles, path: str, content: bytes, status: str) -> Iterator[_Stanza]:
    """``status`` is that of a stanza that says none."""
    damaged = 0
    for stanza in _STANZAS.split(content.replace(b"\r\n", b"\n")):
        if not stanza.strip():
            continue
        fields = {
            name[1].decode("ascii"): name[2].decode("utf-8", "backslashreplace")
            for name in _FIELD.finditer(stanza)
        }
        if "Package" not in fields or "Version" not in fields:
            damaged += "Package" not in fields or not fields.get("Status", "").endswith(" not-installed")
            continue
        package = Package(fields["Package"], fields["Version"], fields.get("Architecture", ""))
        words = fields.get("Status", "").split()
        yield _Stanza(package, words[2] if len(words) == 3 else status if not words else "")
    if damaged:
        files.note(f"{path}: {damaged} records without a name or a version were passed over.")


def _owners(files: GuestFiles, installed: Sequence[Package], paths: frozenset[str]) -> dict[str, Package]:
    """By the lists of files; those of packages named like a wanted file first, as most are found there."""
    missing = {path.encode("utf-8", "surrogateescape"): path for path in paths}
    owners: dict[str, Package] = {}
    for package in _likely_first(installed, paths)[:_MOST_LISTS]:
        if len(owners) * 2 >= len(paths):  # each file is wanted under two names
            break
        for name in (package.name, f"{package.name}:{package.architecture}"):
            content = files.content(f"{_FOLDER}/info/{name}.list", _LIMIT)
            if content is not None:
                owners |= {missing[path]: package for path in missing.keys() & set(content.split(b"\n"))}
                break
    return owners


def _likely_first(installed: Sequence[Package], paths: Iterable[str]) -> list[Package]:
    words = {word for path in paths for word in _WORD.findall(path.rpartition("/")[2].lower())}
    return sorted(installed, key=lambda package: words.isdisjoint(_WORD.findall(printable(package.name))))
