"""Where secrets are: files that are secrets by their names, and directories that are worth a look."""

from __future__ import annotations

from collections.abc import Mapping

from converters.guest.secrets.values import SecretKind

_CLOUD, _TOKEN, _FILE = SecretKind.CLOUD_CREDENTIALS, SecretKind.TOKEN, SecretKind.PASSWORD_FILE

HOME: Mapping[str, SecretKind] = {
    ".aws/credentials": _CLOUD,
    ".azure/accessTokens.json": _CLOUD,
    ".azure/msal_token_cache.json": _CLOUD,
    ".azure/service_principal_entries.json": _CLOUD,
    ".boto": _CLOUD,
    ".config/gcloud/access_tokens.db": _CLOUD,
    ".config/gcloud/application_default_credentials.json": _CLOUD,
    ".config/gcloud/credentials.db": _CLOUD,
    ".config/rclone/rclone.conf": _CLOUD,
    ".kube/config": _CLOUD,
    ".s3cfg": _CLOUD,
    ".docker/config.json": _TOKEN,
    ".config/gh/hosts.yml": _TOKEN,
    ".gem/credentials": _TOKEN,
    ".npmrc": _TOKEN,
    ".pypirc": _TOKEN,
    ".terraform.d/credentials.tfrc.json": _TOKEN,
    ".vault-token": _TOKEN,
    ".git-credentials": _FILE,
    ".my.cnf": _FILE,
    ".mylogin.cnf": _FILE,
    ".netrc": _FILE,
    ".pgpass": _FILE,
    ".smbcredentials": _FILE,
}
"""Files of a home, by the manual pages and documentation of the programs that read them."""

HOME_NEEDS: Mapping[str, tuple[str, ...]] = {
    ".docker/config.json": ('"auth"', '"identitytoken"'),
    ".npmrc": ("_authToken", "_password", "_auth"),
    ".pypirc": ("password",),
    ".my.cnf": ("password",),
    ".boto": ("secret", "token"),
    ".kube/config": ("token:", "client-key-data:", "password:"),
}
"""Of files that may hold other things too: words without which they hold no secret."""

SYSTEM: Mapping[str, SecretKind] = {
    "/etc/shadow": SecretKind.LOGIN_HASHES,
    "/etc/gshadow": SecretKind.LOGIN_HASHES,
    "/etc/shadow-": SecretKind.LOGIN_HASHES,
    "/etc/gshadow-": SecretKind.LOGIN_HASHES,
    "/etc/ipsec.secrets": _FILE,
    "/etc/ppp/chap-secrets": _FILE,
    "/etc/ppp/pap-secrets": _FILE,
    "/etc/rndc.key": _TOKEN,
    "/etc/bind/rndc.key": _TOKEN,
    "/etc/postfix/sasl_passwd": _FILE,
    "/etc/postfix/sasl_passwd.db": _FILE,
    "/etc/rancher/k3s/k3s.yaml": _CLOUD,
    "/etc/kubernetes/admin.conf": _CLOUD,
    "/var/lib/rabbitmq/.erlang.cookie": _TOKEN,
    "/var/lib/samba/private/passdb.tdb": SecretKind.LOGIN_HASHES,
    "/var/lib/samba/private/secrets.tdb": _FILE,
}

NOT_IN_ETC = frozenset(
    (
        *(
            "X11",
            "alternatives",
            "apparmor",
            "apparmor.d",
            "bash_completion.d",
            "ca-certificates",
            "console-setup",
        ),
        *(
            "cron.d",
            "cron.daily",
            "cron.hourly",
            "cron.monthly",
            "cron.weekly",
            "dbus-1",
            "dpkg",
            "emacs",
            "fonts",
        ),
        *("groff", "grub.d", "init.d", "kernel", "logcheck", "logrotate.d", "modprobe.d", "modules-load.d"),
        *(
            "network",
            "pam.d",
            "perl",
            "profile.d",
            "python3",
            "python3.11",
            "rc.d",
            "rc0.d",
            "rc1.d",
            "rc2.d",
        ),
        *("rc3.d", "rc4.d", "rc5.d", "rc6.d", "rcS.d", "security", "selinux", "skel", "sysctl.d", "systemd"),
        *(
            "adduser.conf",
            "debconf.conf",
            "ethertypes",
            "login.defs",
            "mime.types",
            "nsswitch.conf",
            "protocols",
        ),
        *("services", "sudoers"),
        *("terminfo", "tmpfiles.d", "ucf.conf", "udev", "update-motd.d", "vim", "xdg", "yum", "dnf"),
    )
)
"""Names in /etc below which no daemon's or application's secrets are; units are read with their services."""
NOT_BELOW = (
    "/etc/ssl/certs/",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/openssl.cnf",
    "/etc/pki/ca-trust/",
    "/etc/pki/java/",
    "/etc/apt/trusted.gpg.d/",
)

APPLICATIONS = ("/var/www", "/srv", "/opt", "/usr/local/etc", "/usr/share/nginx")
"""Where applications are that no package brought."""

APPLICATION_FILES = frozenset(
    (
        *(
            ".env",
            ".env.local",
            ".env.production",
            ".htpasswd",
            "LocalSettings.php",
            "app.ini",
            "appsettings.json",
        ),
        *("application.properties", "application.yaml", "application.yml", "config.inc.php", "config.ini"),
        *("config.json", "config.php", "config.toml", "config.yaml", "config.yml", "configuration.php"),
        *("context.xml", "credentials.json", "database.php", "database.yml", "db.php", "env.php"),
        *(
            "hibernate.cfg.xml",
            "local.xml",
            "local_settings.py",
            "master.key",
            "parameters.yml",
            "persistence.xml",
        ),
        *("secrets.json", "secrets.yaml", "secrets.yml", "server.xml", "settings.ini", "settings.php"),
        *("settings.py", "tomcat-users.xml", "web.config", "wp-config.php"),
    )
)
"""Configuration of frameworks and applications, by their documentation."""
KEY_ENDINGS = (".key", ".pem", ".p12", ".pfx", ".jks", ".keystore", ".keytab", ".ppk", ".htpasswd")

ALIASES: Mapping[str, tuple[str, ...]] = {
    "mariadbd": ("mysql", "my.cnf", "my.cnf.d"),
    "mysqld": ("mysql", "my.cnf", "my.cnf.d"),
    "postgres": ("postgresql", "postgresql-common"),
    "apache2": ("apache2",),
    "httpd": ("httpd",),
    "redis-server": ("redis", "redis.conf"),
    "php-fpm": ("php", "php-fpm.d"),
    "named": ("bind", "named", "rndc.key"),
    "smbd": ("samba",),
    "master": ("postfix",),
    "slapd": ("ldap", "openldap"),
    "charon": ("ipsec.d", "ipsec.secrets", "strongswan.d", "swanctl"),
}
"""Names in /etc of a program's configuration, where they are not its own."""
