"""Volumes filled and left clean, dirty or frozen, each with what the kernel shows of it after its replay."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from converters.filesystems.base import Entry
from tests.kernel import kernel_entries, kernel_hashes, mounted
from tests.matrix.variants import State, Variant
from tests.trees import fill

SETUP = """\
mkdir -p etc usr/bin srv/gone srv/old
echo ID=test > etc/os-release
echo old > etc/config
echo '#!' > usr/bin/true
for i in $(seq 50); do echo $i > srv/gone/$i; echo $i > srv/old/$i; done
head -c 20000 /dev/zero | tr '\\0' x > srv/shrunk
head -c 20000 /dev/zero | tr '\\0' y > srv/grown
find etc usr srv -exec touch -h -d @1500000000 {} +
"""
"""A Linux root, and what will be changed. In words that both coreutils and busybox know."""

CHANGES = """\
mkdir srv/new
for i in $(seq 100); do echo $i > srv/new/$i; done
echo new > etc/config.new
sync etc/config.new
mv etc/config.new etc/config
rm -r srv/gone
mv srv/old srv/moved
ln srv/new/1 srv/hard
ln -s ../etc/config srv/link
mkfifo srv/fifo
mknod srv/null c 1 3
chmod 4711 srv/new/2
chown 70000:80000 srv/new/3
truncate -s 5000 srv/shrunk
head -c 9000 /dev/zero | tr '\\0' z >> srv/grown
exec 3> srv/open
echo open >&3
rm srv/open
find etc usr srv -exec touch -h -d @1600000000 {} +
sync srv/new/* srv/shrunk srv/grown srv/new srv/moved srv etc .
"""
"""Every kind of change, all durable; an open file without a name stays open until the shell ends."""

_NOT_DURABLE = """\
echo late > srv/late
mv srv/new/4 srv/later
rm srv/new/5
echo ready
read -r line
"""
"""Changes that may be lost: both the kernel and the product tell from the same journal whether they are."""


@dataclass(frozen=True)
class Made:
    """A volume in a file, and what is in it."""

    image: Path
    entries: list[Entry]
    hashes: dict[bytes, str]
    by_number: bool = True
    """Whether ``entries`` come from this very file system: else inodes are numbered otherwise."""

    def comparable(self, entry: Entry) -> Entry:
        """An entry without what cannot be compared."""
        # The kernel shows XFS's own form of an access control list beside the usual one.
        xattrs = tuple(pair for pair in entry.xattrs if not pair[0].startswith(b"trusted.SGI_ACL"))
        entry = entry._replace(device=0, xattrs=xattrs)
        if self.by_number:
            return entry
        nlink = 0 if entry.mode and entry.kind.value == "directory" else entry.nlink
        return entry._replace(inode=0, nlink=nlink, mtime_ns=entry.mtime_ns if entry.path else 0)


def make(variant: Variant, state: State, folder: Path) -> Made:
    """The volume in the empty ``folder``; needs root."""
    fresh, image = variant.make(folder / "fresh"), folder / "volume"
    with mounted(fresh, variant.type, options=variant.mount) as root:
        fill(
            root,
            large_inodes=not variant.has_old_times,
            many=300,
            largest_attribute=variant.largest_attribute,
            largest_device=variant.largest_device,
        )
        run(SETUP, root)
    if state is State.CLEAN:
        copy(fresh, image)
    else:
        with ExitStack() as stack:
            root = stack.enter_context(mounted(fresh, variant.type, options=variant.mount))
            stack.enter_context(busy(root))
            if state is State.FROZEN:
                stack.enter_context(frozen(root))
            copy(fresh, image)
    fresh.unlink()
    judged = copy(image, folder / "judged")
    with mounted(judged, variant.type, options="rw,noatime"):
        pass  # the kernel replays the journal
    with mounted(judged, variant.type) as root:
        entries, hashes = kernel_entries(root), kernel_hashes(root)
    judged.unlink()
    made = Made(image, [], hashes)
    return Made(image, [made.comparable(entry) for entry in entries], hashes)


def run(script: str, root: Path) -> None:
    """Run a shell's words in the folder ``root``."""
    subprocess.run(["sh", "-eu", "-c", script], cwd=root, check=True)


@contextmanager
def busy(root: Path) -> Iterator[None]:
    """Change the tree at ``root``, and keep a file without a name open meanwhile."""
    words = ["sh", "-eu", "-c", CHANGES + _NOT_DURABLE]
    with subprocess.Popen(words, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdin
        assert shell.stdout
        assert shell.stdout.readline() == b"ready\n"
        yield
        shell.stdin.write(b"\n")
    assert shell.returncode == 0


@contextmanager
def frozen(root: Path) -> Iterator[None]:
    """Let nobody write to the file system at ``root``."""
    subprocess.run(["fsfreeze", "-f", root], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", root], check=True)


def copy(source: Path, target: Path) -> Path:
    """A sparse copy."""
    subprocess.run(["cp", "--sparse=always", source, target], check=True)
    os.chmod(target, 0o644)  # noqa: PTH101
    return target
