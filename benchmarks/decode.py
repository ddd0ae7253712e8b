"""A stream-optimized VMDK to a sparse raw file: the decoder of downloads, and ``qemu-img convert``."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from converters.disks.nfc import StreamDecoder

_CHUNK = 1 << 20
_MEMORY = "/dev/shm"
"""What is written stays there: the disk's speed is not what is compared."""


def product(vmdk: Path) -> float:
    """Seconds."""
    with tempfile.TemporaryFile(dir=_MEMORY) as target, vmdk.open("rb", buffering=0) as source:
        start = time.perf_counter()
        with StreamDecoder(target.fileno()) as decoder:
            while chunk := source.read(_CHUNK):
                decoder.feed(chunk)
            decoder.finish()
        return time.perf_counter() - start


def qemu_img(vmdk: Path) -> float:
    """Seconds."""
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        command = ["qemu-img", "convert", "-f", "vmdk", "-O", "raw", str(vmdk), f"{folder}/raw"]
        start = time.perf_counter()
        subprocess.run(command, check=True, env={**os.environ, "LC_ALL": "C"})
        return time.perf_counter() - start
