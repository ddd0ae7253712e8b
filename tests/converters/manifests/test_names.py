"""Names of containers, volumes and objects: labels, no two the same, whatever a guest calls its things."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.guest.facts import DataDirectory, Directory
from converters.manifests.describe import machine
from converters.manifests.names import label, labels
from converters.manifests.volumes import VolumeKind, machine_volumes
from tests.converters.manifests.machines import DATABASE, IMAGES, NGINX, PLAN, REFERENCE

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@settings(deadline=None)
@given(st.lists(st.text(), unique=True, max_size=20), st.integers(20, 63))
def test_labels_are_labels_and_differ(texts: list[str], longest: int) -> None:
    names = labels(texts, longest, taken=("taken",))
    assert len({*names.values()}) == len(texts)
    assert all(LABEL.fullmatch(name) and len(name) <= longest for name in names.values())
    assert "taken" not in names.values()


def test_a_name_made_to_be_anothers() -> None:
    suffixed = labels(["A", "a"])["A"]
    assert len({*labels(["A", "a", suffixed]).values()}) == 3
    assert labels(["web"], taken=["web"])["web"].startswith("web-")


def test_machines_do_not_share_a_project() -> None:
    """A project's name is its volumes' too: two machines with one would have one database."""
    assert label("a.b") != label("a-b") == "a-b"
    names = [machine(PLAN, f"host/{name}@sha256:x").name for name in ("a.b", "a-b", "a_b", "x" * 120)]
    assert len({*names}) == 4 and all(len(name) <= 48 for name in names)


def test_a_service_called_like_its_machine() -> None:
    plan = replace(PLAN, services=(replace(NGINX, name="web-01"), DATABASE))
    images = (replace(IMAGES[0], name="web-01"), IMAGES[1])
    described = machine(plan, REFERENCE, images)
    assert described.name not in {container.key for container in described.containers}


def _volumes(*paths: str) -> list[str]:
    services = tuple(
        replace(DATABASE, name=f"s{number}", data=(DataDirectory(path, "x"),))
        for number, path in enumerate(paths)
    )
    plan = replace(PLAN, services=services, data_volumes=(), directories=())
    found = machine_volumes(plan)
    assert len({volume.name for volume in found}) == len(found)
    return [volume.path for volume in found if volume.kind is VolumeKind.DATA]


def test_one_directory_is_one_volume() -> None:
    assert _volumes("/var/mail", "/var/mail", "/var/mail/x", "/var/mail-x") == ["/var/mail", "/var/mail-x"]
    assert _volumes("/a/b-c", "/a-b/c") == ["/a/b-c", "/a-b/c"]


@pytest.mark.parametrize("path", ["/", "//x", "/a/../b", "/a:ro", "/a,b", "rel", "/a\nb", "/proc/x", "/dev"])
def test_no_volume_where_none_can_be(path: str) -> None:
    assert _volumes(path) == []
    if path.startswith("/") and path.isprintable():
        plan = replace(PLAN, services=(replace(DATABASE, data=(DataDirectory(path, "x"),)),))
        assert any(path in note for note in machine(plan, REFERENCE, IMAGES).notes)


def test_sockets_are_shared_one_level_below_run() -> None:
    directories = tuple(
        Directory(path, 0o755, 0, 0, "x") for path in ("/run/a/b", "/run/lock", "/run/../etc")
    )
    plan = replace(PLAN, directories=directories, data_volumes=())
    runs = [volume.path for volume in machine_volumes(plan) if volume.kind is VolumeKind.RUN]
    assert runs == ["/run/a", "/run/mysqld"]
    assert machine_volumes(replace(plan, services=(NGINX,))) == ()


def test_a_container_has_what_it_uses() -> None:
    described = machine(PLAN, REFERENCE, IMAGES)
    nginx, database = described.containers
    assert [volume.path for volume in nginx.volumes] == ["/srv", "/run/mysqld"]
    assert [volume.path for volume in database.volumes] == ["/srv", "/var/lib/mysql", "/run/mysqld"]
    assert described.hosts == (
        ("db01.example.org", "192.0.2.7"),
        ("db01", "192.0.2.7"),
        ("db01", "2001:db8::7"),
    )
