"""How a guest's containers run on a kernel."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import date

import pytest

from converters.guest.facts import GuestFacts, Release, Role, Service
from converters.guest.kernel.target import parse_target, this_machine
from converters.guest.kernel.values import (
    Driver,
    Grade,
    KernelFacts,
    KernelModule,
    Scope,
    Sysctl,
    TargetKernel,
)
from converters.guest.kernel.verdict import judge
from converters.plan import MachineFacts, plan_image
from converters.told import with_verdict

TARGET = TargetKernel("6.1.0-13-amd64", "x86_64", "xonly", None, "test")
CENTOS6 = KernelFacts(libc="glibc", libc_version="2.12", minimum="2.6.18", vsyscall=True)


def guest(kernel: KernelFacts, architecture: str = "amd64", *services: Service) -> GuestFacts:
    release = Release("centos", "6.10", "CentOS", "redhat", "x", "", "2020-11-30")
    return GuestFacts(release, architecture, "vm", "sysv", services, kernel=kernel)


def service(name: str, role: Role = Role.APPLICATION) -> Service:
    return Service(name, f"/x/{name}", role, "", ())


@pytest.mark.parametrize(
    ("kernel", "architecture", "target", "grade", "subject"),
    [
        (KernelFacts(libc="glibc", libc_version="2.31", minimum="3.2.0"), "amd64", TARGET, Grade.RUNS, ""),
        (CENTOS6, "amd64", TARGET, Grade.NOTES, "vsyscall"),
        (CENTOS6, "amd64", replace(TARGET, vsyscall="none"), Grade.HOST, "vsyscall"),
        (CENTOS6, "amd64", replace(TARGET, vsyscall=""), Grade.HOST, "vsyscall"),
        (
            KernelFacts(minimum="3.2.0"),
            "amd64",
            replace(TARGET, release="2.6.32-754"),
            Grade.FAILS,
            "kernel version",
        ),
        (KernelFacts(minimum="2.6.32"), "amd64", replace(TARGET, release="2.6.32-754"), Grade.RUNS, ""),
        (KernelFacts(), "arm64", TARGET, Grade.FAILS, "architecture"),
        (KernelFacts(), "386", TARGET, Grade.NOTES, "32-bit programs"),
        (KernelFacts(), "386", replace(TARGET, ia32=False), Grade.HOST, "32-bit programs"),
        (KernelFacts(), "386", replace(TARGET, machine="aarch64"), Grade.FAILS, "architecture"),
        (KernelFacts(mixed=True), "amd64", TARGET, Grade.NOTES, "32-bit programs"),
        (KernelFacts(), "", TARGET, Grade.RUNS, ""),
        (KernelFacts(level=2), "amd64", TARGET, Grade.NOTES, "processor"),
        (KernelFacts(modules=(KernelModule("tun", "x"),)), "amd64", TARGET, Grade.HOST, "module tun"),
        (KernelFacts(modules=(KernelModule("e1000e", "x"),)), "amd64", TARGET, Grade.RUNS, ""),
        (
            KernelFacts(modules=(KernelModule("of_ours", "x"),)),
            "amd64",
            TARGET,
            Grade.NOTES,
            "module of_ours",
        ),
        (KernelFacts(drivers=(Driver("wanpipe", "x"),)), "amd64", TARGET, Grade.HOST, "driver wanpipe"),
        (KernelFacts(drivers=(Driver("vmhgfs", "x"),)), "amd64", TARGET, Grade.RUNS, ""),
        (
            KernelFacts(sysctls=(Sysctl("vm.max_map_count", "262144", "x", Scope.HOST),)),
            "amd64",
            TARGET,
            Grade.HOST,
            "sysctl vm.max_map_count",
        ),
        (
            KernelFacts(sysctls=(Sysctl("vm.swappiness", "1", "x", Scope.HOST),)),
            "amd64",
            TARGET,
            Grade.NOTES,
            "sysctl vm.swappiness",
        ),
        (
            KernelFacts(sysctls=(Sysctl("net.core.somaxconn", "4096", "x", Scope.CONTAINER),)),
            "amd64",
            TARGET,
            Grade.NOTES,
            "sysctl net.core.somaxconn",
        ),
        (
            KernelFacts(sysctls=(Sysctl("kernel.sysrq", "1", "x", Scope.NONE),)),
            "amd64",
            TARGET,
            Grade.RUNS,
            "",
        ),
    ],
)
def test_grades(
    kernel: KernelFacts, architecture: str, target: TargetKernel, grade: Grade, subject: str
) -> None:
    verdict = judge(guest(kernel, architecture), target)
    assert verdict.grade is grade
    assert [finding.subject for finding in verdict.findings] == ([subject] if subject else [])
    assert all(finding.sentence().endswith(".") for finding in verdict.findings)


def test_the_worst_counts_and_comes_first() -> None:
    kernel = replace(CENTOS6, modules=(KernelModule("tun", "/etc/modules"),))
    verdict = judge(guest(kernel, "arm64"), TARGET)
    assert verdict.grade is Grade.FAILS
    assert [finding.grade for finding in verdict.findings] == [Grade.FAILS, Grade.HOST, Grade.NOTES]


def test_services_that_need_the_kernel() -> None:
    found = judge(
        guest(
            KernelFacts(),
            "amd64",
            service("openvpn@office"),
            service("nginx"),
            service("pptpd", Role.PLATFORM),
        ),
        TARGET,
    )
    (finding,) = found.findings
    assert finding.subject == "service openvpn@office"
    assert "module tun and the device /dev/net/tun" in finding.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6.1.0-13-amd64", ("6.1.0-13-amd64", "x86_64", "", None)),
        ("5.14 aarch64", ("5.14", "aarch64", "", None)),
        ("4.18.0 x86_64 vsyscall=none ia32=no", ("4.18.0", "x86_64", "none", False)),
    ],
)
def test_a_kernel_described(text: str, expected: tuple[str, str, str, bool | None]) -> None:
    target = parse_target(text)
    assert (target.release, target.machine, target.vsyscall, target.ia32) == expected


@pytest.mark.parametrize(
    "text", ["", "linux", "6.1 vsyscall=maybe", "6.1 X86", "6.1 ia32=perhaps", "x86_64 6.1"]
)
def test_a_kernel_described_wrongly(text: str) -> None:
    with pytest.raises(ValueError, match="write RELEASE"):
        parse_target(text)


def test_this_machines_kernel() -> None:
    target = this_machine()
    assert target.release == os.uname().release
    assert target.vsyscall in ("emulate", "xonly", "none")


def test_the_plan_tells_the_verdict() -> None:
    facts = guest(CENTOS6)
    plan = plan_image(facts, MachineFacts("old"))
    told = with_verdict(plan, facts, replace(TARGET, vsyscall="none"), date(2026, 11, 25))
    assert told.kernel is not None
    assert told.kernel.grade is Grade.HOST
    notes = "\n".join(told.notes[len(plan.notes) :])
    assert "no general security updates since 2020-11-30" in notes
    assert "Kernel, needs a host setting: glibc 2.12 calls the vsyscall page" in notes
    assert "start the hosts' kernel with vsyscall=emulate" in notes
    assert "Kernel judged for: Linux 6.1.0-13-amd64 on x86_64, vsyscall=none (test;" in notes


def test_a_guest_with_hundreds_of_parameters_does_not_fill_the_report() -> None:
    sysctls = tuple(Sysctl(f"vm.x{number}", "1", "x", Scope.HOST) for number in range(300))
    facts = guest(KernelFacts(sysctls=sysctls))
    told = with_verdict(plan_image(facts, MachineFacts("vm")), facts, TARGET, date(2000, 1, 1))
    assert told.kernel is not None
    assert len(told.kernel.findings) == 300
    assert sum("Kernel" in note for note in told.notes) == 13
    assert "288 more, no worse" in told.notes[-1]
