"""The vCenter that `make demo` shows: real guests, and what a run meets besides."""

from __future__ import annotations

from collections.abc import Callable

from deploy.demo import guests
from deploy.demo.fleet import Cluster, Datacenter, Disk, Fleet, Host, Machine, UserSnapshot
from deploy.demo.guests import Guest

DATACENTER = "DC0"
SHOWN = "web"
"""The VM whose image the demo starts."""

BROKEN = "broken"
"""The VM that cannot be converted."""

BY_HAND = "before the upgrade"
"""A snapshot that somebody else made."""


def fleet(say: Callable[[str], None]) -> Fleet:
    """The fleet, with its guests made where they do not exist yet; ``say`` is told what takes time.

    Raises:
        ProcessError: a guest cannot be made.
    """

    def make(name: str, maker: Callable[[], Guest]) -> tuple[Disk, ...]:
        say(f"guest {name}")
        return (Disk(str(maker().vmdk)),)

    web = make("web: Debian 12, nginx", guests.web)
    by_hand = UserSnapshot(BY_HAND, "made by hand: stays")
    vms = (
        Machine(
            SHOWN,
            folders=("shop", "front"),
            disks=web,
            memory_mib=1024,
            cpu_limit_mhz=3000,
            restart_priority="high",
            snapshots=(by_hand,),
            annotation="public pages",
        ),
        Machine("Web Süd/2", folders=("shop", "front"), disks=web, power="poweredOff", tools_running=False),
        Machine("db", folders=("shop", "data"), disks=make("db: Debian 12, redis", guests.db), cpus=4),
        Machine(
            "legacy",
            folders=("old",),
            disks=make("legacy: Debian with SysV init, lighttpd", guests.legacy),
            restart_priority="low",
        ),
        Machine(
            "office-pc",
            folders=("office",),
            disks=make("office-pc: looks like Windows", guests.windows),
            guest_id="windows2019srv_64Guest",
            guest_family="windowsGuest",
            guest_full_name="Microsoft Windows Server 2019 (64-bit)",
        ),
        Machine("golden-image", folders=("shop",), disks=web, power="poweredOff", template=True),
        Machine(BROKEN, folders=("old",), disks=make("broken: noise", guests.garbage), tools_running=False),
    )
    hosts = (Host("esx-1.example.com", 2400), Host("esx-2.example.com", 2400))
    return Fleet((Datacenter(DATACENTER, clusters=(Cluster("cluster", hosts=hosts),), vms=vms),))
