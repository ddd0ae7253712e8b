"""Read by Python when it starts with this folder on PYTHONPATH: a wall clock that a test sets at any time.

The file that JUMPING_CLOCK names holds by how many seconds it is wrong. Clocks that nobody sets stay right.
"""

import os
import time
from pathlib import Path

_FILE = Path(os.environ["JUMPING_CLOCK"])
_time, _time_ns = time.time, time.time_ns


def _wrong_by() -> float:
    return float(_FILE.read_text() or 0)


def _jumping_time() -> float:
    return _time() + _wrong_by()


def _jumping_time_ns() -> int:
    return _time_ns() + int(_wrong_by() * 1e9)


time.time, time.time_ns = _jumping_time, _jumping_time_ns
