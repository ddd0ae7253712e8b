"""What registries do that Debian's does not: moving locations, ending tokens, limits, broken connections."""

from __future__ import annotations

import email.utils
import hashlib
import time

import pytest

from converters.errors import OutputError, OutputUnavailableError
from converters.outputs.auth import Credentials
from converters.outputs.client import RegistryAccess
from converters.outputs.registry import RegistryOutput
from tests.converters.outputs.odd_registry import Behaviour, odd_registry

CHUNK = 64 << 10
DATA = bytes(range(256)) * 1024  # four chunks
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
USER = Credentials("user", "secret")


def push(behaviour: Behaviour, credentials: Credentials | None = None, patience: float = 10) -> None:
    """Push DATA in pieces that are no chunks, and a manifest."""
    access = RegistryAccess(credentials=credentials, chunk_size=CHUNK, patience=patience)
    with odd_registry(behaviour) as repository, RegistryOutput(repository, access) as output:
        with output.upload() as upload:
            for start in range(0, len(DATA), 50_000):
                upload.write(DATA[start : start + 50_000])
            upload.commit(DIGEST)
        output.put_manifest(b"{}", "application/vnd.oci.image.manifest.v1+json", ["latest"])


def test_locations_are_relative_move_and_carry_a_query() -> None:
    odd = Behaviour()
    push(odd)
    assert odd.blobs == {DIGEST: DATA}
    assert odd.chunks == [CHUNK] * 4
    assert f"PUT /v2/r/blobs/uploads/u?state=a%20b5&digest={DIGEST}" in odd.requests
    assert set(odd.manifests) == {"latest", f"sha256:{hashlib.sha256(b'{}').hexdigest()}"}


def test_registry_may_ask_for_larger_chunks() -> None:
    odd = Behaviour(least_chunk=100_000)
    push(odd)
    assert odd.chunks == [100_000, 100_000, len(DATA) - 200_000]
    assert odd.blobs == {DIGEST: DATA}


def test_token_that_ends_in_the_middle_is_renewed() -> None:
    odd = Behaviour(token_uses=2)
    push(odd, USER)
    assert odd.blobs == {DIGEST: DATA}
    assert odd.tokens >= 4


def test_wrong_password_for_the_token_server() -> None:
    with pytest.raises(OutputError, match="refuses the user user") as raised:
        push(Behaviour(token_uses=2), Credentials("user", "wrong"))
    assert not raised.value.retryable
    assert "wrong" not in str(raised.value)
    with pytest.raises(OutputError, match="refuses anonymous access"):
        push(Behaviour(token_uses=2))


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_busy_registry_is_asked_again_when_it_says(method: str) -> None:
    soon = email.utils.formatdate(time.time() + 3, usegmt=True)
    odd = Behaviour(busy={method: ["1", soon]})
    began = time.monotonic()
    push(odd)
    assert time.monotonic() - began >= 1.9
    assert odd.blobs == {DIGEST: DATA}
    assert not odd.busy[method]


def test_manifest_is_pushed_again_too() -> None:
    odd = Behaviour(busy={"PUT": ["0"] * 3})
    push(odd)
    assert "latest" in odd.manifests


def test_wait_longer_than_the_patience_fails_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(OutputUnavailableError, match="429 Too Many Requests") as raised:
        push(Behaviour(busy={"PATCH": ["3600"]}), patience=5)
    assert time.monotonic() - began < 3
    assert raised.value.retryable


@pytest.mark.parametrize("arrived", [[0], [1000], [CHUNK // 2, 17, 0]])
def test_broken_connection_goes_on_where_the_registry_stands(arrived: list[int]) -> None:
    odd = Behaviour(break_after=list(arrived))
    push(odd)
    assert odd.blobs == {DIGEST: DATA}
    assert sum(odd.chunks) == len(DATA) - sum(arrived)


@pytest.mark.parametrize("method", ["PATCH", "PUT", "POST"])
def test_lost_answer_is_no_lost_work(method: str) -> None:
    odd = Behaviour(break_answers=[method])
    push(odd)
    assert odd.blobs == {DIGEST: DATA}
    assert not odd.break_answers


def test_damaged_data_is_noticed_and_may_be_tried_again() -> None:
    with pytest.raises(OutputUnavailableError, match="received other bytes") as raised:
        push(Behaviour(corrupt=True))
    assert raised.value.retryable


def test_uncommitted_upload_is_cancelled() -> None:
    odd = Behaviour()
    with odd_registry(odd) as repository, RegistryOutput(repository) as output, output.upload() as upload:
        upload.write(b"x")
    assert odd.upload is None
    assert odd.requests[-1].startswith("DELETE ")
    assert odd.blobs == {}
