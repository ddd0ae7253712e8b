"""``python -m deploy.demo.guests [NAME…]``: make guests ahead of time, by default those of the tests."""

from __future__ import annotations

import sys
import time

from deploy.demo import guests

MAKERS = {
    "web": guests.web,
    "db": guests.db,
    "legacy": guests.legacy,
    "bench": guests.bench,
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
        guest = MAKERS[name]()
        print(f"{name:8} {time.monotonic() - start:6.1f} s  {guest.raw.parent}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
