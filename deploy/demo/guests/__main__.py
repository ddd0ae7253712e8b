"""``python -m deploy.demo.guests [NAME…]``: make guests ahead of time, by default those of the tests."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.demo import guests

MAKERS: Mapping[str, Callable[[], guests.Guest | Path]] = {
    "web": guests.web,
    "db": guests.db,
    "legacy": guests.legacy,
    "bench": guests.bench,
    "stack": guests.stack,
    "office": guests.office,
    "backend": guests.backend,
    "eleven": guests.eleven,
    "thirteen": guests.thirteen,
    "runlevels": guests.runlevels,
    "small": guests.small,
    "windows": guests.windows,
    "garbage": guests.garbage,
}
_TESTED = ("web", "db", "legacy", "small", "windows", "garbage")


def main(names: list[str]) -> int:
    """Make what is named and does not exist yet; gives the exit status."""
    unknown = sorted(set(names) - set(MAKERS))
    if unknown:
        print(f"no guest is called {', '.join(unknown)}; there are {', '.join(MAKERS)}", file=sys.stderr)
        return 64
    for name in names or _TESTED:
        start = time.monotonic()
        made = MAKERS[name]()
        disk = made if isinstance(made, Path) else made.raw
        print(f"{name:9} {time.monotonic() - start:6.1f} s  {disk.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
