"""Every kind of source is read by a process that can reach nothing else, and so are its helpers."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import subprocess
import sys
import time
from pathlib import Path

from converters.disks import DiskSource, FilePart, ImageFile, PackedDisk, detect

from . import deltas
from .deltas import MIB, descriptor
from .images import make


def _sources(raw: Path, folder: Path) -> list[DiskSource]:
    """One of each kind that needs more than one file, a file in memory, or a helper."""
    data = raw.read_bytes()
    pieces = folder.with_name("pieces")
    for number in range(3):
        (pieces / f"split.{number:03d}").write_bytes(data[number * 8 * MIB : (number + 1) * 8 * MIB])
        (folder / f"chunk.{number:09d}").write_bytes(data[number * 8 * MIB : (number + 1) * 8 * MIB])
    (folder / "disk.gz").write_bytes(gzip.compress(data, 1))
    (folder / "flat").write_bytes(data)
    (folder / "base.vmdk").write_text(descriptor('RW 49152 FLAT "flat" 0', cid="aaaaaaaa"))
    (folder / "delta").write_bytes(deltas.cowd(len(data), {}))
    clone = folder / "clone"
    clone.mkdir()
    (clone / "delta").write_bytes(deltas.cowd(len(data), {}))
    leaf = descriptor('RW 49152 VMFSSPARSE "delta"', parent=("aaaaaaaa", "../base.vmdk"))
    (clone / "leaf.vmdk").write_text(leaf)
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "flat", "overlay.qcow2"]
    subprocess.run(command, check=True, cwd=folder)
    sparse = make("vmdk", "twoGbMaxExtentSparse", raw, folder / "sparse.vmdk")
    return [
        detect(str(pieces / "split.000")),
        detect(str(folder / "chunk.000000000")),
        PackedDisk((FilePart(str(folder / "disk.gz")),), len(data)),
        ImageFile(str(clone / "leaf.vmdk"), "vmdk", within=str(folder)),
        detect(str(sparse)),
        detect(str(make("vpc", "", raw, folder / "disk.vhd"))),
        detect(str(folder / "overlay.qcow2")),
    ]


def _vhdx_with_a_log(folder: Path) -> Path:
    """A VHDX with nothing in it, whose log has a write that is nowhere else."""
    path = folder / "disk.vhdx"
    subprocess.run(["qemu-img", "create", "-q", "-f", "vhdx", str(path), "16M"], check=True)
    failing = [{"event": "none", "iotype": "write", "sector": n, "errno": 5} for n in range(4096, 4104)]
    file = {"driver": "file", "filename": str(path)}
    node = {"driver": "vhdx", "file": {"driver": "blkdebug", "inject-error": failing, "image": file}}
    command = ["qemu-io", "-c", "write -P 0x41 0 1M", "-c", "abort", "json:" + json.dumps(node)]
    subprocess.run(command, check=False, capture_output=True)
    return path


def test_confined_to_the_disks(raw_image: Path, tmp_path: Path) -> None:
    images, scratch = tmp_path / "images", tmp_path / "scratch"
    for folder in (images, scratch, tmp_path / "pieces"):
        folder.mkdir()
    sources = _sources(raw_image, images)
    log = _vhdx_with_a_log(images)
    assigned = [*sources, detect(str(log))]
    (scratch / "sources").write_bytes(pickle.dumps(assigned))
    command = [
        sys.executable,
        "-m",
        "tests.converters.disks.confined",
        str(scratch),
        str(scratch / "sources"),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        said = []
        for line in reader.stdout:
            if line == "end\n":
                break
            said.append(line.strip())
        disks, helpers = said[: len(assigned)], [line.split()[1:] for line in said[len(assigned) :]]
        expected = hashlib.md5(raw_image.read_bytes()).hexdigest()
        replayed = hashlib.md5(b"A" * MIB + bytes(15 * MIB)).hexdigest()
        assert disks == [expected] * len(sources) + [replayed]
        # A filter on system calls, no new privileges, two GiB.
        assert [helper[1:] for helper in helpers] == [["2", "1", str(2 << 30)]] * 2
        reader.kill()
        reader.wait()
    deadline = time.monotonic() + 10
    while any(Path("/proc", pid).exists() for pid, *_ in helpers):
        assert time.monotonic() < deadline, "helpers outlive their reader"
        time.sleep(0.05)
