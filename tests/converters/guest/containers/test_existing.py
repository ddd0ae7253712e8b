"""Containers that a guest already runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from converters.guest.accounts import Accounts
from converters.guest.containers.find import existing_containers
from converters.guest.containers.values import Engine, ExistingContainer
from converters.guest.files import GuestFiles
from converters.guest.services.unit_file import Settings, parse_unit
from tests.converters.guest.conftest import Plant
from tests.directory_filesystem import DirectoryFilesystem

ID = "0123456789abcdef" * 4
CONTAINERS = "containers/storage/overlay-containers/containers.json"
FOLDER = f"/var/lib/docker/containers/{ID}"


def found(files: GuestFiles) -> tuple[ExistingContainer, ...]:
    return existing_containers(files, Accounts(files))


def docker(name: str = "/web") -> dict[str, str]:
    config = {
        "Name": name,
        "State": {"Running": True},
        "Config": {
            "Image": "nginx:1.25",
            "Labels": {
                "com.docker.compose.project": "shop",
                "com.docker.compose.project.working_dir": "/srv/shop",
                "com.docker.compose.project.config_files": "compose.yaml,/srv/shop/prod.yaml",
            },
        },
        "MountPoints": {
            "/data": {"Name": "shop_data", "Destination": "/data"},
            "/etc/x": {"Source": "/srv/shop/x", "Destination": "/etc/x"},
        },
    }
    host = {
        "RestartPolicy": {"Name": "unless-stopped"},
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
        "Binds": ["/srv/shop/x:/etc/x"],
    }
    return {f"{FOLDER}/config.v2.json": json.dumps(config), f"{FOLDER}/hostconfig.json": json.dumps(host)}


def test_docker(plant: Plant) -> None:
    files = plant({**docker(), f"{FOLDER}/{ID}-json.log": "{}\n"})
    assert found(files) == (
        ExistingContainer(
            Engine.DOCKER,
            "web",
            "nginx:1.25",
            f"{FOLDER}/config.v2.json",
            running=True,
            restart="unless-stopped",
            ports=("127.0.0.1:8080:80/tcp",),
            data=("/srv/shop/x:/etc/x", "shop_data:/data"),
            project="shop",
            files=("/srv/shop/compose.yaml", "/srv/shop/prod.yaml"),
        ),
    )
    (note,) = files.notes
    assert "1 container of Docker, which are not converted: web (nginx:1.25)" in note
    assert "with /srv/shop/compose.yaml, /srv/shop/prod.yaml of the guest" in note
    assert "(/srv/shop/x, shop_data)" in note


def test_docker_elsewhere(plant: Plant) -> None:
    moved = {path.replace("/var/lib/docker", "/data/docker"): text for path, text in docker().items()}
    files = plant({"/etc/docker/daemon.json": '{"data-root": "/data/docker"}', **moved})
    assert [one.name for one in found(files)] == ["web"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[" * 100_000,
        '{"Name": 7, "Config": [], "State": "x", "MountPoints": {"a": 1, "b": {"Name": []}}}',
        '{"Config": {"Image": {"x": 1}, "Labels": {"com.docker.compose.project.config_files": 3}}}',
        '{"Name": "\\ud800", "Config": {"Image": "' + "x" * 5000 + '"}}',
    ],
)
def test_damaged_and_hostile_records(plant: Plant, text: str) -> None:
    files = plant({f"{FOLDER}/config.v2.json": text, f"{FOLDER}/hostconfig.json": text})
    containers = found(files)
    assert containers or "is damaged" in files.notes[0]
    assert all(len(one.image) <= 400 and one.name.encode() for one in containers)


def test_podman_of_root_and_of_users(plant: Plant) -> None:
    def stored(name: str, image: str) -> str:
        metadata = json.dumps({"image-name": image, "name": name, "x": "y" * 1000})
        infra = {"id": "ab" * 32, "names": ["p-infra"], "metadata": "{}"}
        return json.dumps([{"id": "cd" * 32, "names": [name], "metadata": metadata}, infra])

    files = plant(
        {
            "/etc/passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
            f"/var/lib/{CONTAINERS}": stored("db", "docker.io/postgres:16"),
            f"/home/app/.local/share/{CONTAINERS}": stored("bot", "x/bot:1"),
        }
    )
    assert [(one.engine, one.name, one.image) for one in found(files)] == [
        (Engine.PODMAN, "db", "docker.io/postgres:16"),
        (Engine.PODMAN, "bot", "x/bot:1"),
    ]


def test_quadlets(plant: Plant) -> None:
    files = plant(
        {
            "/etc/containers/systemd/web.container": "[Container]\nImage=docker.io/nginx:1.25\n"
            "PublishPort=8080:80\nVolume=web.volume:/data\n[Service]\nRestart=always\n",
            "/etc/containers/systemd/web.volume": "[Volume]\n",
            "/etc/containers/systemd/app.kube": "[Kube]\nYaml=/srv/app.yaml\n",
        }
    )
    assert found(files) == (
        ExistingContainer(Engine.QUADLET, "app", "/srv/app.yaml", "/etc/containers/systemd/app.kube"),
        ExistingContainer(
            Engine.QUADLET,
            "web",
            "docker.io/nginx:1.25",
            "/etc/containers/systemd/web.container",
            restart="always",
            ports=("8080:80",),
            data=("web.volume:/data",),
        ),
    )


def test_a_node_of_kubernetes(plant: Plant) -> None:
    pod = "/var/log/pods/shop_web-7d9_3fa85f64-5717-4562-b3fc-2c963f66afa6"
    files = plant(
        {
            f"{pod}/nginx/0.log": "",
            "/var/lib/kubelet/pods/3fa85f64-5717-4562-b3fc-2c963f66afa6/etc-hosts": "",
            "/etc/kubernetes/manifests/etcd.yaml": "",
            "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db": "",
        }
    )
    (one,) = found(files)
    assert (one.engine, one.name, one.project) == (Engine.KUBERNETES, "nginx", "shop/web-7d9")
    assert "drain this one" in files.notes[0]


def test_a_node_whose_logs_are_gone(plant: Plant) -> None:
    files = plant({"/etc/kubernetes/manifests/etcd.yaml": "", "/var/lib/kubelet/pods/x": ""})
    assert [one.name for one in found(files)] == ["etcd.yaml"]


def test_containerd_alone(plant: Plant) -> None:
    files = plant({"/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db": ""})
    assert [one.engine for one in found(files)] == [Engine.CONTAINERD]


def test_a_guest_without_containers(plant: Plant) -> None:
    files = plant({"/etc/passwd": "root:x:0:0::/root:/bin/sh\n"})
    assert found(files) == ()
    assert files.notes == ()


def test_real_quadlet_files(cases: Path, plant: Plant) -> None:
    real = sorted((cases / "QUADLET-01").rglob("*.container"))
    files = plant({f"/etc/containers/systemd/{path.name}": path.read_text(encoding="utf-8") for path in real})
    images = {one.source.rpartition("/")[2]: one.image for one in found(files)}
    assert len(images) == len(real) > 10
    for path in real:
        unit = Settings(parse_unit(path.read_text(encoding="utf-8")))
        assert images[path.name] == unit.last("Container", "Image")


def test_podmans_own_list(tmp_path: Path) -> None:
    """The list as podman itself writes it, where podman is."""
    if shutil.which("podman") is None:
        pytest.skip("podman is not here: apt-get install podman")
    root = tmp_path / "storage"
    base = ["podman", "--root", str(root), "--runroot", str(tmp_path / "run"), "--storage-driver", "vfs"]
    empty = tmp_path / "empty.tar"
    subprocess.run(["tar", "-cf", str(empty), "-T", "/dev/null"], check=True)
    subprocess.run([*base, "import", "-q", str(empty), "localhost/tool:1"], check=True, capture_output=True)
    made = subprocess.run([*base, "create", "--name", "tool", "localhost/tool:1", "/x"], capture_output=True)
    if made.returncode:
        pytest.skip(f"podman makes no container here: {made.stderr.decode(errors='replace')[-200:]}")
    tree = tmp_path / "guest"
    target = tree / "var/lib/containers/storage/vfs-containers"
    target.mkdir(parents=True)
    shutil.copy(root / "vfs-containers/containers.json", target)
    (one,) = found(GuestFiles(DirectoryFilesystem(tree)))
    assert (one.name, one.image) == ("tool", "localhost/tool:1")
