"""What commands around a service need of the kernel: sysctl, ip, mount, modprobe and their kin.

A command line is taken apart as a shell would, as far as that goes without running it: what stands where a
command stands counts. What a script computes is not seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from converters.guest.privilege.capabilities import FILE_WORK, LOWERING, named

_LONGEST = 64 << 10
"""Characters of a script that are looked at."""
_MOST = 500
"""Commands of a script that are looked at."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program that administrators' commands start."""

    capabilities: frozenset[str]
    advice: str = ""
    """What would do in its place."""
    unless: str = ""
    """Regular expression of arguments with which it only looks: one of the first three."""
    every: bool = False
    """Whether all of its arguments have to be such."""
    privileged: bool = False
    """Whether no capability is enough: the engine keeps the file or the call to itself."""


_NETWORK = "the engine sets a container's network up: leave the command out, or give the container NET_ADMIN"
_MOUNTS = "mount it on the host, and give the container a volume"
_LOADED = "load the module on the hosts (modules-load.d(5))"
_JUST_LOOKS = r"-[lLSnv]|--list|show|list|get"


def _tools(names: str, tool: Tool) -> dict[str, Tool]:
    return dict.fromkeys(names.split(), tool)


TOOLS: Mapping[str, Tool] = {
    **_tools(
        "sysctl",
        Tool(
            frozenset(),
            "net.* belongs into `sysctls:` of the compose file, all else on the hosts (sysctl.d(5))",
            r"-[an]|[a-z][a-z0-9_.]*",
            every=True,
            privileged=True,
        ),
    ),
    **_tools("modprobe insmod rmmod", Tool(named("SYS_MODULE"), _LOADED)),
    **_tools("ip", Tool(named("NET_ADMIN"), _NETWORK, r"show|list|ls|get|-V|-br(?:ief)?")),
    **_tools("ifconfig route tc brctl bridge ethtool tunctl wg", Tool(named("NET_ADMIN"), _NETWORK, "show")),
    **_tools("ipset ipvsadm conntrack ebtables arptables wg-quick", Tool(named("NET_ADMIN"), _NETWORK)),
    **_tools(
        "iptables ip6tables iptables-restore ip6tables-restore iptables-legacy iptables-nft nft",
        Tool(
            named("NET_ADMIN NET_RAW"),
            "rules belong on the hosts, or into a NetworkPolicy; in the container they hold for itself only",
            _JUST_LOOKS,
        ),
    ),
    **_tools("mount umount mount.nfs mount.cifs", Tool(named("SYS_ADMIN"), _MOUNTS)),
    **_tools("losetup swapon swapoff cryptsetup mdadm vgchange lvchange", Tool(named("SYS_ADMIN"), _MOUNTS)),
    **_tools("unshare nsenter pivot_root", Tool(named("SYS_ADMIN"))),
    **_tools("mknod", Tool(named("MKNOD"), "give the container the device")),
    **_tools("setcap", Tool(named("SETFCAP") | FILE_WORK)),
    **_tools("chroot", Tool(named("SYS_CHROOT"))),
    **_tools("chrt renice ionice", Tool(named("SYS_NICE"), "leave it out: the engine has cpu shares")),
    **_tools("hwclock ntpdate", Tool(named("SYS_TIME"), "a container has the host's clock")),
    **_tools("strace gdb ltrace", Tool(named("SYS_PTRACE"))),
    **_tools("dmesg", Tool(named("SYSLOG"))),
    **_tools("tcpdump ping ping6 arping fping traceroute nmap pinger check_icmp", Tool(named("NET_RAW"))),
    **_tools("su runuser sudo", Tool(LOWERING | named("AUDIT_WRITE"))),
    **_tools("auth_pam_tool unix_chkpwd", Tool(named("AUDIT_WRITE"))),
    **_tools("setpriv start-stop-daemon chpst setuidgid gosu su-exec", Tool(LOWERING)),
    **_tools("chown chgrp install", Tool(FILE_WORK)),
    # Of Debian's packages of MariaDB and PHP: they work as root on files of root.
    **_tools("debian-start php-fpm-socket-helper", Tool(named("DAC_OVERRIDE"))),
    **_tools("chmod mkdir rm rmdir touch cp mv ln cat sed tee find", Tool(FILE_WORK)),
    **_tools("grep awk cut head tail ls stat test [ [[", Tool(named("DAC_OVERRIDE"))),
    **_tools("kill pkill killall", Tool(named("KILL"))),
    **_tools(
        ": true false echo printf exit return cd set unset export local shift break continue sleep date"
        " basename dirname uname hostname id getent env umask wait trap systemctl type command logger",
        Tool(frozenset()),
    ),
}
"""By name, from their manual pages and capabilities(7). Programs that need nothing are here too."""

_SHELLS = frozenset(("sh", "bash", "dash", "ash", "ksh"))
_SEPARATORS = re.compile(r"\$\(|[;&|\n(){}`]+")
_BEFORE = frozenset(
    (
        *("then", "do", "else", "elif", "if", "while", "until", "!"),
        *("exec", "time", "nohup", "setsid", "env", "command", "builtin"),
    )
)
_AFTER = frozenset(("fi", "done", "esac", "for", "case", "in", "function", "select"))
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_COMMENT = re.compile(r"^[ \t]*#[^\n]*", re.MULTILINE)


def simple_commands(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The commands of a command line: its own words, or what the text of ``sh -c`` holds."""
    name = words[0].rpartition("/")[2] if words else ""
    if name in _SHELLS and len(words) > 2 and words[1].startswith("-") and "c" in words[1]:
        yield from script_commands(words[2])
    elif words:
        yield words


def script_commands(text: str) -> Iterator[tuple[str, ...]]:
    """The commands of a shell script, first ones first; words keep no quotes."""
    count = 0
    for piece in _SEPARATORS.split(_COMMENT.sub("", text[:_LONGEST].replace("\\\n", " "))):
        words = [word.strip("\"'") for word in piece.split()]
        while words and (words[0] in _BEFORE or _VARIABLE.match(words[0])):
            del words[0]
        if not words or words[0] in _AFTER or not words[0]:
            continue
        count += 1
        if count > _MOST:
            return
        yield tuple(words)


def tool_of(words: tuple[str, ...]) -> Tool | None:
    """What a command needs; None where the program is not known."""
    tool = TOOLS.get(words[0].rpartition("/")[2])
    return TOOLS["true"] if tool is not None and tool.unless and _only_looks(tool, words[1:]) else tool


def _only_looks(tool: Tool, arguments: tuple[str, ...]) -> bool:
    if tool.every:
        return all(re.fullmatch(tool.unless, one) for one in arguments)
    return any(re.fullmatch(tool.unless, one) for one in arguments[:3])
