"""Installs Debian into a disk image, as root or, in a user namespace, as anybody."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from converters import process
from deploy.demo import cache
from deploy.demo.guests import layout
from deploy.demo.guests.recipes import SUITE, Recipe

_INSTALL_SECONDS = 1200.0
_COPY_SECONDS = 300.0


def build(into: Path, recipe: Recipe) -> Path:
    """Install ``recipe`` and write its disk image; gives the image's path.

    Packages come from where this machine's own apt has them, and are kept for the next guest.

    Raises:
        ProcessError: mmdebstrap or a file system tool is missing or failed.
    """
    archive = into / "system.tar"
    _install(into, archive, recipe)
    disk = into / "disk.raw"
    layout.write_table(disk, recipe.layout)
    with _unpacked(archive, into / "tree") as tree:
        _write_fstab(tree, recipe)
        places, _ = layout.place(recipe.layout)
        pairs = list(zip(recipe.layout.partitions, places, strict=True))
        # What is mounted deepest leaves the tree first, and an empty folder stays in its place.
        for partition, built in sorted(pairs, key=lambda pair: pair[0].mount, reverse=True):
            if partition.type == "swap":
                layout.write_swap(disk, partition, built)
            elif partition.mount:
                with _branch(tree, partition.mount) as branch:
                    _write_filesystem(disk, partition, built, branch)
    return disk


def _install(into: Path, archive: Path, recipe: Recipe) -> None:
    packages = cache.folder() / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    command = [
        *("mmdebstrap", "--variant=minbase", "--format=tar", f"--include={','.join(recipe.packages)}"),
        # Keeping packages between runs is mmdebstrap(1)'s own recipe.
        *("--skip=download/empty", "--skip=essential/unlink"),
        '--setup-hook=mkdir -p "$1/var/cache/apt/archives/"',
        f"--setup-hook=sync-in {packages} /var/cache/apt/archives/",
        f"--customize-hook=sync-out /var/cache/apt/archives {packages}",
        f"--customize-hook=set -eu\n{recipe.customize}",
        *(recipe.suite, str(archive), *_apt_sources(into, recipe.suite)),
    ]
    process.run(command, env={**process.MINIMAL_ENVIRONMENT, **_proxies()}, timeout=_INSTALL_SECONDS)


def _apt_sources(into: Path, suite: str) -> list[str]:
    """The apt sources of this machine that have Debian, for ``suite``; none: mmdebstrap's own."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    found = [
        file
        for file in files
        if file.suffix in (".list", ".sources") and file.is_file() and SUITE in file.read_text()
    ]
    if suite == SUITE:
        return list(map(str, found))
    return [str(_for_suite(file, into, suite)) for file in found]


def _for_suite(file: Path, into: Path, suite: str) -> Path:
    """A copy of an apt source that names another suite of the same servers."""
    copy = into / file.name
    copy.write_text(file.read_text().replace(SUITE, suite))
    return copy


def _proxies() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


@contextmanager
def _unpacked(archive: Path, tree: Path) -> Iterator[Path]:
    tree.mkdir()
    command = ["tar", "--extract", "--file", str(archive), "--directory", str(tree)]
    options = ["--numeric-owner", "--same-permissions", "--same-owner", "--xattrs", "--xattrs-include=*"]
    # The kernel fills /dev at boot, and no user namespace may make devices.
    command += [*options, "--exclude=./dev/*"]
    try:
        process.run(as_root(command), timeout=_COPY_SECONDS)
        archive.unlink()
        yield tree
    finally:
        process.run(as_root(["rm", "-rf", str(tree)]), timeout=_COPY_SECONDS)


@contextmanager
def _branch(tree: Path, mount: str) -> Iterator[Path]:
    """The part of the tree that is mounted at ``mount``, while it is written to its own file system."""
    if mount == "/":
        yield tree
        return
    place = tree / mount.strip("/")
    branch = tree.with_name("branch")
    process.run(as_root(["mv", str(place), str(branch)]))
    process.run(as_root(["mkdir", "--mode=755", str(place)]))
    try:
        yield branch
    finally:
        process.run(as_root(["rm", "-rf", str(branch)]), timeout=_COPY_SECONDS)


def _write_filesystem(disk: Path, partition: layout.Partition, built: layout.Built, tree: Path) -> None:
    command = layout.filesystem_command(disk, partition, built, tree)
    process.run(as_root(command), timeout=_COPY_SECONDS)


def _write_fstab(tree: Path, recipe: Recipe) -> None:
    lines = ["# /etc/fstab"]
    for number, partition in enumerate(recipe.layout.partitions, 1):
        if not partition.uuid:
            continue
        source = f"LABEL={partition.label}" if partition.label else f"UUID={partition.uuid}"
        target, options = partition.mount or "none", "sw" if partition.type == "swap" else "defaults"
        lines.append(f"{source}\t{target}\t{partition.type}\t{options}\t0\t{min(number, 2)}")
    text = "\n".join(lines) + "\n"
    process.run(as_root(["tee", str(tree / "etc/fstab")]), input=text.encode())


def as_root(command: Sequence[str]) -> list[str]:
    """The command as root; for others as the root of a user namespace (unshare(1), subuid(5))."""
    if os.geteuid() == 0:
        return list(command)
    return ["unshare", "--map-root-user", "--map-auto", "--", *command]
