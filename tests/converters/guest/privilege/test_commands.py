"""What commands around a service need."""

from __future__ import annotations

import time

import pytest

from converters.guest.privilege.commands import script_commands, simple_commands, tool_of


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("/sbin/ip", "link", "set", "eth0", "up"), [("/sbin/ip", "link", "set", "eth0", "up")]),
        (("/bin/sh", "-c", "a; b && c | d"), [("a",), ("b",), ("c",), ("d",)]),
        (
            ("/bin/sh", "-ec", "if test -x /x; then exec /x 'a b'; fi"),
            [("test", "-x", "/x"), ("/x", "a", "b")],
        ),
        (("/bin/sh", "-c", "A=1 B=2 env C=3 /opt/run"), [("/opt/run",)]),
        (
            ("/bin/sh", "-c", "x=$(modprobe tun) # modprobe loop"),
            [("modprobe", "tun"), ("#", "modprobe", "loop")],
        ),
        (("/bin/sh", "/script"), [("/bin/sh", "/script")]),
        ((), []),
    ],
)
def test_a_command_line_in_parts(words: tuple[str, ...], expected: list[tuple[str, ...]]) -> None:
    assert list(simple_commands(words)) == expected


def test_comments_and_continued_lines_of_a_script() -> None:
    text = "#!/bin/sh\n# mount /dev/x\nmodprobe \\\n  tun\nwhile sysctl -w a=1; do :; done\n"
    assert list(script_commands(text)) == [("modprobe", "tun"), ("sysctl", "-w", "a=1"), (":",)]


@pytest.mark.parametrize(
    ("line", "capabilities", "privileged"),
    [
        ("ip addr add 10.0.0.1/8 dev lo", {"CAP_NET_ADMIN"}, False),
        ("ip -br link", set(), False),
        ("/usr/sbin/iptables -A INPUT -j DROP", {"CAP_NET_ADMIN", "CAP_NET_RAW"}, False),
        ("iptables -L", set(), False),
        ("modprobe ip_vs", {"CAP_SYS_MODULE"}, False),
        ("mount -t tmpfs none /x", {"CAP_SYS_ADMIN"}, False),
        ("sysctl -w net.core.somaxconn=1024", set(), True),
        ("sysctl -p", set(), True),
        ("sysctl -n kernel.osrelease", set(), False),
        ("true", set(), False),
    ],
)
def test_known_tools(line: str, capabilities: set[str], privileged: bool) -> None:
    tool = tool_of(tuple(line.split()))
    assert tool is not None
    assert (set(tool.capabilities), tool.privileged) == (capabilities, privileged)


def test_an_unknown_tool() -> None:
    assert tool_of(("/opt/thing",)) is None


def test_a_script_without_end_costs_little() -> None:
    began = time.monotonic()
    for text in ("a;" * 1_000_000, "\\\n" * 1_000_000, "A=" * 1_000_000, "#" * 1_000_000, "('" * 500_000):
        list(script_commands(text))
    assert time.monotonic() - began < 1
