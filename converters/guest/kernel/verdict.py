"""How a guest's containers run on the kernel of their hosts. Pure: facts in, a graded verdict out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from converters.guest.facts import GuestFacts, Role
from converters.guest.kernel.known import Use, need_of, required_sysctls, use_of
from converters.guest.kernel.values import (
    Finding,
    Grade,
    KernelFacts,
    KernelVerdict,
    Scope,
    TargetKernel,
)

_MACHINES = {
    "amd64": ("x86_64",),
    "386": ("x86_64", "i386", "i486", "i586", "i686"),
    "arm64": ("aarch64",),
    "arm": ("aarch64", "armv6l", "armv7l", "armv8l"),
    "ppc64le": ("ppc64le",),
    "s390x": ("s390x",),
    "riscv64": ("riscv64",),
}
"""Machines (``uname -m``) that run programs of an architecture by themselves."""
_GRADES = tuple(Grade)


def judge(guest: GuestFacts, target: TargetKernel) -> KernelVerdict:
    """The verdict; its findings from the worst to the mildest."""
    findings = sorted(_findings(guest, target), key=lambda finding: -_GRADES.index(finding.grade))
    grade = findings[0].grade if findings else Grade.RUNS
    return KernelVerdict(grade, target, tuple(findings))


def _findings(guest: GuestFacts, target: TargetKernel) -> Iterator[Finding]:
    kernel = guest.kernel
    yield from _processor(guest.architecture, kernel, target)
    yield from _libc(kernel, target)
    yield from _modules(kernel)
    yield from _drivers(kernel)
    yield from _sysctls(kernel)
    yield from _services(guest)


def _processor(architecture: str, kernel: KernelFacts, target: TargetKernel) -> Iterator[Finding]:
    machines = _MACHINES.get(architecture)
    if machines is None:
        return
    if target.machine not in machines:
        yield Finding(
            Grade.FAILS,
            "architecture",
            f"the guest's programs are made for {architecture}, the hosts are {target.machine}",
            f"run the containers on hosts of {' or '.join(machines)}",
        )
    elif target.machine == "x86_64" and (architecture == "386" or kernel.mixed):
        whose = "its programs have 32 bits" if architecture == "386" else "it has a 32-bit C library too"
        if target.ia32 is False:
            yield Finding(
                Grade.HOST if architecture == "386" else Grade.NOTES,
                "32-bit programs",
                f"{whose}, and the hosts' kernel refuses such programs",
                "start it with ia32_emulation=1",
            )
        else:
            yield Finding(
                Grade.NOTES,
                "32-bit programs",
                f"{whose}: the hosts' kernel needs CONFIG_IA32_EMULATION, which distributions switch on",
            )
    if kernel.level > 1:
        yield Finding(
            Grade.NOTES,
            "processor",
            f"its C library needs processors of level x86-64-v{kernel.level}",
            "`/lib64/ld-linux-x86-64.so.2 --help` on a host tells which levels it has",
        )


def _libc(kernel: KernelFacts, target: TargetKernel) -> Iterator[Finding]:
    if kernel.minimum and _numbers(target.release) < _numbers(kernel.minimum):
        yield Finding(
            Grade.FAILS,
            "kernel version",
            f"its C library starts on Linux {kernel.minimum} and later, the hosts have {target.release}"
            f" ({target.source})",
            "run the containers on hosts with a newer kernel",
        )
    if kernel.vsyscall:
        yield from _vsyscall(kernel, target)


def _vsyscall(kernel: KernelFacts, target: TargetKernel) -> Iterator[Finding]:
    """Programs that call the page die where it is missing (the kernel's parameter ``vsyscall=``)."""
    needs = f"glibc {kernel.libc_version} calls the vsyscall page"
    if target.machine != "x86_64":
        return
    match target.vsyscall:
        case "emulate" | "xonly":
            yield Finding(
                Grade.NOTES, "vsyscall", f"{needs}, which the hosts' kernel has ({target.vsyscall})"
            )
        case "none":
            yield Finding(
                Grade.HOST,
                "vsyscall",
                f"{needs}, which the hosts' kernel ({target.release}) has not: programs end with SIGSEGV",
                "start the hosts' kernel with vsyscall=emulate",
            )
        case _:
            yield Finding(
                Grade.HOST,
                "vsyscall",
                f"{needs}, and it is not known whether the hosts' kernel has it",
                "look for [vsyscall] in /proc/self/maps of a host, else start its kernel with"
                " vsyscall=emulate; then say so: --target-kernel 'RELEASE vsyscall=emulate'",
            )


def _modules(kernel: KernelFacts) -> Iterator[Finding]:
    for module in kernel.modules:
        loads = f"the guest loads the module {module.name} at boot ({module.source})"
        match use_of(module.name):
            case Use.HOST:
                options = f" {module.options}" if module.options else ""
                yield Finding(
                    Grade.HOST,
                    f"module {module.name}",
                    f"{loads}, and a container loads none",
                    f"if a service uses it, `modprobe {module.name}{options}` on each host",
                )
            case Use.UNKNOWN:
                yield Finding(
                    Grade.NOTES,
                    f"module {module.name}",
                    f"{loads}, and a container loads none",
                    "find out who uses it",
                )
            case Use.MACHINE:
                pass


def _drivers(kernel: KernelFacts) -> Iterator[Finding]:
    for driver in kernel.drivers:
        known = use_of(driver.name)
        if known is not Use.MACHINE:
            yield Finding(
                Grade.HOST if known is Use.HOST else Grade.NOTES,
                f"driver {driver.name}",
                f"the driver {driver.name} was added to the guest's kernel ({driver.source}); it is of no use"
                " to the hosts'",
                "if a service uses it, install it on each host",
            )


def _sysctls(kernel: KernelFacts) -> Iterator[Finding]:
    required = required_sysctls()
    for sysctl in kernel.sysctls:
        sets = f"the guest sets {sysctl.name} = {sysctl.value} ({sysctl.source})"
        match sysctl.scope:
            case Scope.CONTAINER:
                yield Finding(
                    Grade.NOTES,
                    f"sysctl {sysctl.name}",
                    sets,
                    f"`docker run --sysctl {sysctl.name}=…` sets it for a container, as Kubernetes does in"
                    " securityContext.sysctls",
                )
            case Scope.HOST if sysctl.name in required:
                yield Finding(
                    Grade.HOST,
                    f"sysctl {sysctl.name}",
                    f"{sets}, for the whole host: {required[sysctl.name]}",
                    "set it on each host, in sysctl.d",
                )
            case Scope.HOST:
                yield Finding(
                    Grade.NOTES,
                    f"sysctl {sysctl.name}",
                    f"{sets}, for the whole host: containers have the host's value",
                )
            case Scope.NONE:
                pass


def _services(guest: GuestFacts) -> Iterator[Finding]:
    for service in guest.services:
        need = need_of(service.name) if service.role is Role.APPLICATION else None
        if need is None:
            continue
        asks = [
            *_several("the module", need.modules),
            *_several("the device", need.devices),
            *_several("the system call", need.syscalls),
        ]
        yield Finding(
            Grade.HOST,
            f"service {service.name}",
            f"{service.name} {_and(asks)}: {need.reason}" if asks else f"{service.name}: {need.reason}",
            "give its container these, or run it outside of containers",
        )


def _several(what: str, names: tuple[str, ...]) -> Iterator[str]:
    if names:
        plural = "s" if len(names) > 1 else ""
        yield f"{what}{plural} {', '.join(names)}"


def _and(asks: Iterable[str]) -> str:
    return "needs " + " and ".join(asks)


def _numbers(release: str) -> tuple[int, ...]:
    """The numbers that a version begins with: ``5.14.0-503.el9`` gives 5, 14, 0."""
    found = re.match(r"\d+(\.\d+){0,3}", release)
    return tuple(int(part) for part in found[0].split(".")) if found else ()
