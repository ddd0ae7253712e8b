"""Daemons whose needs are known: a table by the program's name, each entry with its source."""

from __future__ import annotations

from collections.abc import Mapping

from converters.guest.privilege.capabilities import FILE_WORK, GENERAL_ROOT, LOWERING, named
from converters.guest.privilege.known import Extra, Known

_BIND = named("NET_BIND_SERVICE")
_SERVER = LOWERING | _BIND | named("KILL")
"""A main process that opens ports and logs as root, and signals children of another user."""
_SERVER_FILES = _SERVER | FILE_WORK
_LOGINS = _SERVER_FILES | named("SYS_CHROOT AUDIT_WRITE")
_NET_ADMIN = named("NET_ADMIN NET_RAW")

_ROUTING = Extra(_NET_ADMIN, reason="changes routes", host_network=True)
_SNIFFING = Extra(
    named("NET_ADMIN NET_RAW"), reason="reads packets of the host's interfaces", host_network=True
)
_HOST = Extra(privileged=True, reason="starts containers or machines, or serves from the kernel")
_CLOCK = Extra(named("SYS_TIME"), reason="sets the clock", advice="the host's clock is the container's")

_HTTPD = Known("httpd.apache.org/docs/2.4/invoking.html", _SERVER_FILES)
_MYSQL = Known(
    "mysqld(8), --user",
    LOWERING | named("CHOWN DAC_OVERRIDE SYS_NICE"),
    (
        Extra(
            named("IPC_LOCK"),
            reason="locks memory",
            optional=True,
            places=("/etc/my.cnf", "/etc/my.cnf.d/*.cnf", "/etc/mysql/*.cnf", "/etc/mysql/*.conf.d/*.cnf"),
            pattern=r"(?:--)?memlock\b",
        ),
    ),
    # Authentication by PAM (mariadb.com/kb, "Authentication Plugin - PAM").
    helpers=("/usr/lib/mysql/plugin/auth_pam_tool_dir/auth_pam_tool",),
)
_DHCP = Extra(
    named("NET_RAW NET_BIND_SERVICE"),
    reason="answers broadcasts of machines without an address",
    host_network=True,
    advice="with a DHCP relay in the network, NET_BIND_SERVICE and a published port are enough",
)

