"""The kernel of the hosts that will run the containers: as a person describes it, or this machine's."""

from __future__ import annotations

import os
import re
from pathlib import Path

from converters.guest.kernel.values import TargetKernel

FORM = "RELEASE [MACHINE] [vsyscall=emulate|xonly|none] [ia32=yes|no], as `6.1.0 x86_64 vsyscall=emulate`"

_RELEASE = re.compile(r"\d{1,3}\.\d{1,4}[\w.+~-]{0,100}")
_MACHINE = re.compile(r"[a-z0-9_]{3,20}")
_VSYSCALL = re.compile(r"\S+ (\S{4}) .*\[vsyscall\]")
_MODES = ("emulate", "xonly", "none")
_IA32_OFF = re.compile(r"\bia32_emulation=(0|off|false|n)\b")


def parse_target(text: str) -> TargetKernel:
    """The kernel that a person describes: ``FORM``.

    Raises:
        ValueError: it has another form.
    """
    release, *words = text.split() or [""]
    machine, vsyscall, ia32 = "x86_64", "", None
    for word in words:
        name, equals, value = word.partition("=")
        if not equals and _MACHINE.fullmatch(word):
            machine = word
        elif name == "vsyscall" and value in _MODES:
            vsyscall = value
        elif name == "ia32" and value in ("yes", "no"):
            ia32 = value == "yes"
        else:
            raise ValueError(f"{word!r} is not understood in {text!r}: write {FORM}")
    if not _RELEASE.fullmatch(release):
        raise ValueError(f"{text!r} is no kernel: write {FORM}")
    return TargetKernel(release, machine, vsyscall, ia32, "--target-kernel")


def this_machine() -> TargetKernel:
    """The kernel that this process runs on: of a container, its host's."""
    kernel = os.uname()
    return TargetKernel(
        kernel.release,
        kernel.machine,
        _own_vsyscall(),
        _own_ia32(kernel.machine),
        "the machine that converts",
    )


def _own_vsyscall() -> str:
    """As the kernel maps the page into every process (the kernel's parameter ``vsyscall=``)."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    page = next((found[1] for line in maps.splitlines() if (found := _VSYSCALL.match(line))), "")
    return "none" if not page else "emulate" if page.startswith("r") else "xonly"


def _own_ia32(machine: str) -> bool | None:
    if machine != "x86_64":
        return None
    try:
        parameters = Path("/proc/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return False if _IA32_OFF.search(parameters) else None
