"""XFS of version 4, which kernels of today do not mount: Linux 6.1 does, as a process (user-mode Linux).

It is filled in an appliance with a tree that an ext4 holds too; what the kernel shows of the ext4, on which
the same words were run, is what must be found.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from converters.filesystems.base import Kind
from converters.filesystems.initrd import ATTACH, recovery_initrd
from tests.converters.filesystems.xfs_old import SOURCE, old_images
from tests.kernel import kernel_entries, kernel_hashes, mounted
from tests.matrix.states import CHANGES, SETUP, Made, copy, run
from tests.matrix.variants import State

_KERNEL = "/usr/bin/linux.uml"
_DONE = "done"
_UNMOUNT = {
    State.CLEAN: "cd / && umount /mnt",
    State.DIRTY: "true",
    State.FROZEN: "fsfreeze --freeze /mnt",
}


def make(name: str, state: State, folder: Path) -> Made:
    """The volume ``name`` of ``old_images`` in the empty ``folder``, left in ``state``; needs root."""
    images = old_images()
    volume, source = copy(images / name, folder / "volume"), copy(images / SOURCE, folder / "source")
    words = SETUP if state is State.CLEAN else SETUP + "sync\n" + CHANGES
    _run_in_old_kernel(volume, words, _UNMOUNT[state])
    with mounted(source, "ext4", options="rw") as root:
        run(words, root)
    with mounted(source, "ext4") as root:
        entries, hashes = kernel_entries(root), kernel_hashes(root)
    source.unlink()
    made = Made(volume, [], hashes, by_number=False)
    found = [made.comparable(entry) for entry in entries if entry.kind is not Kind.SOCKET]
    return Made(volume, found, hashes, by_number=False)


def _run_in_old_kernel(volume: Path, words: str, end: str) -> None:
    """Run a shell's words in the root of ``volume``, then ``end``; the machine is switched off at once."""
    script = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
{ATTACH} &&
mount -t xfs -o noatime /dev/loop0 /mnt && (
set -eu
cd /mnt
{words}
cd / && {end} && echo {_DONE}
poweroff -f -n
)
poweroff -f -n
"""
    with tempfile.TemporaryDirectory(prefix="old-kernel-") as work:
        (Path(work) / "initrd").write_bytes(recovery_initrd(Path(_KERNEL), script))
        machine = [_KERNEL, "mem=256M", f"ubda={volume}", "initrd=initrd", "rdinit=/init", "uml_dir=."]
        settings = ["con=null", "con0=null,fd:1", "loglevel=3", "panic=-1", "noreboot", "recovery_start=0"]
        done = subprocess.run([*machine, *settings], cwd=work, capture_output=True, text=True, timeout=120)
    assert _DONE in done.stdout.splitlines(), done.stdout
