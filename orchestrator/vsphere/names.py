"""Names as people see them, and where an object lies in the tree of folders. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.errors import NotFoundError

_ESCAPED = re.compile("%(2f|5c|25)", re.IGNORECASE)
_LISTED = 30


def decode(name: str) -> str:
    """A managed entity's name without the escapes that vCenter stores ``/``, ``\\`` and ``%`` as.

    Source: vSphere Web Services API, ManagedEntity.name. Nothing else is escaped, and nothing twice.
    """
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), name)


def encode(name: str) -> str:
    """The form in which a path holds the name, so that ``/`` only separates."""
    return name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")


@dataclass(frozen=True, slots=True)
class Node:
    """A folder, datacenter or vApp."""

    name: str
    """Decoded."""
    parent: str | None
    """Moref; None for the root folder."""
    datacenter: bool = False


def ancestors(tree: Mapping[str, Node], moref: str | None) -> tuple[Node, ...]:
    """The nodes from below the datacenter, or the root folder, down to ``moref``, which is included.

    The root folder is left out, and so is the hidden folder (``vm``, ``host``…) right below a datacenter.
    """
    chain: list[Node] = []
    while moref is not None and (node := tree.get(moref)) is not None:
        if node.datacenter and chain:
            chain.pop()
            break
        chain.append(node)
        moref = node.parent
    else:
        if chain and chain[-1].parent is None:
            chain.pop()
    return tuple(reversed(chain))


def folder_path(tree: Mapping[str, Node], moref: str | None) -> str:
    """Names of the folders that hold an object, ``/`` between; a ``/`` inside of a name stays ``%2f``."""
    return "/".join(encode(node.name) for node in ancestors(tree, moref))


def find_datacenter(tree: Mapping[str, Node], wanted: str) -> tuple[str, str]:
    """Moref and path (``/folder/DC``) of the datacenter with this name or path.

    Raises ``NotFoundError`` when there is none, or when folders hold several with the name; the message
    lists what there is.
    """
    paths = {moref: "/" + folder_path(tree, moref) for moref, node in tree.items() if node.datacenter}
    if wanted.startswith("/"):
        found = [moref for moref, path in paths.items() if path == wanted.rstrip("/")]
    else:
        found = [moref for moref in paths if wanted in (tree[moref].name, encode(tree[moref].name))]
    match found:
        case [moref]:
            return moref, paths[moref]
        case []:
            raise NotFoundError(f"vCenter has no datacenter {wanted!r}", _there_are(paths.values()))
        case _:
            raise NotFoundError(
                f"{len(found)} datacenters are named {wanted!r}",
                "give the path of one: " + ", ".join(sorted(paths[moref] for moref in found)),
            )


def _there_are(paths: Iterable[str]) -> str:
    names = sorted(path.removeprefix("/") if path.count("/") == 1 else path for path in paths)
    if not names:
        return "the account sees none; does it have the privilege System.View on them?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return "there are: " + ", ".join(names[:_LISTED]) + more
