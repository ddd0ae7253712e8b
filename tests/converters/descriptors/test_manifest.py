"""Manifests in every spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.descriptors.manifest import parse_manifest
from converters.errors import DescriptorError
from tests.converters.descriptors.packages import manifest

FILES = {"web.ovf": b"envelope", "sub folder/a (1).vmdk": b"disk"}


@pytest.mark.parametrize(
    "form",
    [
        "{algorithm}({name})= {digest}",
        "{algorithm} ({name})= {digest}",
        "{algorithm} ({name}) = {digest}",
        "{algorithm}( {name} )={digest}",
        "  {algorithm}(./{name})= {digest}  \r",
    ],
)
@pytest.mark.parametrize("algorithm", ["SHA1", "SHA-1", "sha256", "SHA-256", "SHA2-256", "SHA384", "SHA512"])
def test_spellings(form: str, algorithm: str) -> None:
    read = parse_manifest(manifest(FILES, form, algorithm).encode(), "web.mf")
    assert list(read.digests) == list(FILES)
    for name, content in FILES.items():
        (digest,) = read.of(name)
        hasher = digest.hasher()
        hasher.update(content)
        assert hasher.hexdigest() == digest.value


@pytest.mark.parametrize("algorithm", ["MD5", "CRC32", "SHA3-256", "SHA999"])
def test_unknown_algorithms_are_known_to_be_unknown(algorithm: str) -> None:
    (digest,) = parse_manifest(manifest(FILES, algorithm=algorithm).encode(), "web.mf").of("web.ovf")
    assert (digest.algorithm, digest.told) == ("", algorithm)


def test_a_certificate_may_follow() -> None:
    text = "\ufeff\n" + manifest(FILES) + "-----BEGIN CERTIFICATE-----\nMIIC\n"
    assert len(parse_manifest(text.encode(), "web.mf").digests) == 2


@pytest.mark.parametrize(
    "line", ["SHA1(a.vmdk)=", "a.vmdk 1234", "SHA1 a.vmdk = 12", "SHA1(a)= xyz", "SHA1(" + " " * 10**6]
)
def test_a_line_that_is_no_digest_is_an_error(line: str) -> None:
    with pytest.raises(DescriptorError, match="line 1"):
        parse_manifest(line.encode(), "web.mf")


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    try:
        parse_manifest(data, "web.mf")
    except DescriptorError as error:
        assert error.message
