"""A real engine: what is made is removed, also what a killed verification left."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Iterator

import pytest

from converters import init
from deploy.demo import dockerd
from orchestrator.verify.engine import EXPIRES, Engine, Listening, VerifyError
from tests.kernel import needs_root

pytestmark = needs_root

IMAGE = "orchestrate-test-engine:latest"


@pytest.fixture
def image(engine: dockerd.Engine) -> Iterator[str]:
    """An image that has nothing but the static init."""
    program = init.program("amd64")
    entry = tarfile.TarInfo("init")
    entry.size, entry.mode = len(program), 0o755
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(program))
    repository, _, tag = IMAGE.partition(":")
    engine.client.api.import_image_from_data(buffer.getvalue(), repository=repository, tag=tag)
    yield IMAGE
    engine.client.images.remove(IMAGE, force=True)


def names(engine: dockerd.Engine) -> set[str]:
    """Of all that may be left in it."""
    client = engine.client
    things = [*client.containers.list(all=True), *client.networks.list(), *client.volumes.list()]
    return {str(one.attrs["Name"]).lstrip("/") for one in things}


def test_what_a_block_makes_goes_with_it(engine: dockerd.Engine, image: str) -> None:
    before = names(engine)
    with Engine(f"unix://{engine.socket}") as used:
        used.begin(60)
        with used.image(image), used.network("verify-net") as network, used.volume("verify-vol") as volume:
            arguments = {
                "image": image,
                "name": "verify-one",
                "entrypoint": ["/init", "--hold"],
                "network_mode": network,
                "volumes": {volume: {"bind": "/data", "mode": "rw"}},
            }
            with used.container(arguments) as started:
                assert names(engine) == before | {"verify-net", "verify-vol", "verify-one"}
                assert started.ended() is None
                assert started.users() == (0,)
                assert not started.privileged()
                started.ask_to_end()
        assert names(engine) == before
    # It was there before, so it stays.
    assert engine.client.images.get(image)


def test_an_error_on_the_way_leaves_nothing(engine: dockerd.Engine, image: str) -> None:
    before = names(engine)
    wrong = {"image": image, "name": "verify-wrong", "entrypoint": ["/nothing"]}
    with Engine(f"unix://{engine.socket}") as used:
        used.begin(60)
        with (
            pytest.raises(VerifyError, match="verify-wrong"),
            used.network("verify-net"),
            used.container(wrong),
        ):
            pytest.fail("it was started")
    assert names(engine) == before


def test_what_a_killed_verification_left_goes_once_its_time_is_over(
    engine: dockerd.Engine, image: str
) -> None:
    client = engine.client
    old, young = {EXPIRES: "1"}, {EXPIRES: str(int(time.time()) + 60)}
    containers = [
        client.containers.create(image, entrypoint=["/init"], name=name, labels=labels)
        for name, labels in (("old", old), ("young", young))
    ]
    client.networks.create("old-net", labels=old)
    client.volumes.create("old-vol", labels=old)
    client.volumes.create("young-vol", labels=young)
    try:
        with Engine(f"unix://{engine.socket}") as used:
            used.begin(60)
        assert not {"old", "old-net", "old-vol"} & names(engine)
        assert {"young", "young-vol"} <= names(engine)
    finally:
        containers[1].remove()
        client.volumes.get("young-vol").remove()


def test_it_looks_from_inside_a_network(engine: dockerd.Engine, image: str) -> None:
    arguments = {
        "image": image,
        "name": "verify-quiet",
        "entrypoint": ["/init", "--hold"],
        "network_mode": "none",
    }
    with Engine(f"unix://{engine.socket}") as used:
        used.begin(60)
        with (
            used.container(arguments) as started,
            used.probe(image, f"container:{started.id}", "amd64") as probe,
        ):
            assert probe.sockets() == frozenset()
            assert probe.ask(Listening("tcp", "127.0.0.1", 80), b"", 1) is None
