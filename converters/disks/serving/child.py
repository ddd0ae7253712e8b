"""The process that serves one disk until its parent ends it."""

from __future__ import annotations

import pickle
import sys
from contextlib import closing

from converters.disks.base import DiskSource
from converters.disks.open import open_disk
from converters.disks.serving.server import READY, Server
from converters.errors import ConvertError


def main(path: str) -> int:
    """Serve the disk, whose pickled source is on standard input, at the socket ``path``; the exit status."""
    # The one pickle comes from the parent, which is trusted.
    source: DiskSource = pickle.load(sys.stdin.buffer)
    try:
        disk = open_disk(source)
    except ConvertError as error:
        print(error, file=sys.stderr)
        return 1
    with closing(disk), Server(path, disk) as server:
        sys.stdout.buffer.write(READY)
        sys.stdout.buffer.flush()
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
