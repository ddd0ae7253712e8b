"""``python -m deploy.demo.prepare``: make ahead of time what the tests use and what takes minutes once.

So it is seen while it happens, and does not count against a test's time-out.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping

from converters.errors import ConvertError
from deploy.demo import golang, guests
from deploy.demo.helm import helm

MAKERS: Mapping[str, Callable[[], object]] = {
    "vCenter simulator": lambda: golang.program(".", "simulator"),
    "Helm": helm,
    "guest web": guests.web,
    "guest db": guests.db,
    "guest legacy": guests.legacy,
    "guest small": guests.small,
    "guest stack": guests.stack,
    "guest office": guests.office,
    "guest windows": guests.windows,
    "guest garbage": guests.garbage,
}


def main() -> int:
    """Make what does not exist yet; gives the exit status."""
    makers = {**MAKERS, **({"guest busy": guests.busy} if os.geteuid() == 0 else {})}
    for name, make in makers.items():
        print(f"    {name:20}", end="", flush=True)
        start = time.monotonic()
        try:
            make()
        except ConvertError as error:
            # The tests that need it say so, each in its own words; the others can run.
            print(f"not made: {error}")
        else:
            print(f"{time.monotonic() - start:6.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
