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


@pytest.mark.parametrize("type", ["jfs", "reiserfs", "f2fs", "nilfs2"])
def test_what_only_a_kernel_reads_is_read_by_user_mode_linux(type: str) -> None:
    reason = f"ext2fs: ext2, ext3, ext4, xfs, btrfs are read in process, not {type}"
    assert _chosen(Need(type)) == (Engine.UML_READER, [reason])


@pytest.mark.parametrize(
    ("need", "reasons"),
    [
        (
            Need(""),
            [
                "ext2fs: ext2, ext3, ext4, xfs, btrfs are read in process, not unknown content",
                "uml-reader: it does not read unknown content",
            ],
        ),
        (
            Need("ext4", on_disk=False),
            ["ext2fs: only libguestfs sees it", "uml-reader: only libguestfs sees it"],
        ),
    ],
)
def test_everything_else_goes_to_libguestfs(need: Need, reasons: list[str]) -> None:
    assert _chosen(need) == (Engine.GUESTFS, reasons)


def test_failure_steps_down_with_its_reason() -> None:
    assert _chosen(Need("ext4"), ext2fs="inode 12 is damaged") == (
        Engine.UML_READER,
        ["ext2fs: inode 12 is damaged"],
    )
    assert _chosen(Need("ext4"), ALL, **{"ext2fs": "inode 12 is damaged", "uml-reader": "not mounted"}) == (
        Engine.GUESTFS,
        ["ext2fs: inode 12 is damaged", "uml-reader: not mounted"],
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
    assert _chosen(Need("ext4"), (Engine.GUESTFS,)) == (
        Engine.GUESTFS,
        ["ext2fs: it is switched off", "uml-reader: it is switched off"],
    )


def test_dirty_file_system_is_never_read_as_it_lies() -> None:
    assert _chosen(Need("ext4", dirty=True), (Engine.EXT2FS,)) == (
        None,
        ["uml: it is switched off", "guestfs: it is switched off"],
    )


def test_nothing_left() -> None:
    failed = {"uml-reader": "it is not mounted", "guestfs": "does not mount"}
    assert _chosen(Need("jfs"), ALL, **failed) == (
        None,
        [
            "ext2fs: ext2, ext3, ext4, xfs, btrfs are read in process, not jfs",
            "uml-reader: it is not mounted",
            "guestfs: does not mount",
        ],
    )
