"""The order of engines, as pure decisions."""

from __future__ import annotations

import pytest

from converters.filesystems.engines import Engine, Need, next_engine

ALL = tuple(Engine)


def _chosen(need: Need, allowed: tuple[Engine, ...] = ALL, **failed: str) -> tuple[Engine | None, list[str]]:
    decision = next_engine(need, allowed, {Engine(name): reason for name, reason in failed.items()})
    return decision.engine, [f"{engine}: {reason}" for engine, reason in decision.passed]


@pytest.mark.parametrize("type", ["ext2", "ext3", "ext4"])
def test_clean_ext_is_read_in_process(type: str) -> None:
    assert _chosen(Need(type)) == (Engine.EXT2FS, [])


@pytest.mark.parametrize(("type", "engine"), [("xfs", Engine.XFS), ("btrfs", Engine.BTRFS)])
def test_others_are_read_in_process(type: str, engine: Engine) -> None:
    assert _chosen(Need(type)) == (engine, [])


@pytest.mark.parametrize("type", ["ext4", "xfs"])
def test_dirty_file_system_is_recovered_first(type: str) -> None:
    assert _chosen(Need(type, dirty=True)) == (Engine.UML, [])


@pytest.mark.parametrize(
    ("need", "reason"),
    [
        (Need("jfs"), "ext2fs: ext2, ext3, ext4, xfs, btrfs are read in process, not jfs"),
        (Need(""), "ext2fs: ext2, ext3, ext4, xfs, btrfs are read in process, not unknown content"),
        (Need("ext4", on_disk=False), "ext2fs: only libguestfs sees it"),
    ],
)
def test_everything_else_goes_to_libguestfs(need: Need, reason: str) -> None:
    assert _chosen(need) == (Engine.GUESTFS, [reason])


def test_failure_steps_down_with_its_reason() -> None:
    assert _chosen(Need("ext4"), ext2fs="inode 12 is damaged") == (
        Engine.GUESTFS,
        ["ext2fs: inode 12 is damaged"],
    )
    assert _chosen(Need("ext4", dirty=True), uml="not installed") == (Engine.GUESTFS, ["uml: not installed"])


def test_engine_switched_off_is_passed_over() -> None:
    assert _chosen(Need("ext4", dirty=True), (Engine.EXT2FS, Engine.GUESTFS)) == (
        Engine.GUESTFS,
        ["uml: it is switched off"],
    )
    assert _chosen(Need("ext4", dirty=True), (Engine.UML, Engine.GUESTFS)) == (
        Engine.GUESTFS,
        ["uml: the reader for what it recovers, ext2fs, is switched off"],
    )
    assert _chosen(Need("xfs", dirty=True), (Engine.EXT2FS, Engine.UML, Engine.GUESTFS)) == (
        Engine.GUESTFS,
        ["uml: the reader for what it recovers, xfs, is switched off"],
    )
    assert _chosen(Need("ext4"), (Engine.GUESTFS,)) == (Engine.GUESTFS, ["ext2fs: it is switched off"])


def test_dirty_file_system_is_never_read_as_it_lies() -> None:
    assert _chosen(Need("ext4", dirty=True), (Engine.EXT2FS,)) == (
        None,
        ["uml: it is switched off", "guestfs: it is switched off"],
    )


def test_nothing_left() -> None:
    assert _chosen(Need("jfs"), guestfs="does not mount") == (
        None,
        ["ext2fs: ext2, ext3, ext4, xfs, btrfs are read in process, not jfs", "guestfs: does not mount"],
    )
