"""Real guests for the demo, the tests and the benchmarks: disk images with known content, each made once.

``small`` is made in a second and without network; the Debian ones take minutes, once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from converters import process
from deploy.demo import cache
from deploy.demo.guests import debian, dirty, junk, layout, tiny
from deploy.demo.guests.backends import BACKEND
from deploy.demo.guests.layout import Built
from deploy.demo.guests.offices import OFFICE
from deploy.demo.guests.recipes import BENCH, DB, LEGACY, WEB, Recipe
from deploy.demo.guests.releases import ELEVEN, RUNLEVELS, THIRTEEN
from deploy.demo.guests.stack import STACK

_CONVERT_SECONDS = 600.0
_SOURCE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Guest:
    """A disk of a guest, twice: raw, and as vCenter exports it."""

    name: str
    raw: Path
    vmdk: Path
    """streamOptimized."""
    partitions: tuple[Built, ...] = ()
    """Where its file systems lie in ``raw``."""
    page: str = ""
    """Text of the page that its web server gives."""


def web() -> Guest:
    """Debian 12 with systemd, nginx and ssh; GPT, one ext4."""
    return _debian(WEB)


def db() -> Guest:
    """Debian 12 with systemd and redis; MBR, ``/`` on a primary and ``/var`` on a logical partition, ext4."""
    return _debian(DB)


def legacy() -> Guest:
    """Debian with SysV init and lighttpd; ext3 on the whole disk, no partition table."""
    return _debian(LEGACY)


def stack() -> Guest:
    """Debian 12 with nine services that work together: web server, PHP, databases, apps; GPT, one ext4."""
    return _debian(STACK)


def office() -> Path:
    """The raw disk of a Debian 12 with web, mail, name, file and proxy servers, and programs of its own."""
    return _disk(OFFICE)


def backend() -> Path:
    """The raw disk of a Debian 12 with Tomcat, RabbitMQ, Prometheus, Samba, Mosquitto and Unbound."""
    return _disk(BACKEND)


def eleven() -> Path:
    """The raw disk of a Debian 11 with nginx, PHP, MariaDB and Redis."""
    return _disk(ELEVEN)


def thirteen() -> Path:
    """The raw disk of a Debian 13 with Apache and PHP, PostgreSQL, Redis and a display manager."""
    return _disk(THIRTEEN)


def runlevels() -> Path:
    """The raw disk of a Debian 12 with SysV init, nginx, PostgreSQL, Redis and a script of its own."""
    return _disk(RUNLEVELS)


def bench() -> Guest:
    """Debian 12 with nginx and compilers: some 20,000 files, 600 MB; GPT, one ext4."""
    return _debian(BENCH)


def small(name: str = "tiny", payload: int = 0) -> Guest:
    """A static web server of ``name``'s own, in a few hundred files; GPT, one ext4.

    ``payload`` is how many bytes of incompressible data it holds besides: that takes time to download.
    """
    key = _key("tiny.py", name, str(payload))
    folder = cache.cached(
        f"guest-tiny-{name}-{payload}", key, lambda into: _finish(tiny.build(into, name, payload))
    )
    return _guest(name, folder, layout.place(tiny.partitions(payload))[0], tiny.page(name))


def busy() -> Guest:
    """``web`` copied while it was mounted and busy; needs root. ``dirty`` says what a replay brings back."""
    source = web()
    (root,) = (built for built in source.partitions if built.mount == "/")
    key = _key("dirty.py", str(source.raw))
    folder = cache.cached("guest-busy", key, lambda into: _finish(dirty.build(into, source.raw, root)))
    return _guest("busy", folder, source.partitions, source.page)


def windows() -> Guest:
    """A disk with an MBR and an NTFS boot sector, as Windows lays it out; without files."""
    return _junk("windows", junk.windows)


def garbage() -> Guest:
    """A disk of noise."""
    return _junk("garbage", junk.garbage)


def _key(builder: str, *parts: str) -> str:
    return cache.digest(_SOURCE / builder, _SOURCE / "layout.py", *parts)


def _disk(recipe: Recipe) -> Path:
    """A guest of which nobody wants the form in which vCenter exports it."""

    def build(into: Path) -> None:
        debian.build(into, recipe)

    return cache.cached(f"guest-{recipe.name}", _recipe_key(recipe), build) / "disk.raw"


def _recipe_key(recipe: Recipe) -> str:
    return _key("debian.py", repr(recipe))


def _debian(recipe: Recipe) -> Guest:
    key = _recipe_key(recipe)
    folder = cache.cached(f"guest-{recipe.name}", key, lambda into: _finish(debian.build(into, recipe)))
    places, _ = layout.place(recipe.layout)
    return _guest(recipe.name, folder, places, recipe.page)


def _junk(name: str, write: Callable[[Path], None]) -> Guest:
    def build(into: Path) -> None:
        write(into / "disk.raw")
        _finish(into / "disk.raw")

    return _guest(name, cache.cached(f"guest-{name}", _key("junk.py"), build))


def _finish(disk: Path) -> None:
    """Put the disk beside itself as vCenter exports it."""
    target = str(disk.with_suffix(".vmdk"))
    options = ["-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    process.run(["qemu-img", "convert", *options, str(disk), target], timeout=_CONVERT_SECONDS)


def _guest(name: str, folder: Path, partitions: tuple[Built, ...] = (), page: str = "") -> Guest:
    return Guest(name, folder / "disk.raw", folder / "disk.vmdk", partitions, page)
