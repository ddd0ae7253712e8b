"""Programs of this machine and modules of user-mode Linux's kernel, as members of a RAM disk.

User-mode Linux runs programs of the machine that it runs on, so those go in as they are, with the libraries
that the dynamic loader finds for them.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from converters.filesystems.initrd import MODULES, Member
from converters.process import run

LOADERS = (Path("/lib64/ld-linux-x86-64.so.2"), Path("/lib/ld-linux-aarch64.so.1"))
PYTHON = Path("/usr/bin/python3")
_STDLIB = (
    "encodings/__init__",
    "encodings/aliases",
    "encodings/utf_8",
    "encodings/ascii",
    "__future__",
    "struct",
)
"""What an interpreter without ``site`` imports beside the modules that are frozen into it, and the agent."""
_LIBRARY = re.compile(r"=> (/\S+)|^\s*(/\S+) \(", re.MULTILINE)
_PROGRAM = stat.S_IFREG | 0o755
_FILE = stat.S_IFREG | 0o644


def programs(paths: Iterable[Path]) -> list[Member]:
    """The programs at ``paths``, each at its own path, with their libraries.

    Raises:
        ProcessError: a library of one is missing.
        OSError: a program is missing.
    """
    loader = next((path for path in LOADERS if path.exists()), LOADERS[0])
    found = {str(loader): _member(loader)}
    for path in paths:
        real = path.resolve(strict=True)
        found[str(path)] = Member(_name(path), _PROGRAM, real.read_bytes())
        said = run([str(loader), "--list", str(real)]).stdout.decode()
        for match in _LIBRARY.finditer(said):
            library = match[1] or match[2]
            if library not in found:
                found[library] = _member(Path(library))
    return list(found.values())


def python() -> list[Member]:
    """Debian's Python with as little of its library as it starts with; it is ``/usr/bin/python3``.

    Raises:
        OSError: it is not installed.
    """
    version = PYTHON.resolve(strict=True).name
    library = Path("/usr/lib") / version
    modules = [library / f"{name}.py" for name in _STDLIB]
    return [*programs([PYTHON]), *(Member(_name(path), _FILE, path.read_bytes()) for path in modules)]


def modules(version: str, wanted: Iterable[str]) -> Iterator[Member]:
    """Kernel modules by name (``dm-thin-pool``) with those they need, in the order in which they load.

    Raises:
        OSError: the kernel's modules are not installed, or one is not among them.
    """
    folder = MODULES / version
    needs: dict[str, list[str]] = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[path] = others.split()
    by_name = {Path(path).name.removesuffix(".ko"): path for path in needs}
    given: set[str] = set()
    for name in wanted:
        if name not in by_name:
            raise FileNotFoundError(2, "No such kernel module", name)
        # depmod(8) lists what a module needs, each before what that needs in its turn.
        for path in (*reversed(needs[by_name[name]]), by_name[name]):
            if path not in given:
                given.add(path)
                yield Member(
                    f"modules/{len(given):03}-{Path(path).name}", _FILE, (folder / path).read_bytes()
                )


def with_folders(members: Iterable[Member]) -> list[Member]:
    """``members`` behind the folders that they are in."""
    listed = list(members)
    folders = {str(parent) for member in listed for parent in Path(member.name).parents} - {"."}
    return [*(Member(folder, stat.S_IFDIR | 0o755) for folder in sorted(folders)), *listed]


def _member(path: Path) -> Member:
    return Member(_name(path), _PROGRAM, path.resolve(strict=True).read_bytes())


def _name(path: Path) -> str:
    return str(path).lstrip("/")
