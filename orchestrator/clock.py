"""The time of a run: right when the process begins, and from then on never set forward or back."""

from __future__ import annotations

import time

# Nobody can set this clock, and unlike CLOCK_MONOTONIC it counts on through a suspension (clock_gettime(2)).
_BEGAN = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def now() -> float:
    """Seconds since 1970-01-01 UTC, by the wall clock as it was when this process began.

    Differences between two of these are durations, even when somebody sets the clock in between. Clocks of
    other processes and machines are not to be compared with it.
    """
    return _BEGAN + time.clock_gettime(time.CLOCK_BOOTTIME)
