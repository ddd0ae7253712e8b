"""What programs do to files, by chance, with much fsync(2): it leaves btrfs with a log to replay."""

# Names are handed to calls that a Path has no method for.
# ruff: noqa: PTH104, PTH106, PTH108

from __future__ import annotations

import os
import random
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

NAMES = 60
"""Names that files of one directory have: few, so that they meet."""


class Work:
    """A sequence of operations beneath ``root`` that depends on ``seed`` alone."""

    def __init__(self, root: Path, seed: int) -> None:
        self._random = random.Random(seed)
        self._folders = [root]
        self._files = [root / "first"]
        self._files[0].write_bytes(b"first")

    def add_folder(self, folder: Path) -> None:
        """Work in ``folder``, too."""
        self._folders.append(folder)

    def do(self, count: int) -> None:
        """That many operations; those that meet what is not there any more do nothing."""
        operations: list[Callable[[], None]] = [
            *[self._create] * 4,
            *[self._write] * 2,
            *[self._rename] * 2,
            *[self._link] * 2,
            *[self._unlink] * 2,
            self._truncate,
            self._make_folder,
            self._remove_folder,
            self._move_folder,
            self._set_attribute,
            self._remove_attribute,
            self._reserve,
            self._punch,
            self._clone,
            self._make_symlink,
            self._make_pipe,
            self._change,
        ]
        for _ in range(count):
            try:
                self._random.choice(operations)()
            except (OSError, subprocess.CalledProcessError):
                continue

    def _file(self) -> Path:
        return self._random.choice(self._files)

    def _new(self) -> Path:
        return self._random.choice(self._folders) / f"n{self._random.randrange(NAMES)}"

    def _sync(self, *paths: Path) -> None:
        """Synchronise one of them, or none."""
        path = self._random.choice([*paths, None])
        if path is not None:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            os.fsync(descriptor)
            os.close(descriptor)

    def _create(self) -> None:
        path = self._new()
        path.write_bytes(self._random.randbytes(self._random.choice((10, 100, 5000, 50_000))))
        self._files.append(path)
        self._sync(path, path.parent)

    def _write(self) -> None:
        path = self._file()
        with open(path, "r+b") as file:
            file.seek(self._random.randrange(60_000))
            file.write(self._random.randbytes(self._random.choice((1, 4096, 9000))))
        self._sync(path, path)

    def _truncate(self) -> None:
        path = self._file()
        os.truncate(path, self._random.choice((0, 10, 4096, 30_000, 100_000)))
        self._sync(path, path)

    def _rename(self) -> None:
        old, new = self._file(), self._new()
        os.rename(old, new)
        self._files.append(new)
        self._sync(new, new.parent, old.parent)

    def _link(self) -> None:
        old, new = self._file(), self._new()
        os.link(old, new)
        self._files.append(new)
        self._sync(old, new, new.parent)

    def _unlink(self) -> None:
        path = self._file()
        os.unlink(path)
        self._sync(path.parent)

    def _make_folder(self) -> None:
        folder = self._random.choice(self._folders) / f"d{self._random.randrange(8)}"
        folder.mkdir()
        self._folders.append(folder)
        self._sync(folder, folder.parent)

    def _remove_folder(self) -> None:
        folder = self._random.choice(self._folders)
        os.rmdir(folder)
        self._folders.remove(folder)
        self._sync(folder.parent)

    def _move_folder(self) -> None:
        old = self._random.choice(self._folders)
        new = self._random.choice(self._folders) / f"d{self._random.randrange(8)}"
        os.rename(old, new)
        self._folders = [
            new / folder.relative_to(old) if folder.is_relative_to(old) else folder
            for folder in self._folders
        ]
        self._sync(new, new.parent, old.parent)

    def _set_attribute(self) -> None:
        path = self._file()
        os.setxattr(path, f"user.{self._random.randrange(5)}", b"v" * self._random.choice((5, 300)))
        self._sync(path)

    def _remove_attribute(self) -> None:
        path = self._file()
        os.removexattr(path, f"user.{self._random.randrange(5)}")
        self._sync(path, path)

    def _reserve(self) -> None:
        path = self._file()
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), self._random.randrange(80_000), 20_000)
        self._sync(path)

    def _punch(self) -> None:
        path = self._file()
        subprocess.run(
            ["fallocate", "--punch-hole", "--offset=8192", "--length=16384", path],
            check=True,
            capture_output=True,
        )
        self._sync(path)

    def _clone(self) -> None:
        old, new = self._file(), self._new()
        subprocess.run(["cp", "--reflink=always", old, new], check=True, capture_output=True)
        self._files.append(new)
        self._sync(new)

    def _make_symlink(self) -> None:
        path = self._new()
        path.symlink_to("x" * self._random.choice((3, 50)))
        self._files.append(path)
        self._sync(path.parent)

    def _make_pipe(self) -> None:
        path = self._random.choice(self._folders) / f"p{self._random.randrange(NAMES)}"
        os.mknod(path, 0o640 | stat.S_IFIFO)
        self._sync(path.parent)

    def _change(self) -> None:
        path = self._file()
        path.chmod(self._random.choice((0o600, 0o755)))
        os.utime(path, ns=(0, self._random.randrange(10**18)))
        self._sync(path, path)
