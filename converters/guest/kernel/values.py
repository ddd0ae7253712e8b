"""Kernels as values: what a guest has and needs, which kernel its containers get, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Scope(StrEnum):
    """Where a sysctl takes effect that a container is given (sysctl(8), namespaces(7))."""

    CONTAINER = "container"
    """In its own namespace: the engine can set it for one container."""
    HOST = "host"
    """For the whole host: only its administrator sets it."""
    NONE = "none"
    """It is about the machine, which a container has not."""


@dataclass(frozen=True, slots=True)
class Sysctl:
    """A kernel parameter that the guest sets at boot (sysctl.d(5))."""

    name: str
    """With dots: ``net.ipv4.ip_forward``."""
    value: str
    source: str
    """The file that says so."""
    scope: Scope


@dataclass(frozen=True, slots=True)
class KernelModule:
    """A module that the guest loads at boot because its configuration says so."""

    name: str
    """With underscores."""
    source: str
    options: str = ""
    """As modprobe.d(5) has them."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A module that did not come with the guest's kernel."""

    name: str
    source: str
    """The file, or the folder of dkms(8)."""


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """What the guest's files say of its kernel and of what its programs ask of one."""

    installed: tuple[str, ...] = ()
    """Releases as ``uname -r`` has them."""
    libc: str = ""
    """``glibc``, ``musl``, or empty where none is known."""
    libc_version: str = ""
    """Of glibc: ``2.36``."""
    minimum: str = ""
    """The oldest kernel that glibc starts on, by its ELF note (``.note.ABI-tag``)."""
    level: int = 0
    """x86-64 level (psABI: v2, v3…) that glibc was built for; 0: every processor of its architecture."""
    vsyscall: bool = False
    """Whether its programs call the vsyscall page: glibc before 2.14 on x86-64."""
    mixed: bool = False
    """Whether a 64-bit guest has a 32-bit C library too."""
    modules: tuple[KernelModule, ...] = ()
    sysctls: tuple[Sysctl, ...] = ()
    drivers: tuple[Driver, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetKernel:
    """The kernel of the hosts that will run the containers."""

    release: str
    """As ``uname -r``."""
    machine: str = "x86_64"
    """As ``uname -m``."""
    vsyscall: str = ""
    """``emulate``, ``xonly`` or ``none``; empty where nobody said."""
    ia32: bool | None = None
    """Whether a 64-bit kernel runs 32-bit programs; None: nobody said."""
    source: str = ""
    """Who says so."""


class Grade(StrEnum):
    """How well something runs on a kernel, best first."""

    RUNS = "runs"
    NOTES = "runs with notes"
    HOST = "needs a host setting"
    FAILS = "will not run"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing between a guest and a kernel."""

    grade: Grade
    subject: str
    """``vsyscall``, ``module tun``, ``sysctl vm.max_map_count``…"""
    reason: str
    remedy: str = ""
    """What to do."""

    def sentence(self) -> str:
        """For a person."""
        remedy = f": {self.remedy}" if self.remedy else ""
        return f"Kernel, {self.grade}: {self.reason}{remedy}."


@dataclass(frozen=True, slots=True)
class KernelVerdict:
    """How a guest's containers run on the hosts' kernel."""

    grade: Grade
    """The worst of the findings."""
    target: TargetKernel
    findings: tuple[Finding, ...] = field(default=())
