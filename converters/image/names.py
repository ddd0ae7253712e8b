"""VM names become repository names: valid (``converters.outputs.reference``), readable, no two the same."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

LONGEST_NAME = 128
"""Characters of one component; leaves room for the registry's path in the 255 of a whole name."""

_SUFFIX = 8
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "œ": "oe", "ı": "i"}
)


def repository_names(machines: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A repository name for each machine of ``(name, unique id)``, by unique id.

    A name that two machines would share, or that lost letters on the way, gets a suffix made from the unique
    id: so it depends neither on the order nor, but for collisions, on which other machines there are.

    Raises:
        ValueError: two machines have one unique id.
    """
    machines = tuple(machines)
    ids = Counter(identity for _, identity in machines)
    if repeated := [identity for identity, count in ids.items() if count > 1]:
        raise ValueError(f"unique ids that are not unique: {', '.join(sorted(repeated))}")
    readable = {identity: _readable(name) for name, identity in machines}
    shared = Counter(component for component, _ in readable.values())
    names: dict[str, str] = {}
    for identity, (component, complete) in readable.items():
        names[identity] = component if complete and shared[component] == 1 else _suffixed(component, identity)
    # A machine can be called what another's name and suffix make together.
    taken = Counter(names.values())
    for identity, name in names.items():
        if taken[name] > 1:
            names[identity] = _suffixed(readable[identity][0], identity, digits=32)
    return names


def _readable(name: str) -> tuple[str, bool]:
    """A component for a name, and whether every letter and digit of the name is in it."""
    plain = unicodedata.normalize("NFKD", name.casefold()).translate(_LETTERS)
    letters = "".join(letter for letter in plain if not unicodedata.combining(letter))
    complete = not any(letter.isalnum() and not letter.isascii() for letter in letters)
    words = re.sub(r"[^a-z0-9._-]+", "-", letters)
    joined = re.sub(r"[._-]{2,}", _separator, words).strip("._-")
    if not joined:
        return "vm", False
    cut = joined[: LONGEST_NAME - _SUFFIX - 1].rstrip("._-")
    return cut, complete and cut == joined


def _separator(run: re.Match[str]) -> str:
    """A run of separators as one that the grammar knows."""
    text = run.group()
    return text if text == "__" or set(text) == {"-"} else "-"


def _suffixed(component: str, identity: str, digits: int = _SUFFIX) -> str:
    suffix = hashlib.sha256(identity.encode()).hexdigest()[:digits]
    return f"{component[: LONGEST_NAME - digits - 1].rstrip('._-')}-{suffix}"
