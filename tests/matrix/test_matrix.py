"""Each row of the matrix: read by the product as the kernel shows it, whatever lies between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from converters.disks import detect
from converters.filesystems.engines import Engine
from converters.filesystems.mounts import open_guest
from converters.reading import Reading
from tests.kernel import needs_root, reader_hashes
from tests.matrix import containers, old_xfs, states
from tests.matrix.rows import Row, few, rest
from tests.matrix.states import Made
from tests.matrix.variants import VARIANTS, State

pytestmark = [pytest.mark.root, needs_root]

ENGINES = tuple(str(engine) for engine in Engine if engine is not Engine.GUESTFS)
"""All but the last: nothing may fall back to it unseen."""
_OLD = {"xfs-v4": "plain", "xfs-v4-512": "small"}
"""Names of the images of XFS's version 4."""


@pytest.fixture(scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """The volume that rows share which differ in where it lies only."""
    name, state = request.param
    folder = tmp_path_factory.mktemp("volume")
    if name in _OLD:
        yield old_xfs.make(_OLD[name], state, folder)
    else:
        yield states.make(VARIANTS[name], state, folder)
    (folder / "volume").unlink()


def rows() -> Iterator[object]:
    """All rows; those of the long run are marked."""
    for row in few():
        yield pytest.param((row.variant, row.state), row, id=row.id)
    for row in rest():
        yield pytest.param((row.variant, row.state), row, id=row.id, marks=pytest.mark.long)


@pytest.mark.parametrize(("made", "row"), [*rows()], indirect=["made"])
def test_equals_the_kernel(made: Made, row: Row, tmp_path: Path) -> None:
    disk = row.layout.place(made.image, tmp_path / "disk.img")
    folder, scratch = tmp_path / "image", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    image = containers.convert(disk, row.format, folder)
    disk.unlink()
    with open_guest([detect(str(image))], scratch, Reading(ENGINES)) as tree:
        (point,) = tree.mounts
        entries = list(tree.walk())
        assert [made.comparable(entry) for entry in entries] == made.entries
        assert reader_hashes(tree, entries) == made.hashes
        assert (point.device, point.recovered) == (row.layout.device, is_recovered(row))
        assert not tree.step_downs
    for file in folder.iterdir():
        file.unlink()


def is_recovered(row: Row) -> bool:
    """Whether a journal has to be replayed."""
    return row.state in VARIANTS[row.variant].is_recovered


def test_every_two_values_meet() -> None:
    """Always: file systems, states, tables, LVM. In the long run also each with each disk format."""
    always = [(row.variant, row.state, row.layout.table, row.layout.is_logical) for row in few()]
    assert_pairs(always)
    everything = [(row.variant, row.state, row.layout, row.format) for row in (*few(), *rest())]
    assert_pairs(everything)
    assert len({row.format for row in few()}) >= len(containers.FORMATS) - 2
    assert len(everything) == len(VARIANTS) * len(State) * 6


def assert_pairs(rows: Sequence[tuple[object, ...]]) -> None:
    width = len(rows[0])
    for first in range(width):
        for second in range(first + 1, width):
            values = [{row[column] for row in rows} for column in (first, second)]
            met = {(row[first], row[second]) for row in rows}
            assert len(met) == len(values[0]) * len(values[1]), (first, second)
