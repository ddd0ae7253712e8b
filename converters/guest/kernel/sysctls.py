"""Kernel parameters that a guest sets at boot, and where each takes effect (sysctl.d(5), namespaces(7))."""

from __future__ import annotations

import re
from collections.abc import Iterator

from converters.guest.files import GuestFiles, printable
from converters.guest.kernel.values import Scope, Sysctl

_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
"""Of two files of one name the one in the earlier folder counts."""
_DEFAULTS = frozenset(
    {
        *("00-system.conf", "10-default-yama-scope.conf", "10-map-count.conf", "50-coredump.conf"),
        *("50-default.conf", "50-default-s390.conf", "50-pid-max.conf", "50-libkcapi-optmem_max.conf"),
        *("50-redhat.conf", "51-network.conf", "52-yast.conf", "60-libvirtd.conf", "99-protect-links.conf"),
        *("README", "protect-links.conf", "pid-max.conf", "50-bubblewrap.conf", "30-tracker.conf"),
        *("10-console-messages.conf", "10-ipv6-privacy.conf", "10-kernel-hardening.conf"),
        *("10-magic-sysrq.conf", "10-network-security.conf", "10-ptrace.conf", "10-zeropage.conf"),
        *("10-bufferbloat.conf", "10-link-restrictions.conf", "10-lxd-inotify.conf", "00-alpine.conf"),
    }
)
"""What distributions bring for every machine: nobody chose it for this one."""
_MOST = 500
_LONGEST = 400

_CONTAINER = ("net.", "kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")
"""What Docker and Kubernetes let one container have (`docker run --sysctl`)."""
_HOST_IN_NET = re.compile(
    r"net\.core\.(?!somaxconn$|xfrm_)\w+|net\.ipv[46]\.(tcp_mem|udp_mem)|net\.ipv4\.(ipfrag_\w+|route\.max_size)"
    r"|net\.ipv[46]\.neigh\.default\.gc_\w+|net\.netfilter\.nf_conntrack_(max|buckets)"
    r"|net\.nf_conntrack_max|net\.bridge\..+"
)
"""What of ``net.`` belongs to no network namespace (Linux, Documentation/admin-guide/sysctl/net.rst)."""
_MACHINE = re.compile(
    r"kernel\.(sysrq|panic\w*|printk\w*|nmi_watchdog|watchdog\w*|soft(lockup)?_?watchdog|hung_task_\w+|hotplug"
    r"|ctrl-alt-del|modprobe|poweroff_cmd|unknown_nmi_panic|hostname|domainname|exec-shield|kptr_restrict"
    r"|dmesg_restrict|core_pattern|core_uses_pid|yama\..+)|dev\..+|vm\.(laptop_mode|block_dump)"
    r"|net\.ipv[46]\.conf\.[^.]+\.(rp_filter|accept_\w+|send_redirects|secure_redirects|log_martians"
    r"|use_tempaddr|promote_secondaries|arp_\w+)|net\.ipv4\.(icmp_\w+|ip_forward)|net\.ipv6\.conf\..+"
)
"""About the console, the hardware, the machine's own interfaces and what becomes of a crash."""


def read_sysctls(files: GuestFiles) -> tuple[Sysctl, ...]:
    """What systemd-sysctl and sysctl(8) set at boot, by name; of two values the later file's counts."""
    found: dict[str, Sysctl] = {}
    for path in _files(files):
        for name, value in _assignments(files.text(path) or ""):
            found[name] = Sysctl(printable(name), printable(value), printable(path), scope(name))
            if len(found) >= _MOST:
                files.note(f"{path}: more than {_MOST} kernel parameters; the rest was passed over.")
                return tuple(found.values())
    return tuple(found[name] for name in sorted(found))


def scope(name: str) -> Scope:
    """Where a parameter takes effect."""
    if _MACHINE.fullmatch(name):
        return Scope.NONE
    if name.startswith(_CONTAINER) and not _HOST_IN_NET.fullmatch(name):
        return Scope.CONTAINER
    return Scope.HOST


def _files(files: GuestFiles) -> Iterator[str]:
    """By file name, whichever folder has it; /etc/sysctl.conf last, as sysctl(8) reads it."""
    chosen: dict[str, str] = {}
    for folder in _FOLDERS:
        for name in files.names(folder):
            if name.endswith(".conf") and name not in _DEFAULTS:
                chosen.setdefault(name, f"{folder}/{name}")
    chosen.pop("99-sysctl.conf", None)  # a link to /etc/sysctl.conf
    yield from (path for _, path in sorted(chosen.items()))
    yield "/etc/sysctl.conf"


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        name = name.strip().removeprefix("-")
        if equals and name and name[0] not in "#;" and len(name) + len(value) < _LONGEST:
            yield _dotted(name), " ".join(value.split())


def _dotted(name: str) -> str:
    """``net/ipv4/conf/eth0.1/rp_filter`` and dotted names alike: the first separator tells which it is."""
    slash, dot = name.find("/"), name.find(".")
    if slash >= 0 and (dot < 0 or slash < dot):
        return name.translate(_SWAPPED)
    return name


_SWAPPED = str.maketrans("/.", "./")
