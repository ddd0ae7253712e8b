"""What a compose file says to the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.verify.engine import VerifyError
from orchestrator.verify.project import read_project
from orchestrator.verify.watch import secrets_of

FILE = """
name: web
services:
  app:
    image: "registry.example/vms/web@sha256:1"
    network_mode: "service:web"
    environment:
      PRICE: "5$$"
    volumes: ["run-app:/run/app", "data:/srv:ro"]
    stop_grace_period: "1m30s"
  web:
    image: "registry.example/vms/web@sha256:0"
    ports: ["80:80"]
    restart: "always"
    cpus: 1.500
    tmpfs: ["/run:mode=755"]
    extra_hosts: ["db:192.0.2.1"]
  nightly:
    image: "registry.example/vms/web@sha256:2"
    profiles: ["jobs"]
volumes:
  run-app: {}
  data: {}
"""


def test_a_file_like_ours() -> None:
    web, app = read_project(FILE)
    assert (web.key, app.key) == ("web", "app")  # who owns the network comes first; jobs are not started
    assert app.shares_network_of == "web"
    assert app.volumes == (("run-app", "/run/app", "rw"), ("data", "/srv", "ro"))
    assert app.arguments["environment"] == {"PRICE": "5$"}
    assert (app.stop_seconds, web.stop_seconds) == (90, 10)
    assert web.arguments == {
        "image": "registry.example/vms/web@sha256:0",
        "nano_cpus": 1_500_000_000,
        "tmpfs": {"/run": "mode=755"},
        "extra_hosts": {"db": "192.0.2.1"},
    }


def test_secrets_are_files_beside_it(tmp_path: Path) -> None:
    (web,) = read_project(
        "services:\n  web:\n    image: x\n    secrets: [{source: key, target: /.orchestrate/key}]\n"
        "secrets: {key: {file: ./web.secrets/key}}\n"
    )
    with pytest.raises(VerifyError, match=r"web\.secrets/key"):
        secrets_of(web, tmp_path)
    (tmp_path / "web.secrets").mkdir()
    (tmp_path / "web.secrets/key").write_bytes(b"secret")
    assert secrets_of(web, tmp_path) == {"/.orchestrate/key": (b"secret", 0o400)}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cgroup_parent: x", "cgroup_parent"),
        ("volumes: ['/etc:/host']", "/etc"),
        ("volumes: ['./a:/b']", "./a"),
    ],
)
def test_what_it_cannot_start_is_told(line: str, message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        read_project(f"services:\n  web:\n    image: x\n    {line}\n")


def test_no_file_starts_any_number_of_containers() -> None:
    with pytest.raises(VerifyError, match="201 services"):
        read_project("services:\n" + "".join(f"  s{number}: {{image: x}}\n" for number in range(201)))
