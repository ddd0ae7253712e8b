"""Units of quantities in an OVF: DSP0004's programmatic units (annex C), and older spellings of bytes."""

from __future__ import annotations

import re
from fractions import Fraction

from converters.errors import DescriptorError

_FACTOR = re.compile(r"([*/])\s*(\d{1,9})(?:\s*\^\s*([+-]?\d{1,3}))?\s*")
_BASE = re.compile(r"\s*([A-Za-z]+)\s*")
_BYTES = {
    "byte": 1,
    "bytes": 1,
    "b": 1,
    **{
        name: 1 << shift
        for shift, names in (
            (10, ("kilobyte", "kilobytes", "kibibyte", "kibibytes", "kb", "kib")),
            (20, ("megabyte", "megabytes", "mebibyte", "mebibytes", "mb", "mib")),
            (30, ("gigabyte", "gigabytes", "gibibyte", "gibibytes", "gb", "gib")),
            (40, ("terabyte", "terabytes", "tebibyte", "tebibytes", "tb", "tib")),
        )
        for name in names
    },
}
"""OVF 1.0 wrote ``MegaBytes`` for 2^20, and VMware and VirtualBox still read it so."""
_HERTZ = {"hertz": 1, "hz": 1, "megahertz": 10**6, "mhz": 10**6, "gigahertz": 10**9, "ghz": 10**9}
_MOST_FACTORS = 8
_LARGEST = 1 << 80


def byte_count(quantity: str, unit: str | None) -> int:
    """A capacity in bytes; without a unit it is in bytes (DSP0243, ``capacityAllocationUnits``).

    Raises:
        DescriptorError: an unknown unit, or no whole number of bytes.
    """
    return _count(quantity, unit, _BYTES, "byte")


def megahertz(quantity: str, unit: str | None) -> int:
    """A CPU reservation or limit in MHz, rounded down; without a unit it is in MHz, as VMware writes it."""
    return _count(quantity, unit, _HERTZ, "hertz * 10^6") // 10**6


def _count(quantity: str, unit: str | None, bases: dict[str, int], default: str) -> int:
    quantity = quantity.strip()
    if not (quantity.isascii() and quantity.isdecimal() and len(quantity) < 25):
        raise DescriptorError(f"{quantity!r} is no number", "export the machine again")
    value = int(quantity) * _scale(unit if unit and unit.strip() else default, bases)
    if value.denominator != 1 or value > _LARGEST:
        raise DescriptorError(f"{quantity} times {unit!r} is no size", "export the machine again")
    return int(value)


def _scale(unit: str, bases: dict[str, int]) -> Fraction:
    base = _BASE.match(unit)
    if base is None or base[1].lower() not in bases:
        raise _unknown(unit)
    scale, position = Fraction(bases[base[1].lower()]), base.end()
    for _ in range(_MOST_FACTORS):
        if position == len(unit):
            return scale
        found = _FACTOR.match(unit, position)
        if found is None:
            raise _unknown(unit)
        factor = Fraction(int(found[2])) ** int(found[3] or 1) if int(found[2]) else Fraction(0)
        if not 0 < factor <= _LARGEST or factor.denominator > _LARGEST:
            raise _unknown(unit)
        scale = scale * factor if found[1] == "*" else scale / factor
        position = found.end()
    raise _unknown(unit)


def _unknown(unit: str) -> DescriptorError:
    return DescriptorError(f"the unit {unit!r} is not known", "write it as in `byte * 2^20`")
