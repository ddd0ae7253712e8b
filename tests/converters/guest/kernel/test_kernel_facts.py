"""What a guest's files say of its kernel."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.guest.kernel.elf import AbiNotes, abi_notes
from converters.guest.kernel.facts import read_kernel_facts
from converters.guest.kernel.modules import added_drivers, configured_modules
from converters.guest.kernel.sysctls import read_sysctls, scope
from converters.guest.kernel.values import Scope
from tests.converters.guest.conftest import Plant


def elf(*notes: tuple[bytes, int, bytes], wide: bool = True, order: str = "<", alignment: int = 4) -> bytes:
    """A file with one note segment."""
    segment = b""
    for owner, kind, content in notes:
        segment += struct.pack(order + "3I", len(owner), len(content), kind) + owner
        segment += b"\0" * (-len(segment) % alignment) + content
        segment += b"\0" * (-len(segment) % alignment)
    identity = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]) + bytes(9)
    if wide:
        head = identity + struct.pack(order + "HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
        size = len(segment)
        return head + struct.pack(order + "IIQQQQQQ", 4, 4, 120, 0, 0, size, size, alignment) + segment
    head = identity + struct.pack(order + "HHIIIIIHHHHHH", 3, 3, 1, 0, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    size = len(segment)
    return head + struct.pack(order + "8I", 4, 84, 0, 0, size, size, 4, alignment) + segment


def tag(*version: int, order: str = "<") -> tuple[bytes, int, bytes]:
    return b"GNU\0", 1, struct.pack(order + "4I", 0, *version)


def level(bits: int) -> tuple[bytes, int, bytes]:
    return b"GNU\0", 5, struct.pack("<3I", 0xC0008002, 4, bits) + bytes(4)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (elf(tag(3, 2, 0)), AbiNotes("3.2.0")),
        (elf(tag(2, 6, 9), wide=False), AbiNotes("2.6.9")),
        (elf(tag(2, 6, 32, order=">"), order=">"), AbiNotes("2.6.32")),
        (elf((b"Xen\0", 1, bytes(16)), tag(3, 2, 0)), AbiNotes("3.2.0")),
        (elf((b"GNU\0", 1, struct.pack("<4I", 2, 3, 2, 0))), AbiNotes()),
        (elf(level(0b11), alignment=8), AbiNotes("", 2)),
        (elf(level(0b1), alignment=8), AbiNotes()),
        (elf((b"GNU\0", 1, b"short")), AbiNotes()),
        (b"\x7fELF", AbiNotes()),
        (b"#!/bin/sh\n", AbiNotes()),
        (b"", AbiNotes()),
    ],
)
def test_notes(content: bytes, expected: AbiNotes) -> None:
    assert abi_notes(content) == expected


@given(st.binary(max_size=400), st.integers(0, 200))
def test_any_bytes_are_read(noise: bytes, at: int) -> None:
    whole = elf(tag(3, 2, 0), level(3))
    abi_notes(whole[:at] + noise + whole[at + len(noise) :])


def test_this_machines_own_library(plant: Plant, tmp_path: Path) -> None:
    real = Path("/lib/x86_64-linux-gnu/libc.so.6")
    if not real.exists():
        pytest.skip("no glibc of Debian for x86-64 here")
    files = plant({"/boot/vmlinuz-6.1.0-13-amd64": ""})
    target = tmp_path / "lib/x86_64-linux-gnu/libc.so.6"
    target.parent.mkdir(parents=True)
    target.write_bytes(real.read_bytes())
    facts = read_kernel_facts(files, "amd64")
    assert facts.libc == "glibc"
    assert facts.installed == ("6.1.0-13-amd64",)
    assert facts.minimum.startswith("3.")
    assert tuple(map(int, facts.libc_version.split("."))) >= (2, 31)
    assert not facts.vsyscall


@pytest.mark.parametrize(
    ("version", "architecture", "vsyscall"),
    [("2.5", "amd64", True), ("2.12", "amd64", True), ("2.14", "amd64", False), ("2.12", "386", False)],
)
def test_who_calls_the_vsyscall_page(
    plant: Plant, tmp_path: Path, version: str, architecture: str, vsyscall: bool
) -> None:
    files = plant({"/lib64/libc.so.6": f"-> libc-{version}.so", "/lib/ld-linux.so.2": "x"})
    text = f"GNU C Library stable release version {version}, by Roland McGrath et al.\n".encode()
    (tmp_path / f"lib64/libc-{version}.so").write_bytes(elf(tag(2, 6, 18)) + text)
    facts = read_kernel_facts(files, architecture)
    assert (facts.libc_version, facts.minimum, facts.vsyscall) == (version, "2.6.18", vsyscall)
    assert facts.mixed is (architecture == "amd64")


def test_musl_and_nothing(plant: Plant) -> None:
    assert read_kernel_facts(plant({}), "amd64").libc == ""
    assert read_kernel_facts(plant({"/lib/ld-musl-x86_64.so.1": "x"}), "amd64").libc == "musl"


def test_kernels(plant: Plant) -> None:
    files = plant(
        {
            "/boot/vmlinuz-2.6.32-754.el6.x86_64": "",
            "/boot/vmlinuz-0-rescue-abcdef": "",
            "/boot/config-2.6.32-754.el6.x86_64": "",
            "/boot/grub/vmlinuz-9.9": "",
            "/lib/modules/5.1.2/kernel/x.ko": "",
        }
    )
    assert read_kernel_facts(files, "amd64").installed == ("2.6.32-754.el6.x86_64",)


def test_kernels_of_a_guest_without_boot(plant: Plant) -> None:
    files = plant({"/lib/modules/5.1.2-generic/kernel/x.ko": "", "/lib/modules/README": ""})
    assert read_kernel_facts(files, "amd64").installed == ("5.1.2-generic",)


def test_modules_of_every_distributions_place(plant: Plant) -> None:
    files = plant(
        {
            "/etc/modules": "# comment\nloop max_loop=64\n\n",
            "/etc/modules-load.d/vpn.conf": "; comment\ntun\nip-vs\n",
            "/usr/lib/modules-load.d/vpn.conf": "hidden\n",
            "/usr/lib/modules-load.d/fuse.conf": "fuse\n",
            "/etc/sysconfig/modules/bond.modules": "#!/bin/sh\nexec /sbin/modprobe -q sctp >/dev/null 2>&1\n",
            "/etc/sysconfig/kernel": 'MODULES_LOADED_ON_BOOT="br_netfilter ../odd"\n',
            "/etc/modprobe.d/ip.conf": "options ip_vs conn_tab_bits=15\nblacklist floppy\n",
        }
    )
    found = {module.name: module for module in configured_modules(files)}
    assert list(found) == ["loop", "fuse", "tun", "ip_vs", "sctp", "br_netfilter"]
    assert found["ip_vs"].options == "conn_tab_bits=15"
    assert found["sctp"].source == "/etc/sysconfig/modules/bond.modules"


def test_drivers_that_others_brought(plant: Plant) -> None:
    files = plant(
        {
            "/var/lib/dkms/zfs/2.1.11/source/x.c": "",
            "/lib/modules/6.1/kernel/fs/ext4.ko": "",
            "/lib/modules/6.1/updates/dkms/zfs.ko": "",
            "/lib/modules/6.1/extra/vendor-x/wanpipe.ko.xz": "",
            "/lib/modules/6.1/weak-updates/notes.txt": "",
        }
    )
    found = added_drivers(files, ("6.1",))
    assert [(driver.name, driver.source) for driver in found] == [
        ("zfs", "/var/lib/dkms/zfs/2.1.11"),
        ("wanpipe", "/lib/modules/6.1/extra/vendor-x/wanpipe.ko.xz"),
    ]


def test_sysctls(plant: Plant) -> None:
    files = plant(
        {
            "/usr/lib/sysctl.d/50-default.conf": "kernel.sysrq = 16\n",
            "/usr/lib/sysctl.d/elasticsearch.conf": "vm.max_map_count=262144\n",
            "/usr/lib/sysctl.d/60-app.conf": "net.core.somaxconn = 1\n",
            "/etc/sysctl.d/60-app.conf": "# x\n-net.core.somaxconn=4096\nnet/ipv4/conf/eth0.5/forwarding=1\n",
            "/etc/sysctl.d/99-sysctl.conf": "-> ../sysctl.conf",
            "/etc/sysctl.conf": "kernel.shmmax = 68719476736\nkernel.sem =  250\t32000 100 128\nodd\n= 1\n",
        }
    )
    found = {sysctl.name: (sysctl.value, sysctl.scope) for sysctl in read_sysctls(files)}
    assert found == {
        "vm.max_map_count": ("262144", Scope.HOST),
        "net.core.somaxconn": ("4096", Scope.CONTAINER),
        "net.ipv4.conf.eth0/5.forwarding": ("1", Scope.CONTAINER),
        "kernel.shmmax": ("68719476736", Scope.CONTAINER),
        "kernel.sem": ("250 32000 100 128", Scope.CONTAINER),
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("net.core.rmem_max", Scope.HOST),
        ("net.ipv4.tcp_mem", Scope.HOST),
        ("net.ipv4.tcp_rmem", Scope.CONTAINER),
        ("net.netfilter.nf_conntrack_max", Scope.HOST),
        ("net.ipv4.conf.all.rp_filter", Scope.NONE),
        ("net.ipv4.ip_local_port_range", Scope.CONTAINER),
        ("vm.swappiness", Scope.HOST),
        ("kernel.sysrq", Scope.NONE),
        ("fs.file-max", Scope.HOST),
        ("fs.mqueue.msg_max", Scope.CONTAINER),
    ],
)
def test_where_a_parameter_takes_effect(name: str, expected: Scope) -> None:
    assert scope(name) is expected


def test_a_guest_with_parameters_without_end(plant: Plant) -> None:
    files = plant({"/etc/sysctl.conf": "".join(f"vm.x{number}=1\n" for number in range(20_000))})
    assert len(read_sysctls(files)) == 500
    assert "more than 500" in files.notes[0]
