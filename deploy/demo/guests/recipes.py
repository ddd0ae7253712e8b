"""What the Debian guests hold. The packages' own post-installation scripts enable their services."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.demo.guests.layout import Layout, Partition

SUITE = "bookworm"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A Debian system: packages, then ``customize``, a shell script that gets the tree as ``$1``."""

    name: str
    packages: tuple[str, ...]
    customize: str
    layout: Layout
    page: str = ""
    """Text of the page that its web server gives."""
    suite: str = SUITE
    """Debian's release."""


def _page(name: str) -> str:
    return f"Welcome to {name}, a virtual machine of the orchestrate demo"


def _write_page(name: str, path: str) -> str:
    return f"printf '<html><body><h1>%s</h1></body></html>\\n' '{_page(name)}' >\"$1{path}\"\n"


# What a copy can lose: a name that is not UTF-8, a hard link, holes, a device, a fifo, an old time, a mode.
_ODDITIES = """
mkdir -p "$1/srv/odd"
printf 'caf\\351\\n' >"$1/srv/odd/caf$(printf '\\351')"
ln "$1/etc/hostname" "$1/srv/odd/hard-link"
truncate -s 8M "$1/srv/odd/sparse"
printf 'end' >>"$1/srv/odd/sparse"
mknod "$1/srv/odd/null" c 1 3 2>/dev/null || true
mkfifo "$1/srv/odd/fifo"
touch -d '1969-12-31T23:59:59Z' "$1/srv/odd/before-1970"
chmod 4755 "$1/srv/odd/before-1970"
"""

_COMMON = """
rm -f "$1/etc/resolv.conf"
: >"$1/etc/machine-id"
"""

WEB = Recipe(
    name="web",
    packages=("systemd-sysv", "nginx-light", "openssh-server", "iputils-ping", "libcap2-bin", "cron"),
    customize=_COMMON
    + 'echo web >"$1/etc/hostname"\n'
    + _write_page("web", "/var/www/html/index.html")
    + _ODDITIES,
    layout=Layout(
        "gpt",
        (
            Partition(1, type=""),
            Partition(560, mount="/", uuid="5d2f1a0e-1f5b-4d0c-9a6e-0a1b2c3d4e01", label="root"),
            Partition(32, type="swap", uuid="5d2f1a0e-1f5b-4d0c-9a6e-0a1b2c3d4e02"),
        ),
    ),
    page=_page("web"),
)

DB = Recipe(
    name="db",
    packages=("systemd-sysv", "redis-server", "cron"),
    customize=_COMMON
    + """
echo db >"$1/etc/hostname"
sed -i 's/^bind .*/bind * -::*/; s/^protected-mode yes/protected-mode no/' "$1/etc/redis/redis.conf"
""",
    layout=Layout(
        "dos",
        (
            Partition(400, mount="/", uuid="8c1e4b7a-52d3-4e9f-8a10-1b2c3d4e5f01"),
            Partition(
                128, mount="/var", uuid="8c1e4b7a-52d3-4e9f-8a10-1b2c3d4e5f02", label="data", logical=True
            ),
            Partition(32, type="swap", uuid="8c1e4b7a-52d3-4e9f-8a10-1b2c3d4e5f03", logical=True),
        ),
    ),
)

LEGACY = Recipe(
    name="legacy",
    packages=("sysvinit-core", "lighttpd"),
    customize=_COMMON
    + 'echo legacy >"$1/etc/hostname"\n'
    + _write_page("legacy", "/var/www/html/index.html"),
    layout=Layout("", (Partition(420, type="ext3", mount="/", uuid="3a7d9c5b-6e1f-4b2a-8d40-2c3d4e5f6a01"),)),
    page=_page("legacy"),
)

BENCH = Recipe(
    name="bench",
    packages=(
        *("systemd-sysv", "nginx-light", "openssh-server", "cron"),
        *("build-essential", "git", "perl", "python3", "python3-pip", "vim"),
    ),
    customize=_COMMON + 'echo bench >"$1/etc/hostname"\n' + _write_page("bench", "/var/www/html/index.html"),
    layout=Layout(
        "gpt",
        (
            Partition(1, type=""),
            Partition(1400, mount="/", uuid="f0a6c2d8-9b4e-4c7a-b150-3d4e5f6a7b01"),
        ),
    ),
    page=_page("bench"),
)
