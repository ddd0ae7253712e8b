"""Where a guest's secrets are found, and that they are never repeated."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from converters.guest.facts import GuestFacts
from converters.guest.inspect import inspect
from converters.guest.secrets.content import is_value, key_kind, settings, variable_holds_secret
from converters.guest.secrets.values import Secret, SecretKind
from tests.converters.guest.conftest import Plant
from tests.directory_filesystem import DirectoryFilesystem

LIB, ETC = "/usr/lib/systemd/system", "/etc/systemd/system"
KEY = "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----\n"
BASE = {
    "/etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    f"{LIB}/default.target": "[Unit]\n",
    f"{LIB}/app.service": "[Service]\nUser=app\nExecStart=/opt/app/run --config /etc/app/app.yml\n"
    "Environment=DB_PASSWORD=CANARY HOME_URL=https://x.example/\n",
    f"{ETC}/default.target.wants/app.service": f"-> {LIB}/app.service",
    f"{LIB}/nginx.service": "[Service]\nExecStart=/usr/sbin/nginx\n",
    f"{ETC}/default.target.wants/nginx.service": f"-> {LIB}/nginx.service",
}


def _facts(plant: Plant, root: Path, files: Mapping[str, str]) -> GuestFacts:
    plant({**BASE, **files})
    return inspect(DirectoryFilesystem(root))


@pytest.mark.parametrize(
    ("path", "text", "kind", "name", "services"),
    [
        ("/etc/ssl/private/web.key", KEY, SecretKind.PRIVATE_KEY, "", ()),
        ("/etc/nginx/ssl/web.pem", KEY, SecretKind.PRIVATE_KEY, "", ("nginx",)),
        ("/etc/app/app.yml", "db:\n  password: 'CANARY'\n", SecretKind.PASSWORD, "password", ("app",)),
        ("/home/app/.ssh/id_rsa", KEY.replace("PRIV", "OPENSSH PRIV"), SecretKind.PRIVATE_KEY, "", ("app",)),
        ("/root/.aws/credentials", "[default]\nx=CANARY", SecretKind.CLOUD_CREDENTIALS, "", ()),
        ("/root/.my.cnf", "[client]\npassword=CANARY", SecretKind.PASSWORD_FILE, "", ()),
        (
            "/home/app/.docker/config.json",
            '{"auths":{"r":{"auth":"CANARY"}}}',
            SecretKind.TOKEN,
            "",
            ("app",),
        ),
        ("/etc/shadow", "root:$y$j9T$CANARYCANARY:1::::::\n", SecretKind.LOGIN_HASHES, "", ()),
        ("/etc/ssh/ssh_host_rsa_key", KEY, SecretKind.SSH_HOST_KEY, "", ()),
        ("/etc/redis/redis.conf", "requirepass CANARY\n", SecretKind.PASSWORD, "requirepass", ()),
        (
            "/var/www/html/wp-config.php",
            "define( 'DB_PASSWORD', 'CANARY' );",
            SecretKind.PASSWORD,
            "DB_PASSWORD",
            (),
        ),
        ("/srv/app/settings.py", "SECRET_KEY = 'CANARY'\n", SecretKind.TOKEN, "SECRET_KEY", ()),
        ("/opt/app/.env", "export API_TOKEN=CANARY\n", SecretKind.TOKEN, "API_TOKEN", ()),
        ("/opt/app/config.php", "$db['a']['password'] = 'CANARY';", SecretKind.PASSWORD, "password", ()),
        (
            "/opt/tomcat/conf/tomcat-users.xml",
            '<user name="a" password="CANARY"/>',
            SecretKind.PASSWORD,
            "password",
            (),
        ),
        ("/opt/app/config.ini", "url = postgres://u:CANARY@db/x\n", SecretKind.CONNECTION_URL, "", ()),
        ("/etc/nginx/.htpasswd", "a:$apr1$CANARY\n", SecretKind.PASSWORD_FILE, "", ("nginx",)),
    ],
)
def test_what_is_found(
    plant: Plant, tmp_path: Path, path: str, text: str, kind: SecretKind, name: str, services: tuple[str, ...]
) -> None:
    facts = _facts(plant, tmp_path, {path: text})
    (found,) = (secret for secret in facts.secrets if secret.path == path)
    assert (found.kind, found.name, found.services, found.size) == (kind, name, services, len(text))


def test_nothing_of_a_secret_is_told(plant: Plant, tmp_path: Path) -> None:
    files = {"/etc/nginx/web.key": KEY, "/opt/app/.env": "PASSWORD=CANARY\nhttps://u:CANARY@h/\n"}
    facts = _facts(plant, tmp_path, files)
    assert len(facts.secrets) == 4
    assert "CANARY" not in repr((facts.secrets, facts.notes))


def test_variables_of_a_service(plant: Plant, tmp_path: Path) -> None:
    (found,) = _facts(plant, tmp_path, {}).secrets
    assert (found.kind, found.name, found.services) == (SecretKind.VARIABLE, "DB_PASSWORD", ("app",))
    assert found.path == f"{LIB}/app.service"


def test_a_key_that_a_configuration_names(plant: Plant, tmp_path: Path) -> None:
    files = {
        "/etc/nginx/sites-enabled/web": "ssl_certificate_key /data/tls/web.key;\n",
        "/data/tls/web.key": "-> real.pem",
        "/data/tls/real.pem": KEY,
    }
    (found,) = (one for one in _facts(plant, tmp_path, files).secrets if one.kind is SecretKind.PRIVATE_KEY)
    # Where the key is, not the link to it: that is what a layer would hold.
    assert (found.path, found.services) == ("/data/tls/real.pem", ("nginx",))


@pytest.mark.parametrize(
    "line",
    [
        "PasswordAuthentication yes",
        "# password = CANARY",
        "password=",
        "password = ${DB_PASSWORD}",
        "password_file = /run/secrets/x",
        "token: no",
        "password: {{ vault_password }}",
        "passwd:         files systemd",
        "url = http://example.org:80/",
        "tokens = 5",
    ],
)
def test_what_is_none(line: str) -> None:
    found = list(settings(line))
    assert found == ([(SecretKind.PASSWORD, "passwd")] if line.startswith("passwd:") else [])


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xfe\xed\xfe\xed\0\0\0\2", SecretKind.KEYSTORE),
        (b"\x30\x82\x0a\x00\x02\x01\x03\x30\x82", SecretKind.KEYSTORE),
        (b"\x30\x82\x04\xa2\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7", SecretKind.PRIVATE_KEY),
        (b"\x05\x02" + bytes(40), SecretKind.KEYTAB),
        (b"\x30\x82\x05\x00\x30\x82\x03\xe8", None),
        (b"", None),
    ],
)
def test_keys_that_are_no_text(head: bytes, kind: SecretKind | None) -> None:
    assert key_kind(head) is kind


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("DB_PASSWORD", "abc", True),
        ("PGPASSWORD", "abc", True),
        ("MYSQL_PWD", "abc", True),
        ("PWD", "/srv", False),
        ("AWS_SECRET_ACCESS_KEY", "abc", True),
        ("DATABASE_URL", "postgres://u:p@h/d", True),
        ("DATABASE_URL", "postgres://h/d", False),
        ("PASSWORD_FILE", "/run/x", False),
        ("TOKEN", "", False),
        ("PATH", "/bin", False),
    ],
)
def test_names_of_variables(name: str, value: str, expected: bool) -> None:
    assert variable_holds_secret(name, value) is expected


def test_values_that_say_where_a_secret_is() -> None:
    assert [is_value(text) for text in ("abc;", "''", "$X", "env:Y", "None", "/run/x", " ")] == [
        *(True, True, False, False, False, False, False)
    ]


def test_hostile_text_costs_little() -> None:
    began = time.monotonic()
    for text in (
        "password" * 100_000,
        "define(" * 100_000,
        "a://b:" * 100_000,
        "pass='\n" * 100_000,
        "-" * 10**6,
    ):
        list(settings(text))
    assert time.monotonic() - began < 2


def test_a_crowd_is_looked_at_in_part_and_said_so(plant: Plant, tmp_path: Path) -> None:
    files = {f"/etc/crowd/{number:05}.conf": "password = CANARY\n" for number in range(1_100)}
    facts = _facts(plant, tmp_path, files)
    assert len(facts.secrets) == 1_000
    assert any("Not every file was looked through for secrets" in note for note in facts.notes)


def _named(secrets: tuple[Secret, ...]) -> set[str]:
    return {secret.path for secret in secrets}


def test_people_without_homes_have_none(plant: Plant, tmp_path: Path) -> None:
    users = "root:x:0:0::/:/bin/sh\nx:x:1:1::/nonexistent:/bin/sh\ny:x:2:2::nowhere:/bin/sh\n"
    facts = _facts(plant, tmp_path, {"/etc/passwd": users, "/.my.cnf": "password=CANARY"})
    assert "/.my.cnf" not in _named(facts.secrets)
