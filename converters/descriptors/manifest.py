"""Manifests of OVF packages: digests of their files (DSP0243, 5.1), as tools of fifteen years write them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converters.errors import DescriptorError

if TYPE_CHECKING:
    from hashlib import _Hash

LARGEST_MANIFEST = 16 << 20
_LINE = re.compile(r"\s*+([\w-]++)\s*+\((.*)\)\s*=\s*+([0-9A-Fa-f]++)\s*+")
_LONGEST_LINE = 5000
"""Characters: a path of 4,096 bytes and the longest digest."""
_SIGNED = re.compile(r"\s*-----")
"""A certificate may follow in the same file."""
_KNOWN = {"SHA1": "sha1", "SHA256": "sha256", "SHA384": "sha384", "SHA512": "sha512"}


@dataclass(frozen=True, slots=True)
class Digest:
    """What a manifest says of one file."""

    file: str
    """As it is named, without ``./``."""
    algorithm: str
    """``hashlib``'s name; empty: one that is not known."""
    told: str
    """The algorithm as the manifest spells it."""
    value: str
    """Hexadecimal digits in lower case."""

    def hasher(self) -> _Hash:
        """What computes it; only where the algorithm is known."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All digests of a manifest, by file; several of one file are all to hold."""

    digests: Mapping[str, tuple[Digest, ...]]

    def of(self, file: str) -> tuple[Digest, ...]:
        """Those of a file."""
        return self.digests.get(file, ())


def parse_manifest(data: bytes, what: str) -> Manifest:
    """Read a manifest; ``SHA-256 (x)= …``, ``SHA256(./x) = …`` and ``SHA2-256 (x)=…`` mean the same.

    Raises:
        DescriptorError: too large, or a line that is no digest: what it guards cannot be known.
    """
    if len(data) > LARGEST_MANIFEST:
        raise DescriptorError(f"{what} has {len(data):,} bytes", "is it a manifest?")
    digests: dict[str, tuple[Digest, ...]] = {}
    for number, line in enumerate(data.decode("utf-8-sig", "backslashreplace").splitlines(), 1):
        if not line.strip():
            continue
        if _SIGNED.match(line):
            break
        found = _LINE.fullmatch(line) if len(line) <= _LONGEST_LINE else None
        if found is None:
            raise DescriptorError(
                f"{what}: line {number} is no digest: {line[:80]!r}", "export the machine again"
            )
        digest = Digest(found[2].strip().removeprefix("./"), _algorithm(found[1]), found[1], found[3].lower())
        digests[digest.file] = (*digests.get(digest.file, ()), digest)
    return Manifest(digests)


def _algorithm(told: str) -> str:
    """``SHA1``, ``SHA-1``, ``SHA256``, ``SHA2-256``… as ``hashlib`` calls it."""
    word = re.sub(r"^SHA2-(?=\d)", "SHA", told.upper()).replace("-", "").replace("_", "")
    return _KNOWN.get(word, "")
