"""Names that every kind of deployment file takes: labels by RFC 1123, no two the same."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count

LABEL = 63
"""Longest label (RFC 1123, 2.1): names of containers and volumes, values of labels."""

_SUFFIX = 8


def label(text: str, longest: int = LABEL) -> str:
    """``text`` as a label; one that lost something ends in a digest, so that no two texts share it."""
    plain = _plain(text)
    return plain if plain == text and len(plain) <= longest else _suffixed(plain, text, longest, 0)


def labels(texts: Sequence[str], longest: int = LABEL, taken: Iterable[str] = ()) -> dict[str, str]:
    """A label for each text; those that would share one, or have one of ``taken``, end in a digest."""
    plain = {text: _plain(text) for text in texts}
    counts = Counter(plain.values())
    used = set(taken)
    named = {
        text: name
        for text, name in plain.items()
        if name and counts[name] == 1 and name not in used and len(name) <= longest
    }
    used.update(named.values())
    for text, name in plain.items():
        if text not in named:
            # A guest may call a service what another's name and digest make together.
            candidates = (_suffixed(name, text, longest, number) for number in count())
            named[text] = next(candidate for candidate in candidates if candidate not in used)
            used.add(named[text])
    return named


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _suffixed(plain: str, text: str, longest: int, number: int) -> str:
    salted = f"{number}:{text}" if number else text
    digest = hashlib.sha256(salted.encode("utf-8", "backslashreplace")).hexdigest()[:_SUFFIX]
    return f"{plain[: longest - _SUFFIX - 1].rstrip('-')}-{digest}".lstrip("-")
