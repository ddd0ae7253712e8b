"""Reads disks as the reading process does, confined to them; its output is what the tests look at.

Arguments: a folder of its own and a file with pickled sources. For each source a line: the MD5 of the disk,
or the error. Then a line for each helper process: its filter and limits. Then it waits for its input to end.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

from converters.disks import DiskSource, open_disk
from converters.errors import ConvertError
from converters.reader import reach
from converters.reader.confine import confine
from converters.reading import Reading

from .images import content


def main(folder: str, sources: str) -> None:
    """Read every disk and keep it open."""
    disks: list[DiskSource] = pickle.loads(Path(sources).read_bytes())
    tempfile.tempdir = folder
    confine(4 << 30, reach.rules(disks, Reading(), folder))
    with ExitStack() as stack:
        for source in disks:
            try:
                disk = stack.enter_context(closing(open_disk(source)))
                print(hashlib.md5(content(disk)).hexdigest())
            except (ConvertError, OSError) as error:
                print(repr(error))
        for helper in _helpers():
            status = dict(
                line.split(":\t", 1) for line in (helper / "status").read_text().splitlines() if ":\t" in line
            )
            limits = (helper / "limits").read_text()
            memory = next(line.split()[3] for line in limits.splitlines() if line.startswith("Max address"))
            print("helper", helper.name, status["Seccomp"], status["NoNewPrivs"], memory)
        print("end", flush=True)
        sys.stdin.read()


def _helpers() -> list[Path]:
    return [
        Path("/proc", pid)
        for task in Path("/proc/self/task").iterdir()
        for pid in (task / "children").read_text().split()
    ]


if __name__ == "__main__":
    main(*sys.argv[1:])
