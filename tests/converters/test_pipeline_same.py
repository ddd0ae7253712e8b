"""The same guest gives the same bytes: converted again, with other threads, from other disk formats."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from converters.request import Converted
from deploy.demo import guests
from deploy.demo.registry import Registry
from tests.converters.conversions import request, run

PAYLOAD = 24 << 20
"""Some blocks of the compressor's, so that several threads have work."""


def identity(converted: Converted) -> tuple[object, ...]:
    return converted.diff_ids, converted.layers, converted.config, converted.digest


def test_again_and_with_one_thread(server: Registry, scratch: Path) -> None:
    disk = guests.small("same", PAYLOAD).raw
    first = run(request(server, "same", disk), scratch)
    assert identity(run(request(server, "same", disk), scratch)) == identity(first)
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        assert identity(run(request(server, "same", disk), scratch)) == identity(first)
    finally:
        os.sched_setaffinity(0, processors)


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("qcow2", ""),
        ("qcow2", "cluster_size=4k"),
        ("vmdk", "subformat=streamOptimized"),
        ("vmdk", "subformat=monolithicSparse"),
        ("vdi", ""),
        ("vpc", ""),
        ("vhdx", ""),
    ],
)
def test_from_another_format(
    format: str, options: str, server: Registry, scratch: Path, tmp_path: Path
) -> None:
    raw = guests.small("same", PAYLOAD).raw
    disk = tmp_path / "disk"
    extra = ["-o", options] if options else []
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", format, *extra, raw, disk], check=True)
    wanted = identity(run(request(server, "same", raw), scratch))
    far = scratch / ("a-path-longer-than-a-socket-may-have-" * 3)
    far.mkdir()
    assert identity(run(request(server, "same", disk), far)) == wanted


@pytest.mark.root
def test_a_journal_is_replayed_alike_from_another_format(
    server: Registry, scratch: Path, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("the dirty guest is made with a mount, which needs root")
    raw, disk = guests.busy().raw, tmp_path / "busy.qcow2"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, disk], check=True)
    wanted = identity(run(request(server, "busy", raw), scratch))
    converted = run(request(server, "busy", disk), scratch)
    assert all(mount.recovered for mount in converted.inspection.mounts)
    assert identity(converted) == wanted
