"""Secrets that are moved out of images: no image holds them, and containers have them all the same."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
import yaml

from converters import process
from converters.hardening import Hardening, Secrets
from converters.manifests.compose import compose
from converters.manifests.kinds import Manifest
from converters.request import Converted
from deploy.demo import dockerd
from deploy.demo.guests import layout, tiny
from deploy.demo.guests.debian import as_root
from deploy.demo.registry import Registry, registry
from orchestrator import deployment_files
from tests.converters.conversions import request, run
from tests.corpus.compose import up
from tests.images import pull
from tests.waiting import until

pytestmark = pytest.mark.root

KEY = "-----BEGIN PRIVATE KEY-----\ncanary in a key\n-----END PRIVATE KEY-----\n"
CANARIES = (b"canary in a key", b"canary-variable", b"canary-file", b"canary-of-a-person")
UNIT = """[Service]
User=app
Group=app
Environment=APP_TOKEN=canary-variable COLOUR=blue
EnvironmentFile=/etc/web.env
ExecStart=/bin/busybox httpd -f -p 8080 -h /srv/www
"""


def _disk(folder: Path) -> Path:
    """A web server whose program is not root's, with a key under two names, and variables."""
    tree = folder / "tree"
    tiny.populate(tree, "vault")
    for name in ("etc/web", "home/ann/.ssh", "srv/backup"):
        (tree / name).mkdir(parents=True)
    (tree / "etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/srv/www:/bin/sh\nann:x:1001:1001::/home/ann:/bin/sh\n"
    )
    (tree / "etc/group").write_text("root:x:0:\napp:x:1000:\nann:x:1001:\n")
    key = tree / "etc/web/tls.key"
    key.write_text(KEY)
    os.chown(key, 1000, 1000)
    key.chmod(0o400)
    (tree / "srv/backup/copy").hardlink_to(key)
    (tree / "etc/web.env").write_text("DB_PASSWORD=canary-file\n")
    (tree / "home/ann/.ssh/id_rsa").write_text(KEY.replace("canary in a key", "canary-of-a-person"))
    (tree / "etc/systemd/system/web.service").write_text(UNIT)
    disk, plan = folder / "disk.raw", tiny.partitions(0)
    layout.write_table(disk, plan)
    (built,), _ = layout.place(plan)
    process.run(as_root(layout.filesystem_command(disk, plan.partitions[0], built, tree)))
    shutil.rmtree(tree)
    return disk


@dataclass(frozen=True)
class Vault:
    """The machine, converted."""

    server: Registry
    disk: Path
    converted: Converted

    @property
    def reference(self) -> str:
        return f"{self.converted.target.repository}@{self.converted.digest}"


def _convert(server: Registry, name: str, disk: Path, scratch: Path, hardening: Hardening) -> Converted:
    scratch.mkdir()
    return run(replace(request(server, name, disk), hardening=hardening), scratch)


EXTRACT = Hardening(secrets=Secrets.EXTRACT)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    folder = tmp_path_factory.mktemp("vault")
    with ExitStack() as stack:
        server = stack.enter_context(registry())
        disk = _disk(folder)
        yield Vault(server, disk, _convert(server, "vault", disk, folder / "scratch", EXTRACT))


def _found(vault: Vault, name: str, folder: Path) -> list[bytes]:
    """The canaries that are in an image's layers, configuration or manifest."""
    pulled = pull(vault.server, f"vms/{name}", "latest", folder)
    parts = [path.read_bytes() for path in folder.glob("layer-*.tar")]
    parts += [json.dumps(pulled.config).encode(), json.dumps(pulled.manifest).encode()]
    return [canary for canary in CANARIES if any(canary in part for part in parts)]


def test_no_image_holds_them(vault: Vault, tmp_path: Path) -> None:
    assert _found(vault, "vault", tmp_path) == []


def test_without_being_asked_for_they_stay_and_that_is_told(vault: Vault, tmp_path: Path) -> None:
    kept = _convert(vault.server, "kept", vault.disk, tmp_path / "scratch", Hardening())
    assert _found(vault, "kept", tmp_path) == list(CANARIES)
    assert any(note.startswith("Private keys are in the image: /etc/web/tls.key") for note in kept.plan.notes)
    assert kept.secret_files == ()


def test_kinds_and_paths_can_be_chosen(vault: Vault, tmp_path: Path) -> None:
    chosen = Hardening(secrets=Secrets.EXTRACT, extract=("/etc/web/*", "variable"))
    converted = _convert(vault.server, "chosen", vault.disk, tmp_path / "scratch", chosen)
    assert _found(vault, "chosen", tmp_path) == [b"canary-file", b"canary-of-a-person"]
    # The unit's own file has the variable, too.
    held = [one.path for one in converted.plan.held]
    assert held == ["/etc/systemd/system/web.service", "/etc/web/tls.key"]


def test_nothing_that_is_told_shows_them(vault: Vault) -> None:
    converted = vault.converted
    text = compose(converted.plan, vault.reference, converted.services)
    for shown in (repr(converted.plan), repr(converted.secret_files), repr(converted.removals), text):
        assert not [canary for canary in CANARIES if canary.decode() in shown]
    assert any(note.startswith("Private keys were moved out") for note in converted.plan.notes)


def test_the_same_disk_gives_the_same_digest(vault: Vault, tmp_path: Path) -> None:
    again = _convert(vault.server, "vault", vault.disk, tmp_path / "scratch", EXTRACT)
    assert again.digest == vault.converted.digest


def test_they_are_files_that_nobody_else_reads(vault: Vault, tmp_path: Path) -> None:
    kinds = [Manifest.COMPOSE, Manifest.KUBERNETES]
    secrets = vault.converted.secrets
    deployment_files.write(tmp_path, kinds, vault.converted, vault.reference, secrets=secrets)
    for folder in (tmp_path / "vault.secrets", tmp_path / "vault.kubernetes" / "secrets"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        # A person's key too, which no container gets: nothing is lost.
        given = b"\n".join(path.read_bytes() for path in folder.iterdir())
        assert [canary for canary in CANARIES if canary in given] == list(CANARIES)
    others = [path for path in tmp_path.rglob("*") if path.is_file() and "secrets" not in path.parent.name]
    text = b"".join(path.read_bytes() for path in others)
    assert len(others) > 2
    assert not [canary for canary in CANARIES if canary in text]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=2).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_its_container_has_them_where_they_were(vault: Vault, engine: dockerd.Engine, tmp_path: Path) -> None:
    secrets = vault.converted.secrets
    deployment_files.write(tmp_path, [Manifest.COMPOSE], vault.converted, vault.reference, secrets=secrets)
    document = yaml.safe_load((tmp_path / "vault.compose.yaml").read_text())
    engine.pull(vault.reference)
    with up(engine, document, tmp_path) as containers:
        container = containers["vault"]
        url = f"http://{engine.address(container)}:{tiny.PORT}/"
        until(lambda: _answers(url), 30)
        look = ["/bin/busybox", "stat", "-c", "%u %g %a", "/etc/web/tls.key"]
        assert container.exec_run(look).output == b"1000 1000 400\n"
        assert container.exec_run(["cat", "/etc/web/tls.key"], user="1000").output == KEY.encode()
        seen = container.exec_run(["sh", "-c", "cat /proc/[0-9]*/environ"], user="1000").output
        assert b"APP_TOKEN=canary-variable" in seen
        assert b"DB_PASSWORD=canary-file" in seen
        # A person's key is in nobody's container.
        assert container.exec_run(["ls", "/home/ann/.ssh"]).output == b""
        container.restart()
        until(lambda: _answers(url), 30)
