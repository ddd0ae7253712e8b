"""Deployment files where they are wanted, and secrets readable for their owner alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from converters.guest.facts import GuestFacts, Inspection, Release
from converters.guest.secrets.values import SecretMount
from converters.manifests.kinds import Manifest
from converters.outputs.base import Descriptor
from converters.request import Converted, Target
from orchestrator import deployment_files
from tests.converters.manifests.machines import DATABASE, IMAGES, NGINX, PLAN, REFERENCE, REPOSITORY

SERVICE = replace(DATABASE, secrets=(SecretMount("key", "/etc/key", "/run/secrets/key"),))
CONVERTED = Converted(
    target=Target(REPOSITORY),
    manifest=b"",
    media_type="",
    digest="",
    config=Descriptor("", "", 0),
    layers=(),
    diff_ids=(),
    inspection=Inspection(GuestFacts(Release("debian", "12", "Debian", "debian", ""), "amd64", "", ""), ()),
    plan=replace(PLAN, services=(NGINX, SERVICE)),
    removals=(),
    entries=0,
    read_bytes=0,
    pushed_bytes=0,
    services=IMAGES,
)


def test_every_kind_is_written_with_its_secrets(tmp_path: Path) -> None:
    secrets = {"key": b"\0secret", "others": b"x"}
    written = deployment_files.write(tmp_path, Manifest, CONVERTED, REFERENCE, apart=True, secrets=secrets)
    assert [kind for kind, _ in written] == list(Manifest) and all(path.exists() for _, path in written)
    keys = {path.relative_to(tmp_path).as_posix(): path for path in tmp_path.rglob("key")}
    assert {*keys} == {
        "compose/web-01.secrets/key",
        "fig/web-01.secrets/key",
        "fleet/web-01.fleet/web-01.secrets/key",
        "kubernetes/web-01.kubernetes/secrets/key",
        "quadlet/web-01.quadlet/web-01.secrets/key",
        "run/web-01.secrets/key",
    }
    for path in keys.values():
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"\0secret", 0o600)
        assert path.parent.stat().st_mode & 0o777 == 0o700
    # What no container gets is in no image either: it would be lost.
    assert len([*tmp_path.rglob("others")]) == len(keys)


def test_one_machine_has_all_in_one_folder(tmp_path: Path) -> None:
    deployment_files.write(tmp_path, (Manifest.COMPOSE, Manifest.KUBERNETES), CONVERTED, REFERENCE)
    assert {path.name for path in tmp_path.iterdir()} == {"web-01.compose.yaml", "web-01.kubernetes"}
    # The variables of services may hold passwords.
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files and not any(path.stat().st_mode & 0o077 for path in files)
