"""Configuration and manifest documents."""

from __future__ import annotations

import json

from converters.image.config import (
    CONFIG_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE,
    RunConfig,
    describe,
    image_config,
    manifest,
    standard_labels,
    vm_labels,
)
from converters.image.layer import LAYER_MEDIA_TYPE, Layer
from converters.outputs.base import Descriptor

LAYER = Layer("sha256:" + "a" * 64, Descriptor(LAYER_MEDIA_TYPE, "sha256:" + "b" * 64, 10), 20)


def test_config_holds_what_an_engine_needs() -> None:
    labels = {
        **standard_labels(title="web"),
        **vm_labels(name="Wéb", moref="vm-1", instance_uuid="", datacenter="DC0"),
    }
    run = RunConfig(
        entrypoint=("/usr/sbin/nginx", "-g", "daemon off;"),
        env=(("PATH", "/usr/bin"), ("A", "1=2")),
        user="www-data",
        exposed_ports=("80/tcp",),
        stop_signal="SIGQUIT",
        volumes=("/var/lib/x",),
        labels=tuple(labels.items()),
    )
    document = json.loads(image_config(run, [LAYER], architecture="arm", variant="v7"))
    assert document["rootfs"] == {"type": "layers", "diff_ids": [LAYER.diff_id]}
    assert (document["os"], document["architecture"], document["variant"]) == ("linux", "arm", "v7")
    assert len(document["history"]) == 1
    assert document["config"] == {
        "Entrypoint": ["/usr/sbin/nginx", "-g", "daemon off;"],
        "Env": ["PATH=/usr/bin", "A=1=2"],
        "ExposedPorts": {"80/tcp": {}},
        "Labels": {
            "org.opencontainers.image.title": "web",
            "orchestrate.vm.name": "Wéb",
            "orchestrate.vm.moref": "vm-1",
            "orchestrate.vm.datacenter": "DC0",
        },
        "StopSignal": "SIGQUIT",
        "User": "www-data",
        "Volumes": {"/var/lib/x": {}},
    }


def test_documents_depend_on_their_values_alone() -> None:
    one = RunConfig(labels=(("b", "2"), ("a", "1")), exposed_ports=("80/tcp", "443/tcp"))
    other = RunConfig(labels=(("a", "1"), ("b", "2")), exposed_ports=("443/tcp", "80/tcp"))
    first, second = (image_config(run, [LAYER], architecture="amd64") for run in (one, other))
    assert first == second
    assert "variant" not in json.loads(first)


def test_manifest_names_config_and_layers() -> None:
    config = describe(b"{}", CONFIG_MEDIA_TYPE)
    document = json.loads(manifest(config, [LAYER.descriptor], {"k": "v"}))
    assert document == {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "config": {
            "mediaType": CONFIG_MEDIA_TYPE,
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "size": 2,
        },
        "layers": [{"mediaType": LAYER_MEDIA_TYPE, "digest": "sha256:" + "b" * 64, "size": 10}],
        "annotations": {"k": "v"},
    }
