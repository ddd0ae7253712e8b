"""Containers of podman: those in its storage, root's and users', and those that Quadlet files describe.

The storage's own list (``containers.json``) has names and images, whichever database podman's version uses
for its state (BoltDB, SQLite). Policies and ports are in that database only, which is not opened: what is to
start at boot has a unit or a Quadlet file.
"""

from __future__ import annotations

from collections.abc import Iterator

from converters.guest.accounts import Accounts
from converters.guest.containers.json_text import items, parse, table, word
from converters.guest.containers.values import Engine, ExistingContainer
from converters.guest.files import GuestFiles, printable
from converters.guest.services.unit_file import Settings, parse_unit

_STORAGE = "/var/lib/containers/storage"
_DRIVERS = ("overlay", "vfs", "btrfs", "zfs")
_QUADLETS = ("/etc/containers/systemd", "/usr/share/containers/systemd")
_KINDS = (".container", ".kube", ".pod")
_MOST_USERS = 200
_MOST = 500


def podman_containers(files: GuestFiles, accounts: Accounts) -> Iterator[ExistingContainer]:
    """Containers of root and of each user with a home."""
    homes = list(dict.fromkeys(user.home.rstrip("/") for user in accounts.users.values()))[:_MOST_USERS]
    homes = [home for home in homes if home.startswith("/") and files.is_directory(home)]
    stores = [_STORAGE, *(f"{home}/.local/share/containers/storage" for home in homes)]
    for storage in filter(files.is_directory, stores):
        for driver in _DRIVERS:
            yield from _stored(files, f"{storage}/{driver}-containers/containers.json")
    for folder in (*_QUADLETS, *(f"{home}/.config/containers/systemd" for home in homes)):
        yield from _quadlets(files, folder)


def _stored(files: GuestFiles, path: str) -> Iterator[ExistingContainer]:
    for entry in items(parse(files.text(path) or "")):
        metadata = table(entry).get("metadata")
        told = parse(metadata) if isinstance(metadata, str) else None  # JSON within JSON
        names = [word(name) for name in items(table(entry).get("names"))]
        name = word(table(told).get("name")) or next(filter(None, names), word(table(entry).get("id"))[:12])
        image = word(table(told).get("image-name"))
        if name.endswith("-infra") and not image:
            continue  # holds a pod's namespaces
        yield ExistingContainer(Engine.PODMAN, name, image or word(table(entry).get("image"))[:12], path)


def _quadlets(files: GuestFiles, folder: str) -> Iterator[ExistingContainer]:
    for name, _ in files.some_below(folder, _MOST):
        if not name.endswith(_KINDS):
            continue
        path = f"{folder}/{name}"
        plain = printable(name.rpartition("/")[2].rpartition(".")[0])
        unit = Settings(parse_unit(files.text(path) or ""))
        yield ExistingContainer(
            Engine.QUADLET,
            name=unit.last("Container", "ContainerName") or plain,
            image=unit.last("Container", "Image") or unit.last("Kube", "Yaml"),
            source=printable(path),
            restart=unit.last("Service", "Restart"),
            ports=tuple(unit.all("Container", "PublishPort"))[:100],
            data=tuple(unit.all("Container", "Volume"))[:100],
        )
