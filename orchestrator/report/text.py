"""How figures are written for people."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(count: float) -> str:
    """Bytes with a binary unit and three digits that matter: ``1.46 GiB``."""
    value = float(count)
    for unit in _UNITS[:-1]:
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{_short(value)} {unit}"
        value /= 1024
    return f"{_short(value)} {_UNITS[-1]}"


def rate(bytes_per_second: float) -> str:
    """Bytes per second with a binary unit."""
    return f"{size(bytes_per_second)}/s"


def duration(seconds: float) -> str:
    """Seconds as people say them: ``8.2 s``, ``3 min 05 s``, ``2 h 14 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def plural(count: int, word: str) -> str:
    """A count with its noun: ``1 VM``, ``3 VMs``."""
    return f"{count:,} {noun(count, word)}"


def noun(count: int, word: str) -> str:
    """The noun alone, as a count wants it."""
    return word if count == 1 else f"{word}s"


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
