"""What a container must not carry from a machine: the table of rules.

A rule is added here and nowhere else; ``docs/cleaning.md`` is generated from the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from converters.filesystems.base import Kind


class Action(StrEnum):
    """What a rule does with what its patterns match."""

    DROP = "left out"
    DROP_CONTENT = "emptied: the directory stays"
    DROP_FILES = "files left out, directories stay"
    TRUNCATE = "emptied: the file stays, with no content"


@dataclass(frozen=True, slots=True)
class Rule:
    """One reason to leave something out."""

    name: str
    """Stable word: switches the rule on and off, and labels its removals."""
    action: Action
    patterns: tuple[str, ...]
    """Paths from the root without leading slash: ``*`` within a name, ``**/`` for any folders or
    none, ``\\*`` for an asterisk."""
    reason: str
    kinds: frozenset[Kind] = frozenset()
    """Only entries of these kinds; empty: all."""
    max_size: int | None = None
    """Only files of at most so many bytes."""
    default: bool = True
    """Whether the rule is on unless somebody says otherwise."""


_FILES = frozenset({Kind.FILE})

RULES: tuple[Rule, ...] = (
    Rule("proc", Action.DROP_CONTENT, ("proc",), "the engine mounts its own"),
    Rule("sys", Action.DROP_CONTENT, ("sys",), "the engine mounts its own"),
    Rule("dev", Action.DROP_CONTENT, ("dev",), "the engine makes the container's devices"),
    Rule("run", Action.DROP_CONTENT, ("run",), "state of the running machine: volatile by definition"),
    # Before /run, packages brought their directories below /var/run, and daemons do not make them.
    Rule("var-run", Action.DROP_FILES, ("var/run", "var/lock"), "state of the running machine"),
    Rule("tmp", Action.DROP_CONTENT, ("tmp", "var/tmp"), "temporary files"),
    Rule("lost-found", Action.DROP, ("**/lost+found",), "belongs to fsck", frozenset({Kind.DIRECTORY})),
    Rule(
        "boot",
        Action.DROP_CONTENT,
        ("boot",),
        "kernels, initial RAM disks and boot loader; a container has the host's kernel",
    ),
    Rule(
        "kernel-links",
        Action.DROP,
        ("vmlinuz", "vmlinuz.old", "initrd.img", "initrd.img.old"),
        "point into the emptied /boot",
        frozenset({Kind.SYMLINK}),
    ),
    Rule(
        "modules", Action.DROP_CONTENT, ("lib/modules", "usr/lib/modules"), "modules of the machine's kernel"
    ),
    Rule("firmware", Action.DROP_CONTENT, ("lib/firmware", "usr/lib/firmware"), "firmware that kernels load"),
    Rule(
        "swap",
        Action.DROP,
        (
            "swapfile*",
            "swap.img",
            "swap.file",
            "swap",
            "var/swap",
            "var/swapfile*",
            "var/swap.img",
            "mnt/swapfile*",
        ),
        "swap space by its usual names; the ones that fstab names are added for each guest",
        _FILES,
    ),
    Rule(
        "apt-cache",
        Action.DROP_FILES,
        ("var/cache/apt", "var/lib/apt/lists"),
        "downloads and indexes of apt, made anew by `apt update`",
    ),
    Rule(
        "rpm-cache",
        Action.DROP_CONTENT,
        ("var/cache/yum", "var/cache/dnf", "var/cache/libdnf5", "var/cache/zypp", "var/cache/PackageKit"),
        "downloads and indexes of yum, dnf and zypper",
    ),
    Rule(
        "other-package-caches",
        Action.DROP_CONTENT,
        ("var/cache/apk", "var/cache/pacman/pkg"),
        "downloads of apk and pacman",
    ),
    # Only the client's: a DHCP server refuses to start without its own dhcpd.leases.
    Rule(
        "dhcp-leases",
        Action.DROP,
        (
            "var/lib/dhcp/dhclient*.lease*",
            "var/lib/dhclient/*.lease*",
            "var/lib/NetworkManager/*.lease",
            "var/lib/dhcpcd*/*.lease*",
        ),
        "addresses that the machine's network cards were given",
        _FILES,
    ),
    # A stale number that belongs to a living process (among a container's small ones: often) blocks a start.
    Rule(
        "pid-files",
        Action.DROP,
        ("var/**/*.pid", "opt/**/*.pid", "srv/**/*.pid", "usr/local/**/*.pid", "var/lib/**/*.sock.lock"),
        "numbers of processes that do not run; daemons refuse to start over them",
        _FILES,
        max_size=4096,
    ),
    # Indexed by user id: a few KiB on disk, but up to a terabyte to read.
    Rule(
        "login-records",
        Action.TRUNCATE,
        ("var/log/lastlog", "var/log/faillog", "var/log/tallylog"),
        "logins by user id, sparse files of any apparent size",
        _FILES,
    ),
    # A snapshot is a whole system, and there may be dozens.
    Rule(
        "snapshots", Action.DROP_CONTENT, ("**/.snapshots",), "earlier states of a btrfs that snapper keeps"
    ),
    Rule("journal", Action.DROP_CONTENT, ("var/log/journal",), "systemd's binary journal of the machine"),
    Rule(
        "crash-dumps",
        Action.DROP_CONTENT,
        ("var/crash", "var/lib/systemd/coredump", "var/spool/abrt"),
        "memory of programs that crashed, with their secrets",
    ),
    Rule(
        "random-seed",
        Action.DROP,
        ("var/lib/systemd/random-seed", "var/lib/urandom/random-seed", "var/lib/random-seed"),
        "entropy of one kernel, never to be used twice",
        _FILES,
    ),
    # Two machines with one key are one machine to those who know its key: an image is started many times.
    Rule(
        "ssh-host-keys",
        Action.DROP,
        (
            "etc/ssh/ssh_host_*_key",
            "etc/ssh/ssh_host_*_key.pub",
            "etc/ssh/ssh_host_key*",
            "etc/dropbear/dropbear_*_host_key",
        ),
        "identity of the machine; a container with an SSH daemon makes keys of its own when it starts",
        _FILES,
    ),
    # Emptied, not dropped: systemd and the init of the images fill an empty one, and no other.
    Rule(
        "machine-id",
        Action.TRUNCATE,
        ("etc/machine-id", "var/lib/dbus/machine-id"),
        "identity of the machine; a container gets its own when it starts",
        _FILES,
    ),
    Rule(
        "histories",
        Action.DROP,
        tuple(
            f"{home}/{name}"
            for home in ("root", "home/*")
            for name in (
                *(".bash_history", ".zsh_history", ".ash_history", ".history", ".python_history"),
                *(".mysql_history", ".psql_history", ".rediscli_history", ".lesshst", ".viminfo"),
            )
        ),
        "what people typed on the machine, passwords among it",
        _FILES,
    ),
    # Off: programs of the machine may use them to reach others.
    Rule(
        "ssh-of-people",
        Action.DROP_CONTENT,
        ("root/.ssh", "home/*/.ssh"),
        "keys and known hosts of people's log-ins; on, when no service of the machine uses them",
        default=False,
    ),
)
"""Order decides: the first rule that matches an entry has it."""


def select(
    keep: Collection[str] = (), also: Collection[str] = (), rules: tuple[Rule, ...] = RULES
) -> tuple[Rule, ...]:
    """The rules that are on: the default ones without ``keep``, and ``also``.

    Raises:
        ValueError: a name that no rule has.
    """
    known = {rule.name for rule in rules}
    for name in (*keep, *also):
        if name not in known:
            raise ValueError(f"no clean-up rule is called {name!r}; there are: {', '.join(sorted(known))}")
    return tuple(rule for rule in rules if (rule.default or rule.name in also) and rule.name not in keep)


def swap_rule(paths: Iterable[str]) -> Rule:
    """A rule for the swap files that a guest's fstab names."""
    return Rule("swap-fstab", Action.DROP, _literal(paths), "swap space that fstab names", _FILES)


def _literal(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(path.strip("/").replace("*", r"\*") for path in paths if path.strip("/"))


def markdown_table(rules: Iterable[Rule] = RULES) -> str:
    """The table of ``docs/cleaning.md``."""
    lines = ["| Rule | On | Where | What happens | Why |", "| --- | --- | --- | --- | --- |"]
    for rule in rules:
        where = ", ".join(f"`/{pattern}`" for pattern in rule.patterns)
        only = [str(kind) for kind in sorted(rule.kinds)]
        if rule.max_size is not None:
            only.append(f"at most {rule.max_size} bytes")
        what = rule.action.value + (f" (only: {', '.join(only)})" if only else "")
        lines.append(
            f"| `{rule.name}` | {'yes' if rule.default else 'no'} | {where} | {what} | {rule.reason} |"
        )
    return "\n".join(lines) + "\n"
