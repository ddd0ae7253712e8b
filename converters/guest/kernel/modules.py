"""Kernel modules of a guest: those its configuration loads, and drivers that did not come with its kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator

from converters.guest.environment_file import parse_environment_file
from converters.guest.files import GuestFiles, printable
from converters.guest.kernel.values import Driver, KernelModule

_LOAD_FOLDERS = (
    "/etc/modules-load.d",
    "/run/modules-load.d",
    "/usr/lib/modules-load.d",
    "/lib/modules-load.d",
)
_SCRIPT_FOLDER = "/etc/sysconfig/modules"
_MODPROBE_FOLDERS = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d")
_SCRIPT_LINE = re.compile(
    r"^[ \t]*(?:exec[ \t]+)?(?:/sbin/)?modprobe[ \t]+(?:-\w+[ \t]+)*(\w[\w-]*)", re.MULTILINE
)
_MODULE = re.compile(r"[A-Za-z0-9][\w-]{0,62}")
_OPTIONS = re.compile(r"^[ \t]*options[ \t]+([\w-]+)[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
_KO = re.compile(r"(?:.*/)?([^/]+)\.ko(?:\.(?:gz|xz|zst))?")
_ADDED = ("extra", "updates", "weak-updates", "misc")
"""Folders of /lib/modules/RELEASE for modules that others bring (depmod.d(5), dkms(8), weak-modules)."""
_MOST = 200
_MOST_ENTRIES = 5000


def configured_modules(files: GuestFiles) -> tuple[KernelModule, ...]:
    """Modules loaded at boot by name (modules-load.d(5), modules(5), Red Hat's and SUSE's own places)."""
    options = dict(_modprobe_options(files))
    found: dict[str, KernelModule] = {}
    for name, source in _loaded(files):
        if _MODULE.fullmatch(name) and len(found) < _MOST:
            name = name.replace("-", "_")
            found.setdefault(name, KernelModule(name, printable(source), options.get(name, "")))
    return tuple(found.values())


def _loaded(files: GuestFiles) -> Iterator[tuple[str, str]]:
    for path in ("/etc/modules", *_by_name(files, _LOAD_FOLDERS)):
        for line in (files.text(path) or "").splitlines():
            words = line.split()
            if words and words[0][0] not in "#;":
                yield words[0], path
    scripts = [
        f"{_SCRIPT_FOLDER}/{name}" for name in files.names(_SCRIPT_FOLDER) if name.endswith(".modules")
    ]
    for path in (*scripts[:_MOST], "/etc/rc.modules"):
        for script_line in _SCRIPT_LINE.finditer(files.text(path) or ""):
            yield script_line[1], path
    suse = dict(parse_environment_file(files.text("/etc/sysconfig/kernel") or ""))
    for name in suse.get("MODULES_LOADED_ON_BOOT", "").split():
        yield name, "/etc/sysconfig/kernel"


def _modprobe_options(files: GuestFiles) -> Iterator[tuple[str, str]]:
    for path in ("/etc/modprobe.conf", *_by_name(files, _MODPROBE_FOLDERS)):
        for line in _OPTIONS.finditer(files.text(path) or ""):
            yield line[1].replace("-", "_"), printable(line[2])[:200]


def _by_name(files: GuestFiles, folders: tuple[str, ...]) -> list[str]:
    """Files in the order of their names; of two of one name the one in the earlier folder."""
    chosen: dict[str, str] = {}
    for folder in folders:
        for name in files.names(folder):
            if name.endswith(".conf"):
                chosen.setdefault(name, f"{folder}/{name}")
    return [path for _, path in sorted(chosen.items())[:_MOST]]


def added_drivers(files: GuestFiles, kernels: tuple[str, ...]) -> tuple[Driver, ...]:
    """Modules beside those of the guest's kernels: dkms(8)'s, vendors' and hand-made ones, each name once."""
    found: dict[str, Driver] = {}
    dkms = "/var/lib/dkms"
    for relative, _ in files.some_below(dkms, _MOST_ENTRIES):
        name = relative.partition("/")[0]
        if relative.count("/") == 1 and name != "mok.key":
            found.setdefault(name, Driver(printable(name), printable(f"{dkms}/{relative}")))
    for kernel in kernels:
        for folder in _ADDED:
            above = f"/lib/modules/{kernel}/{folder}"
            for relative, _ in files.some_below(above, _MOST_ENTRIES):
                if module := _KO.fullmatch(relative):
                    name = printable(module[1].replace("-", "_"))
                    found.setdefault(name, Driver(name, printable(f"{above}/{relative}")))
    return tuple(found.values())[:_MOST]
