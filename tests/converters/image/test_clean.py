"""Which entries of a machine stay out of its image, and what the report says about them."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.filesystems.base import Entry, Kind
from converters.image.clean import Cleaner
from converters.image.removals import PATHS_LISTED, RemovalTally
from converters.image.rules import RULES, markdown_table, select, swap_rule
from tests.converters.image.trees import entry

DOCUMENT = Path(__file__).parents[3] / "docs" / "cleaning.md"
FILE, DIRECTORY, SYMLINK = Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK


def rule_of(path: str, kind: Kind = FILE, size: int = 10) -> str | None:
    rule = Cleaner(select()).decide(entry(path.encode(), kind, size=size))
    return rule.name if rule else None


@pytest.mark.parametrize(
    ("path", "kind", "rule"),
    [
        ("proc/1/status", FILE, "proc"),
        ("sys/kernel", DIRECTORY, "sys"),
        ("dev/null", Kind.CHARACTER, "dev"),
        ("run/nginx.pid", FILE, "run"),
        ("var/run/nginx.pid", FILE, "var-run"),
        ("tmp/.X0-lock", FILE, "tmp"),
        ("var/tmp/x/y", FILE, "tmp"),
        ("boot/vmlinuz-6.1.0", FILE, "boot"),
        ("vmlinuz", SYMLINK, "kernel-links"),
        ("usr/lib/modules/6.1.0/kernel", DIRECTORY, "modules"),
        ("lib/modules/3.10.0/modules.dep", FILE, "modules"),
        ("swapfile", FILE, "swap"),
        ("swap.img", FILE, "swap"),
        ("home/lost+found", DIRECTORY, "lost-found"),
        ("lost+found", DIRECTORY, "lost-found"),
        ("lost+found/#123", FILE, "lost-found"),
        ("var/cache/apt/archives/nginx_1.22.deb", FILE, "apt-cache"),
        ("var/cache/apt/pkgcache.bin", FILE, "apt-cache"),
        ("var/cache/dnf/x", DIRECTORY, "rpm-cache"),
        ("var/lib/dhcp/dhclient.eth0.leases", FILE, "dhcp-leases"),
        ("var/lib/postgresql/15/main/postmaster.pid", FILE, "pid-files"),
        (".snapshots/1/snapshot/etc/passwd", FILE, "snapshots"),
        ("home/.snapshots/7", DIRECTORY, "snapshots"),
        ("var/log/journal/abc/system.journal", FILE, "journal"),
        ("var/log/lastlog", FILE, "login-records"),
        ("etc/ssh/ssh_host_ed25519_key", FILE, "ssh-host-keys"),
        ("etc/ssh/ssh_host_rsa_key.pub", FILE, "ssh-host-keys"),
        ("etc/machine-id", FILE, "machine-id"),
        ("home/ann/.bash_history", FILE, "histories"),
    ],
)
def test_left_out(path: str, kind: Kind, rule: str) -> None:
    assert rule_of(path, kind) == rule


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("", DIRECTORY),
        ("proc", DIRECTORY),
        ("run", DIRECTORY),
        ("tmp", DIRECTORY),
        ("boot", DIRECTORY),
        ("var/run", SYMLINK),
        ("var/run/mysqld", DIRECTORY),
        ("var/cache/apt/archives/partial", DIRECTORY),
        ("process/x", FILE),
        ("srv/proc/1", FILE),
        ("home/user/swapfile", FILE),
        ("swapfiles", DIRECTORY),
        ("lost+found", FILE),
        ("var/lib/dhcp/dhcpd.leases", FILE),
        ("usr/share/doc/example.pid", FILE),
        ("var/lib/app/pids.pid", DIRECTORY),
        ("var/cache/debconf/config.dat", FILE),
        ("etc/machine-id", SYMLINK),
        ("etc/ssh/sshd_config", FILE),
        ("root/.ssh/id_ed25519", FILE),
        ("srv/.bash_history", FILE),
        ("usr/lib/modules-load.d/x.conf", FILE),
        ("var/log/syslog", FILE),
    ],
)
def test_stays(path: str, kind: Kind) -> None:
    assert rule_of(path, kind) is None


def test_a_large_file_is_no_pid_file() -> None:
    assert rule_of("var/lib/app/data.pid", size=4097) is None


def clean(entries: list[Entry], *names: str, tally: RemovalTally | None = None) -> list[Entry]:
    return list(Cleaner(select(also=names)).clean(entries, tally or RemovalTally()))


def test_truncated_file_stays_with_its_owner_and_mode() -> None:
    records = entry(b"var/log/lastlog", size=1_230_000_000_000, gid=43, mode=0o664)
    (kept,) = clean([records])
    assert kept == records._replace(size=0)


def test_rules_are_switched_by_name() -> None:
    key = entry(b"root/.ssh/id_ed25519", size=400)
    assert clean([key]) == [key]
    assert clean([key], "ssh-of-people") == []
    kernel = entry(b"boot/vmlinuz")
    assert Cleaner(select(keep=["boot"])).decide(kernel) is None
    with pytest.raises(ValueError, match="no clean-up rule is called 'bot'; there are: apt-cache, boot"):
        select(keep=["bot"])


def test_removals_are_counted_and_only_their_tops_listed() -> None:
    tally = RemovalTally()
    kept = clean(
        [
            entry(b"", DIRECTORY),
            entry(b"tmp", DIRECTORY),
            entry(b"tmp/a", DIRECTORY),
            entry(b"tmp/a/x", size=5),
            entry(b"tmp/a/y", size=6),
            entry(b"tmp/a-b", size=7),
            entry(b"usr", DIRECTORY),
        ],
        tally=tally,
    )
    assert [one.path for one in kept] == [b"", b"tmp", b"usr"]
    (removal,) = tally.removals()
    assert (removal.name, removal.entries, removal.bytes) == ("tmp", 4, 18)
    assert removal.paths == ("tmp/a", "tmp/a-b")
    assert removal.reason == "temporary files"


def test_the_list_of_paths_is_bounded_and_the_count_is_not() -> None:
    tally = RemovalTally()
    clean([entry(b"tmp/%d" % number) for number in range(1000)], tally=tally)
    (removal,) = tally.removals()
    assert (removal.entries, len(removal.paths)) == (1000, PATHS_LISTED)


def test_paths_of_one_guest_are_literal() -> None:
    cleaner = Cleaner([swap_rule(["/data/swap.*", "/", "caf\udce9"])])
    assert cleaner.decide(entry(b"data/swap.*")) is not None
    assert cleaner.decide(entry(b"data/swap.db")) is None
    assert cleaner.decide(entry(b"caf\xe9")) is not None


def test_no_rules_keep_everything() -> None:
    assert Cleaner([]).decide(entry(b"proc/1")) is None


def test_every_rule_has_a_name_of_its_own_and_a_pattern() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.patterns and rule.reason for rule in RULES)


def test_document_is_current() -> None:
    table = markdown_table()
    assert table in DOCUMENT.read_text(), f"put this table into {DOCUMENT.name}:\n{table}"
