"""Alpine's packages: apk's database of installed ones (apk-package(5))."""

from __future__ import annotations

from converters.guest.files import GuestFiles
from converters.guest.packages.values import Package, PackageFacts

_DATABASES = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
_LIMIT = 64 << 20


def read_apk(files: GuestFiles, paths: frozenset[str]) -> tuple[PackageFacts, dict[str, Package]] | None:
    """What apk has installed, and who owns ``paths``; a record without name or version is passed over."""
    for database in _DATABASES:
        content = files.content(database, _LIMIT)
        if content is not None:
            return _read(files, database, content, paths)
    return None


def _read(
    files: GuestFiles, database: str, content: bytes, paths: frozenset[str]
) -> tuple[PackageFacts, dict[str, Package]]:
    count, damaged = 0, 0
    owners: dict[str, Package] = {}
    text = content.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    for record in text.split("\n\n"):
        lines = record.splitlines()
        fields = {line[0]: line[2:].strip() for line in reversed(lines) if line[1:2] == ":"}
        if not fields:
            continue
        if not fields.get("P") or not fields.get("V"):
            damaged += 1
            continue
        count += 1
        package = Package(fields["P"][:200], fields["V"][:200], fields.get("A", "")[:200])
        folder = ""
        for line in lines:
            if line.startswith("F:"):
                folder = line[2:]
            elif line.startswith("R:") and (path := f"/{folder}/{line[2:]}") in paths:
                owners[path] = package
    if damaged:
        files.note(f"{database}: {damaged} records without a name or a version were passed over.")
    return PackageFacts("apk", database, count), owners
