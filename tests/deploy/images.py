"""The product's images and those of the stack's other services, built without a registry to pull from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from converters import process
from deploy.demo import cache
from deploy.demo.dockerd import Engine

ROOT = Path(__file__).parents[2]
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
BASE = "orchestrate-tests/debian:bookworm-slim"
_SUITE = "bookworm"
_INSTALL_SECONDS = 1200.0
_PIP = ("PIP_CERT", "PIP_DEFAULT_TIMEOUT", "PIP_EXTRA_INDEX_URL", "PIP_INDEX_URL", "PIP_TRUSTED_HOST")

_REGISTRY = """version: "0.1"
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: ":5000", secret: "a registry for tests"}
"""


def build_base(engine: Engine) -> None:
    """A Debian as small as debian:bookworm-slim, which trusts what this machine trusts."""
    key = cache.digest(Path(__file__), AUTHORITIES)
    folder = cache.cached("container-base", key, lambda into: _debian(into / "base.tar"))
    settings = [f"ENV {name}={os.environ[name]}" for name in _PIP if name in os.environ]
    repository, _, tag = BASE.rpartition(":")
    engine.client.api.import_image_from_file(
        str(folder / "base.tar"), repository=repository, tag=tag, changes=settings
    )


def _debian(archive: Path) -> None:
    left_out = [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man")]
    command = ["mmdebstrap", "--variant=minbase", "--include=ca-certificates", *left_out]
    command += [f"--customize-hook=copy-in {AUTHORITIES} {AUTHORITIES.parent}", _SUITE, str(archive)]
    process.run(command, timeout=_INSTALL_SECONDS)


def build_product(engine: Engine, target: str, tag: str) -> int:
    """Build a stage of the product's container file on ``BASE``; gives the image's bytes."""
    image, _ = engine.client.images.build(
        path=str(ROOT),
        dockerfile="deploy/containers/Dockerfile",
        target=target,
        tag=tag,
        buildargs={"BASE": BASE},
        network_mode="host",
        timeout=int(_INSTALL_SECONDS),
    )
    return int(image.attrs["Size"])


def build_stand_ins(engine: Engine, registry: str, prometheus: str, folder: Path) -> None:
    """Under the names of the stack's registry and Prometheus: those of this machine."""
    context = folder / "stand-ins"
    context.mkdir()
    for program in ("docker-registry", "prometheus"):
        shutil.copy(shutil.which(program) or program, context)
    (context / "registry.yml").write_text(_REGISTRY)
    _build(
        engine,
        context,
        registry,
        "COPY docker-registry registry.yml /",
        "/docker-registry serve /registry.yml",
    )
    start = "/prometheus.bin --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/prometheus"
    _build(engine, context, prometheus, "COPY prometheus /prometheus.bin", start)


def _build(engine: Engine, context: Path, tag: str, copy: str, start: str) -> None:
    (context / "Dockerfile").write_text(
        f"FROM {BASE}\n{copy}\nENTRYPOINT {start.split()}\n".replace("'", '"')
    )
    engine.client.images.build(path=str(context), tag=tag)
