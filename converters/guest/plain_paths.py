"""Paths that a guest's configuration names, before anything is made or removed there."""

from __future__ import annotations


def plain_path(path: str) -> str:
    """An absolute path without ``.`` and empty parts; empty where ``..`` leads elsewhere, or nothing is left.

    systemd, too, passes over a directory whose path is not normal (``path_is_normalized``).
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or not path.startswith("/") or not parts:
        return ""
    return "/" + "/".join(parts)
