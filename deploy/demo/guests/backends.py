"""A guest with what stands behind pages: application server, messages, measurements, shares, names."""

from __future__ import annotations

from deploy.demo.guests.layout import Layout, Partition
from deploy.demo.guests.recipes import Recipe
from deploy.demo.guests.shell import named, run, write

PAGE = "the page of the backend, by Tomcat"
ADDRESS = "192.0.2.8"
"""Of ``www.backend.example``."""

_NAMES = f"""server:
    interface: 0.0.0.0
    access-control: 0.0.0.0/0 allow
    local-data: "www.backend.example. A {ADDRESS}"
"""

BACKEND = Recipe(
    name="backend",
    packages=(
        *("systemd-sysv", "tomcat10", "rabbitmq-server", "prometheus", "samba", "mosquitto", "unbound"),
        *("dns-root-data", "init-system-helpers"),
    ),
    customize="".join(
        (
            named("backend"),
            f'echo "<title>{PAGE}</title>" >"$1/var/lib/tomcat10/webapps/ROOT/index.html"\n',
            write("/etc/mosquitto/conf.d/open.conf", "listener 1883\nallow_anonymous true\n"),
            write("/etc/unbound/unbound.conf.d/backend.conf", _NAMES),
            run("testparm -s"),
        )
    ),
    layout=Layout("gpt", (Partition(1400, mount="/", uuid="2d2d8b7a-9c5f-4e3a-b142-6a7b8c9d0e01"),)),
    page=PAGE,
)