KNOWN: Mapping[str, Known] = {
    # Web servers and proxies
    "nginx": Known("nginx.org/en/docs/control.html", _SERVER_FILES, alone=True),
    "apache2": _HTTPD,
    "httpd": _HTTPD,
    "lighttpd": Known("lighttpd(8), server.username", _SERVER_FILES),
    "haproxy": Known(
        "docs.haproxy.org, Management Guide, 13. Security considerations",
        _SERVER_FILES | named("SYS_CHROOT"),
        (
            Extra(
                named("NET_ADMIN NET_RAW"),
                reason="binds to addresses of others",
                places=("/etc/haproxy/haproxy.cfg",),
                pattern=r"(?:source|bind)\s[^\n]*(?:usesrc|transparent)\b",
            ),
        ),
        alone=True,
    ),
    "squid": Known(
        "squid.conf, cache_effective_user and pinger_enable",
        _SERVER_FILES,
        (
            Extra(
                named("NET_ADMIN NET_RAW"),
                reason="takes other machines' connections",
                places=("/etc/squid/squid.conf", "/etc/squid/conf.d/*.conf"),
                pattern=r"https?_port\s[^\n]*(?:tproxy|intercept)\b",
            ),
        ),
        helpers=("/usr/lib/squid/pinger", "/usr/lib64/squid/pinger"),
    ),
    "varnishd": Known("varnishd(1), -j", _SERVER_FILES),
    "php-fpm": Known("www.php.net/manual/install.fpm.configuration.php", _SERVER_FILES | named("SYS_CHROOT")),
    # Databases and caches
    "mariadbd": _MYSQL,
    "mysqld": _MYSQL,
    "mysqld_safe": _MYSQL,
    "redis-server": Known("redis.io/docs, Redis administration", FILE_WORK | LOWERING, alone=True),
    "memcached": Known(
        "memcached(1), -u and -r",
        LOWERING,
        alone=True,
    ),
    "slapd": Known("slapd(8), -u", _SERVER_FILES),
    # Names, addresses, time
    "named": Known(
        "named(8), -u and -t",
        _SERVER_FILES | named("SYS_CHROOT"),
        (Extra(named("SYS_RESOURCE"), reason="raises its limits", optional=True),),
    ),
    "unbound": Known("unbound.conf(5), username and chroot", _SERVER_FILES | named("SYS_CHROOT"), alone=True),
    "dnsmasq": Known(
        "dnsmasq(8), --user and NOTES",
        _SERVER_FILES,
        (
            Extra(
                named("NET_ADMIN NET_RAW"),
                host_network=True,
                reason="gives machines their addresses",
                places=("/etc/dnsmasq.conf", "/etc/dnsmasq.d/*"),
                pattern=r"(?:--)?dhcp-(?:range|relay)\b",
                advice="without its dhcp-range lines it needs neither",
            ),
        ),
    ),
    "dhcpd": Known("dhcpd(8)", _SERVER_FILES | named("SYS_CHROOT"), (_DHCP,)),
    "kea-dhcp4": Known("kea.readthedocs.io, Supported DHCP Configurations", extras=(_DHCP,)),
    "dhcrelay": Known("dhcrelay(8)", extras=(_DHCP,)),
    "radvd": Known("radvd(8)", extras=(_ROUTING,)),
    "chronyd": Known("chronyd(8), -x", _SERVER_FILES, (_CLOCK,)),
    "ntpd": Known("ntpd(8)", _SERVER_FILES, (_CLOCK,)),
    "avahi-daemon": Known(
        "avahi-daemon(8)",
        _SERVER_FILES | named("SYS_CHROOT"),
        (Extra(host_network=True, reason="answers multicast of the local network"),),
    ),
    "ptp4l": Known(
        "ptp4l(8)", extras=(Extra(named("NET_RAW SYS_TIME"), ("/dev/ptp0",), reason="steers a clock"),)
    ),
    # Mail
    "master": Known("postfix(1); www.postfix.org/OVERVIEW.html", _SERVER_FILES | named("SYS_CHROOT")),
    "postfix": Known("postfix(1); www.postfix.org/OVERVIEW.html", _SERVER_FILES | named("SYS_CHROOT")),
    "exim4": Known("exim4(8); www.exim.org, Security considerations", _SERVER_FILES),
    "exim": Known("exim(8); www.exim.org, Security considerations", _SERVER_FILES),
    "dovecot": Known("doc.dovecot.org, Running Dovecot as non-root", _LOGINS),
    "sendmail": Known("sendmail(8)", _SERVER_FILES),
    # Files
    "smbd": Known(
        "smbd(8); smb.conf(5), vfs objects",
        _SERVER_FILES | named("AUDIT_WRITE SYS_CHROOT"),
        (
            Extra(named("SYS_RESOURCE"), reason="raises its limit of open files", optional=True),
            Extra(
                named("SYS_ADMIN"),
                reason="keeps Windows' permissions in attributes of the security namespace",
                places=("/etc/samba/smb.conf",),
                pattern=r"(?:vfs objects\s*=[^\n]*\bacl_xattr\b|server role\s*=\s*active directory)",
                advice="`acl_xattr:security_acl_name = user.NTACL` needs no capability (vfs_acl_xattr(8))",
            ),
        ),
    ),
    "nmbd": Known(
        "nmbd(8)",
        extras=(
            Extra(
                host_network=True,
                optional=True,
                reason="answers broadcasts of the local network",
                advice="clients that find the server by DNS need no nmbd",
            ),
        ),
    ),
    "vsftpd": Known("vsftpd.conf(5)", _LOGINS),
    "proftpd": Known("proftpd(8)", _LOGINS),
    "pure-ftpd": Known("pure-ftpd(8)", _LOGINS),
    "in.tftpd": Known("in.tftpd(8), --secure", _SERVER | named("SYS_CHROOT")),
    "rpc.nfsd": Known("rpc.nfsd(8)", extras=(_HOST,)),
    "rpc.mountd": Known("rpc.mountd(8)", extras=(_HOST,)),
    "ganesha.nfsd": Known(
        "ganesha-config(8)", extras=(Extra(named("DAC_READ_SEARCH"), reason="opens files by handle"),)
    ),
    "glusterfsd": Known(
        "glusterfsd(8)", extras=(Extra(named("SYS_ADMIN"), reason="keeps trusted attributes"),)
    ),
    # Log-ins and jobs
    "sshd": Known("sshd(8)", _LOGINS),
    "cron": Known("cron(8)", GENERAL_ROOT | named("AUDIT_WRITE")),
    "crond": Known("cron(8)", GENERAL_ROOT | named("AUDIT_WRITE")),
    "atd": Known("atd(8)", GENERAL_ROOT | named("AUDIT_WRITE")),
    # Networks
    "keepalived": Known(
        "keepalived(8); keepalived.conf(5)",
        extras=(
            Extra(
                named("NET_ADMIN NET_BROADCAST NET_RAW"),
                host_network=True,
                reason="moves addresses between machines",
                advice="an orchestrator moves services by itself: a load balancer may take its place",
            ),
        ),
    ),
    "openvpn": Known(
        "openvpn(8), --dev",
        _SERVER_FILES | named("SYS_CHROOT"),
        (Extra(named("NET_ADMIN"), ("/dev/net/tun",), reason="makes network interfaces"),),
    ),
    "charon": Known(
        "docs.strongswan.org, Reduced Privileges",
        extras=(Extra(named("NET_ADMIN"), reason="sets the kernel's IPsec up"),),
    ),
    "charon-systemd": Known(
        "docs.strongswan.org, Reduced Privileges",
        extras=(Extra(named("NET_ADMIN"), reason="sets the kernel's IPsec up"),),
    ),
    "pluto": Known("ipsec_pluto(8)", extras=(Extra(_NET_ADMIN, reason="sets the kernel's IPsec up"),)),
    "xl2tpd": Known("xl2tpd(8)", extras=(Extra(named("NET_ADMIN"), ("/dev/ppp",), reason="starts pppd"),)),
    "pptpd": Known("pptpd(8)", extras=(Extra(_NET_ADMIN, ("/dev/ppp",), reason="starts pppd"),)),
    "pppd": Known("pppd(8)", extras=(Extra(named("NET_ADMIN"), ("/dev/ppp",), reason="makes interfaces"),)),
    "hostapd": Known("hostapd(8)", extras=(Extra(_NET_ADMIN, reason="runs a radio", host_network=True),)),
    "bird": Known("bird.network.cz, User's Guide, Privileges", extras=(_ROUTING,)),
    "zebra": Known("zebra(8)", extras=(_ROUTING,)),
    "bgpd": Known("bgpd(8)", extras=(_ROUTING,)),
    "ospfd": Known("ospfd(8)", extras=(_ROUTING,)),
    "watchfrr": Known("watchfrr(8)", extras=(_ROUTING,)),
    "conntrackd": Known("conntrackd(8)", extras=(_ROUTING,)),
    "ulogd": Known("ulogd(8)", extras=(_SNIFFING,)),
    "fail2ban-server": Known(
        "fail2ban-server(1)",
        extras=(
            Extra(
                _NET_ADMIN,
                host_network=True,
                reason="shuts addresses out of the host's network, by other services' logs",
                advice="run it on the hosts, over the containers' logs",
            ),
        ),
    ),
    "suricata": Known("suricata(1)", extras=(_SNIFFING,)),
    "snort": Known("snort(8)", extras=(_SNIFFING,)),
    "zeek": Known("docs.zeek.org, Quick start", extras=(_SNIFFING,)),
    "arpwatch": Known("arpwatch(8)", extras=(_SNIFFING,)),
    "ntopng": Known("ntopng(8)", extras=(_SNIFFING,)),
    "tcpdump": Known("tcpdump(8)", extras=(_SNIFFING,)),
    "minidlnad": Known(
        "minidlnad(1)",
        extras=(Extra(host_network=True, optional=True, reason="announces itself by multicast"),),
    ),
    # Watching
    "snmpd": Known("snmpd(8), -u", _SERVER_FILES),
    "smokeping": Known("smokeping(1)", helpers=("/usr/bin/fping",)),
    "zabbix_server": Known("www.zabbix.com/documentation, Simple checks", helpers=("/usr/bin/fping",)),
    "zabbix_proxy": Known("www.zabbix.com/documentation, Simple checks", helpers=("/usr/bin/fping",)),
    "nagios4": Known(
        "monitoring-plugins.org, check_icmp",
        helpers=("/usr/lib/nagios/plugins/check_icmp",),
    ),
    "nagios": Known(
        "monitoring-plugins.org, check_icmp",
        helpers=("/usr/lib64/nagios/plugins/check_icmp",),
    ),
    "icinga2": Known(
        "monitoring-plugins.org, check_icmp",
        helpers=("/usr/lib/nagios/plugins/check_icmp",),
    ),
    "netdata": Known(
        "learn.netdata.cloud, Install with Docker",
        extras=(Extra(named("SYS_PTRACE SYS_ADMIN"), reason="looks at the host's processes", optional=True),),
    ),
    "smartd": Known("smartd(8)", extras=(Extra(named("SYS_RAWIO"), reason="asks disks for their health"),)),
    "gpsd": Known("gpsd(8)", extras=(Extra(named("SYS_TIME"), reason="gives the time", optional=True),)),
    # What runs others
    "dockerd": Known("dockerd(8)", extras=(_HOST,)),
    "containerd": Known("containerd(8)", extras=(_HOST,)),
    "crio": Known("crio(8)", extras=(_HOST,)),
    "kubelet": Known("kubernetes.io/docs, kubelet", extras=(_HOST,)),
    "k3s": Known("docs.k3s.io, Advanced options", extras=(_HOST,)),
    "libvirtd": Known("libvirtd(8)", extras=(_HOST,)),
    "virtqemud": Known("virtqemud(8)", extras=(_HOST,)),
    "lxd": Known("documentation.ubuntu.com/lxd, Security", extras=(_HOST,)),
    "autofs": Known("autofs(8)", extras=(Extra(named("SYS_ADMIN"), reason="mounts file systems"),)),
    "automount": Known("automount(8)", extras=(Extra(named("SYS_ADMIN"), reason="mounts file systems"),)),
    "multipathd": Known("multipathd(8)", extras=(_HOST,)),
    "iscsid": Known("iscsid(8)", extras=(_HOST,)),
    "tgtd": Known("tgtd(8)", extras=(Extra(named("SYS_RAWIO IPC_LOCK"), reason="serves disks"),)),
    "Xorg": Known("Xorg(1)", extras=(Extra(named("SYS_ADMIN"), ("/dev/dri",), reason="drives a screen"),)),
}
"""By the name that ``converters.guest.ports.program_name`` gives."""
