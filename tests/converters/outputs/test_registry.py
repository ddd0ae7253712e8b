"""Pushing to a real registry, and what happens when it goes away, refuses, or is not what its name says."""

from __future__ import annotations

import gc
import hashlib
import json
import random
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from converters.errors import OutputError, OutputUnavailableError
from converters.image.config import (
    CONFIG_MEDIA_TYPE,
    MANIFEST_MEDIA_TYPE,
    RunConfig,
    describe,
    image_config,
    manifest,
)
from converters.image.layer import compress_layer
from converters.outputs.auth import Credentials
from converters.outputs.client import RegistryAccess
from converters.outputs.reference import split_repository
from converters.outputs.registry import RegistryOutput
from deploy.demo import certificates
from deploy.demo.registry import Registry, registry

DATA = random.Random(7).randbytes(3 << 20)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
PIECE = 256 << 10
PIECES = [DATA[start : start + PIECE] for start in range(0, len(DATA), PIECE)]


@pytest.fixture
def server() -> Iterator[Registry]:
    with registry() as running:
        yield running


def access(patience: float = 20, credentials: Credentials | None = None) -> RegistryAccess:
    return RegistryAccess(credentials=credentials, chunk_size=PIECE, patience=patience)


def stored(server: Registry, digest: str) -> bytes:
    return httpx.get(f"{server.url}/v2/vms/web/blobs/{digest}", trust_env=False).content


def unfinished(server: Registry) -> list[Path]:
    return list(server.folder.glob("content/**/_uploads/*/data"))


def test_image_is_stored_as_pushed(server: Registry) -> None:
    with RegistryOutput(f"{server.address}/vms/web", access()) as output:
        layer = compress_layer([DATA], output)
        config = image_config(RunConfig(), [layer], architecture="amd64")
        with output.upload() as upload:
            upload.write(config)
            upload.commit(describe(config, CONFIG_MEDIA_TYPE).digest)
        document = manifest(describe(config, CONFIG_MEDIA_TYPE), [layer.descriptor])
        published = output.put_manifest(document, MANIFEST_MEDIA_TYPE, ["latest", "2026-01-01"])
        assert output.reference(published.digest) == f"{server.address}/vms/web@{published.digest}"
        assert output.has_blob(layer.descriptor.digest)
        assert not output.has_blob(DIGEST)
    for reference in ("latest", "2026-01-01", published.digest):
        url = f"{server.url}/v2/vms/web/manifests/{reference}"
        answer = httpx.get(url, headers={"Accept": MANIFEST_MEDIA_TYPE}, trust_env=False)
        assert answer.content == document
        assert answer.headers["Docker-Content-Digest"] == published.digest
    assert hashlib.sha256(stored(server, layer.descriptor.digest)).hexdigest() == layer.descriptor.digest[7:]
    assert not unfinished(server)


def test_registry_that_restarts_between_chunks(server: Registry) -> None:
    with RegistryOutput(f"{server.address}/vms/web", access()) as output, output.upload() as upload:
        for number, piece in enumerate(PIECES):
            if number % 4 == 2:
                server.stop()
                server.start()
            upload.write(piece)
        upload.commit(DIGEST)
    assert stored(server, DIGEST) == DATA


def test_registry_that_is_away_for_a_while(server: Registry) -> None:
    with (
        RegistryOutput(f"{server.address}/vms/web", access()) as output,
        ThreadPoolExecutor(1) as pool,
        output.upload() as upload,
    ):
        upload.write(PIECES[0])
        server.stop()
        rest = pool.submit(upload.write, b"".join(PIECES[1:]))
        time.sleep(2)
        assert not rest.done()
        server.start()
        rest.result()
        upload.commit(DIGEST)
    assert stored(server, DIGEST) == DATA


def test_registry_that_stays_away_longer_than_the_patience(server: Registry) -> None:
    with RegistryOutput(f"{server.address}/vms/web", access(patience=1.5)) as output:
        server.stop()
        began = time.monotonic()
        with pytest.raises(OutputUnavailableError, match=f"{server.address} is not available") as raised:
            output.has_blob(DIGEST)
        assert 0.2 < time.monotonic() - began < 3
        assert raised.value.retryable
        assert "--registry-patience" in raised.value.hint


def test_registry_killed_within_a_chunk_never_keeps_a_wrong_blob(server: Registry) -> None:
    """Either it can say where it stands, or the error allows the retry that then succeeds."""
    large = random.Random(8).randbytes(48 << 20)
    digest = f"sha256:{hashlib.sha256(large).hexdigest()}"

    def push(output: RegistryOutput) -> None:
        with output.upload() as upload:
            upload.write(large)
            upload.commit(digest)

    one_chunk = RegistryAccess(chunk_size=len(large), patience=20)
    with RegistryOutput(f"{server.address}/vms/web", one_chunk) as output, ThreadPoolExecutor(1) as pool:
        pushed = pool.submit(push, output)
        while not any(data.stat().st_size for data in unfinished(server)):
            time.sleep(0.001)
        server.kill()
        server.start()
        try:
            pushed.result()
        except OutputUnavailableError as error:
            assert error.retryable
            push(output)
    assert stored(server, digest) == large


