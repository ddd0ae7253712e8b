"""Which combinations are tried: some of them always, each file system, state and layout in the long run."""

from __future__ import annotations

import itertools
from itertools import product
from typing import NamedTuple

from tests.matrix.containers import FORMATS
from tests.matrix.layouts import Layout, Table
from tests.matrix.variants import VARIANTS, State

_FORMATS = tuple(FORMATS)
_LAYOUTS = tuple(Layout(table, is_logical) for table in Table for is_logical in (False, True))
_ALWAYS = ("ext2", "ext3", "ext4", "xfs", "xfs-v4", "btrfs")


class Row(NamedTuple):
    """One combination."""

    variant: str
    state: State
    layout: Layout
    format: str

    @property
    def id(self) -> str:
        """Its name among the tests."""
        kind = "lvm" if self.layout.is_logical else "plain"
        return f"{self.variant}-{self.state}-{self.layout.table}-{kind}-{self.format}"


def few() -> list[Row]:
    """Each of six file systems in each state, so that every two values of the other axes meet as well.

    Tables go round by threes and LVM by twos, which have no common divisor.
    """
    tables = tuple(Table)
    return [
        _row(name, state, Layout(tables[(i + j) % 3], bool((i + j) % 2)))
        for (i, name), (j, state) in product(enumerate(_ALWAYS), enumerate(State))
    ]


def rest() -> list[Row]:
    """All other combinations of file system, state and layout."""
    chosen = set(few())
    return [row for row in itertools.starmap(_row, product(VARIANTS, State, _LAYOUTS)) if row not in chosen]


def _row(variant: str, state: State, layout: Layout) -> Row:
    """Formats go round, so that each meets every value of each axis."""
    i, j, k = tuple(VARIANTS).index(variant), tuple(State).index(state), _LAYOUTS.index(layout)
    return Row(variant, state, layout, _FORMATS[(i + j * len(_LAYOUTS) + k) % len(_FORMATS)])
