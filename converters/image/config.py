"""OCI image configuration and manifest as deterministic JSON (image-spec 1.1, config.md and manifest.md)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from converters.image.layer import Layer
from converters.outputs.base import Descriptor

CONFIG_MEDIA_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"

OUR_LABELS = "orchestrate.vm."
"""What the names of this product's own labels begin with."""

EPOCH = "1970-01-01T00:00:00Z"
"""When an image was made, if nobody says: the clock is left out, so that one disk gives one digest."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How an engine starts a container of the image."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    user: str = ""
    """``user``, ``user:group``, by name or number; empty: root."""
    working_dir: str = ""
    exposed_ports: tuple[str, ...] = ()
    """``80/tcp``."""
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()
    """Paths in the container."""
    labels: tuple[tuple[str, str], ...] = ()


def vm_labels(*, name: str, moref: str, instance_uuid: str, datacenter: str) -> dict[str, str]:
    """Labels that tell which VM an image came from; values that are not known are left out."""
    values = {"name": name, "moref": moref, "instance-uuid": instance_uuid, "datacenter": datacenter}
    return {OUR_LABELS + key: value for key, value in values.items() if value}


def standard_labels(*, title: str, description: str = "", version: str = "") -> dict[str, str]:
    """The annotation keys of the image specification that a converted machine has values for."""
    values = {"title": title, "description": description, "version": version}
    return {f"org.opencontainers.image.{key}": value for key, value in values.items() if value}


def image_config(
    run: RunConfig,
    layers: Iterable[Layer],
    *,
    architecture: str,
    os: str = "linux",
    variant: str = "",
    created: str = EPOCH,
) -> bytes:
    """The image's configuration.

    Args:
        architecture: OCI's word (``amd64``, ``arm64``, ``386``…).
        variant: of the architecture (``v7``…).
        created: RFC 3339, from settings or a fixed one: never the clock.
    """
    layers = tuple(layers)
    document: dict[str, object] = {
        "created": created,
        "architecture": architecture,
        **({"variant": variant} if variant else {}),
        "os": os,
        "config": _run_config(run),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": created, "created_by": "orchestrate"} for _ in layers],
    }
    return _json(document)


def manifest(
    config: Descriptor, layers: Iterable[Descriptor], annotations: Mapping[str, str] | None = None
) -> bytes:
    """The manifest that names the configuration and the layers, base first."""
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "config": _descriptor(config),
        "layers": [_descriptor(layer) for layer in layers],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    return _json(document)


def describe(content: bytes, media_type: str) -> Descriptor:
    """The descriptor of a blob or manifest held in memory."""
    return Descriptor(media_type, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))


def _run_config(run: RunConfig) -> dict[str, object]:
    fields: dict[str, object] = {
        "User": run.user,
        "ExposedPorts": {port: {} for port in run.exposed_ports},
        "Env": [f"{name}={value}" for name, value in run.env],
        "Entrypoint": list(run.entrypoint),
        "Cmd": list(run.cmd),
        "Volumes": {path: {} for path in run.volumes},
        "WorkingDir": run.working_dir,
        "Labels": dict(run.labels),
        "StopSignal": run.stop_signal,
    }
    return {key: value for key, value in fields.items() if value}


def _descriptor(value: Descriptor) -> dict[str, object]:
    return {"mediaType": value.media_type, "digest": value.digest, "size": value.size}


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