def test_chunks_that_were_sent_are_let_go(server: Registry) -> None:
    """Without the help of the garbage collector, which comes late when objects are few and large."""
    size, count = 1 << 20, 48
    small_chunks = RegistryAccess(chunk_size=size)
    with RegistryOutput(f"{server.address}/vms/web", small_chunks) as output, output.upload() as upload:
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(count):
                upload.write(bytes(size))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
    assert peak < 8 * size


def begin(output: RegistryOutput) -> None:
    """An upload is opened, and cancelled: whoever may not push is told so."""
    with output.upload():
        pass


def test_upload_left_without_commit_leaves_nothing(server: Registry) -> None:
    with RegistryOutput(f"{server.address}/vms/web", access()) as output:
        with pytest.raises(RuntimeError, match="reader"), output.upload() as upload:
            upload.write(DATA)
            assert unfinished(server)
            raise RuntimeError("the reader died")
        assert not unfinished(server)
        begin(output)
        assert not unfinished(server)


def test_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    with registry(users={"pusher": "s3cret"}) as server:
        repository = f"{server.address}/vms/web"
        with RegistryOutput(repository, access(credentials=Credentials("pusher", "s3cret"))) as output:
            begin(output)
        for wrong in (None, Credentials("pusher", "guess"), Credentials("nobody", "s3cret")):
            with RegistryOutput(repository, access(credentials=wrong)) as output:
                with pytest.raises(OutputError, match="401 Unauthorized: UNAUTHORIZED") as raised:
                    begin(output)
                assert not raised.value.retryable
                assert "docker login" in str(raised.value)
                assert "guess" not in str(raised.value)
        auths = {server.address: {"username": "pusher", "password": "s3cret"}}
        (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
        with RegistryOutput(repository, access()) as output:
            begin(output)


def test_secrets_are_not_shown() -> None:
    shown = repr(access(credentials=Credentials("pusher", "s3cret", "t0ken")))
    assert "pusher" in shown
    assert "s3cret" not in shown
    assert "t0ken" not in shown


def test_tls(tmp_path: Path) -> None:
    files = certificates.make(tmp_path, "test")
    with registry(tls=files) as server:
        repository = f"{server.address}/vms/web"
        with RegistryOutput(repository, RegistryAccess(ca_file=str(files.ca))) as output:
            begin(output)
        other = certificates.make(_folder(tmp_path / "other"), "other")
        with RegistryOutput(repository, RegistryAccess(ca_file=str(other.ca))) as output:
            with pytest.raises(OutputError, match=r"certificate of .* is not trusted") as raised:
                begin(output)
            assert "--registry-ca-file" in raised.value.hint
            assert not raised.value.retryable


def test_tls_with_a_registry_that_has_none(server: Registry, tmp_path: Path) -> None:
    files = certificates.make(tmp_path, "test")
    with RegistryOutput(f"{server.address}/vms/web", RegistryAccess(ca_file=str(files.ca))) as output:
        with pytest.raises(OutputError, match="does not speak TLS") as raised:
            begin(output)
        assert "--registry-insecure" in raised.value.hint


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_authorities_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"authorities in .*absent\.pem cannot be read"):
        RegistryOutput("localhost:5000/x", RegistryAccess(ca_file=str(tmp_path / "absent.pem")))


@pytest.mark.parametrize(
    ("repository", "parts"),
    [
        ("localhost:5000/vms/web", ("localhost:5000", "vms/web")),
        ("localhost/web", ("localhost", "web")),
        ("registry:5000/web", ("registry:5000", "web")),
        ("[::1]:5000/a__b/c-d.e", ("[::1]:5000", "a__b/c-d.e")),
        ("registry.example.com/vms", ("registry.example.com", "vms")),
    ],
)
def test_repositories(repository: str, parts: tuple[str, str]) -> None:
    assert split_repository(repository) == parts


@pytest.mark.parametrize(
    "repository",
    [
        "vms/web",
        "web",
        "localhost:5000",
        "localhost:5000/WEB",
        "localhost/a//b",
        "localhost/a:tag",
        "http://localhost/a",
    ],
)
def test_names_that_are_none(repository: str) -> None:
    with pytest.raises(OutputError, match=r"names no registry|is no valid repository name"):
        split_repository(repository)


def test_tag_that_is_none_is_refused_before_anything_is_published(server: Registry) -> None:
    with (
        RegistryOutput(f"{server.address}/vms/web", access()) as output,
        pytest.raises(OutputError, match="'a b' is no valid tag"),
    ):
        output.put_manifest(b"{}", MANIFEST_MEDIA_TYPE, ["ok", "a b"])
    assert not list(server.folder.glob("content/**/_manifests"))
