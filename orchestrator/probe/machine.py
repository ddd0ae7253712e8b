"""What a worker's machine has to read disks with: engines, QEMU's block layer, KVM, memory."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import platform
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from converters import process
from converters.errors import ConvertError, UnsupportedError
from converters.filesystems import available
from converters.filesystems.engines import Engine
from orchestrator.errors import OrchestratorError
from orchestrator.report import text
from orchestrator.vsphere.values import CheckResult

_KVM = Path("/dev/kvm")
_KVM_CREATE_VM = 0xAE01
"""linux/kvm.h. The device may be there where nothing runs on it."""
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Of cgroup version 2 and 1, as a container sees its own."""
_LOST_WITHOUT = {
    Engine.EXT2FS: "ext2, ext3 and ext4 are then read by libguestfs, many times slower",
    Engine.XFS: "XFS is then read by libguestfs, many times slower",
    Engine.BTRFS: "btrfs is then read by libguestfs, many times slower",
    Engine.UML: "file systems that are not clean are then read by libguestfs, many times slower",
    Engine.GUESTFS: "what only libguestfs reads (thin volumes and others) fails then",
}


@dataclass(frozen=True, slots=True)
class Memory:
    """What a worker's machine, or the container it is in, may use."""

    place: str
    """The same for workers that share it."""
    total: int
    """Bytes."""


def memory() -> Memory:
    """The machine's memory, or the container's share of it."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = (limit for file in _CGROUP_LIMITS if (limit := _limit(file)))
    return Memory(platform.node(), min(total, *limits, total))


def _limit(file: Path) -> int:
    """Bytes that a control group allows; 0: it sets no limit, or is not there."""
    try:
        said = file.read_text().strip()
    except OSError:
        return 0
    return int(said) if said.isdigit() else 0


def engines(allowed: Collection[str], folder: Path, thorough: bool) -> Iterator[CheckResult]:
    """Which engines work, one line each, and a line that blocks when none does.

    Args:
        folder: for temporary files.
        thorough: start user-mode Linux, too, and look for QEMU and KVM: seconds instead of milliseconds.
    """
    wanted = [engine for engine in Engine if engine in allowed and (thorough or engine is not Engine.UML)]
    results = [_tried(engine, folder) for engine in wanted]
    if not any(result.ok for result in results):
        yield CheckResult("engines", False, "no engine works: no disk can be read", _remedies(results))
    yield from results
    if thorough:
        yield attempt("disk formats", _qemu, "disks that are neither raw nor exported fail then")
        if Engine.GUESTFS in allowed:
            yield CheckResult("KVM", True, _kvm())


def appliance(folder: Path) -> CheckResult:
    """Whether libguestfs' appliance starts, and how long that takes; ``folder`` is for temporary files."""

    def start() -> str:
        began = time.monotonic()
        available.start_appliance(folder)
        return f"starts in {text.duration(time.monotonic() - began)}"

    return attempt("libguestfs' appliance", start, _LOST_WITHOUT[Engine.GUESTFS])


def attempt(name: str, try_it: Callable[[], str], otherwise: str = "") -> CheckResult:
    """What came of an attempt: the details it gives, or the error it raises.

    ``otherwise`` says what a run without it comes to; empty: a run does not begin.
    """
    try:
        return CheckResult(name, True, try_it())
    except (ConvertError, OrchestratorError) as error:
        detail = f"{error.message}; {otherwise}" if otherwise else error.message
        return CheckResult(name, False, detail, error.hint, blocks=not otherwise)


def _tried(engine: Engine, folder: Path) -> CheckResult:
    return attempt(f"engine {engine}", partial(_works, engine, folder), _LOST_WITHOUT[engine])


def _works(engine: Engine, folder: Path) -> str:
    available.require(engine, folder)
    return "works"


def _remedies(results: Collection[CheckResult]) -> str:
    return "; ".join(dict.fromkeys(result.remedy for result in results)) or "allow more --engines"


def _qemu() -> str:
    """QEMU's block layer reads what is neither raw nor a download."""
    if importlib.util.find_spec("nbd") is None:
        raise UnsupportedError("Python's module nbd is not installed", "install Debian's python3-libnbd")
    said = process.run(["qemu-nbd", "--version"]).stdout.decode(errors="replace")
    return said.partition("\n")[0]


def _kvm() -> str:
    """Not needed; libguestfs' appliance starts faster with it."""
    try:
        device = os.open(_KVM, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.close(fcntl.ioctl(device, _KVM_CREATE_VM, 0))
        finally:
            os.close(device)
    except OSError as error:
        return f"cannot be used ({error.strerror}): where libguestfs is needed, it takes ten seconds more"
    return "can be used"
