"""Pieces of the shell scripts that customize a guest's tree, which is ``$1``."""

from __future__ import annotations


def named(host: str) -> str:
    """A machine with that host name, without what belongs to the machine that made it."""
    return f'rm -f "$1/etc/resolv.conf"; : >"$1/etc/machine-id"; echo {host} >"$1/etc/hostname"\n'


def write(path: str, text: str) -> str:
    """A file; ``text`` ends with a newline."""
    return f"cat >\"$1{path}\" <<'END'\n{text}END\n"


def append(path: str, text: str) -> str:
    """More lines of a file; ``text`` ends with a newline."""
    return f"cat >>\"$1{path}\" <<'END'\n{text}END\n"


def enable(unit: str, target: str = "multi-user.target") -> str:
    """A unit of the administrator's own, started at boot."""
    folder = f'"$1/etc/systemd/system/{target}.wants"'
    return f"mkdir -p {folder}; ln -s /etc/systemd/system/{unit} {folder}/\n"


def run(*commands: str) -> str:
    """Commands inside the guest."""
    return "".join(f'chroot "$1" {command}\n' for command in commands)
