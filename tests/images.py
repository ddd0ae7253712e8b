"""Images as a registry gives them, and what the kernel says must be in them."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from converters.filesystems.base import Entry, Kind
from deploy.demo.registry import Registry

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_MEMBER_KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.CHRTYPE: Kind.CHARACTER,
    tarfile.BLKTYPE: Kind.BLOCK,
    tarfile.FIFOTYPE: Kind.FIFO,
}
_XATTR = "SCHILY.xattr."


class Member(NamedTuple):
    """One name of a tree, all that an image can hold of it."""

    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    target: bytes
    device: tuple[int, int]
    xattrs: tuple[tuple[bytes, bytes], ...]
    sha256: str
    """Of a regular file's content."""
    first_name: bytes
    """Of a hard-linked file: that of its names which comes first."""


Tree = dict[bytes, Member]
"""Members by path, in the order in which they came."""


@dataclass(frozen=True)
class Pulled:
    """An image, every digest verified."""

    manifest: dict[str, Any]
    config: dict[str, Any]
    layer: Path
    """The uncompressed tar of the guest's layer."""


def pull(registry: Registry, name: str, reference: str, folder: Path) -> Pulled:
    """Download an image as an engine does, into ``folder``; layers after the first hold our own files."""
    base = f"{registry.url}/v2/{name}"
    manifest = pull_manifest(registry, name, reference)
    with httpx.Client(trust_env=False) as client:
        config = client.get(f"{base}/blobs/{manifest['config']['digest']}").raise_for_status()
        assert _digest(config.content) == manifest["config"]["digest"]
        blobs = [
            client.get(f"{base}/blobs/{layer['digest']}").raise_for_status().content
            for layer in manifest["layers"]
        ]
    assert [(_digest(blob), len(blob)) for blob in blobs] == [
        (layer["digest"], layer["size"]) for layer in manifest["layers"]
    ]
    paths = [folder / f"layer-{number}.tar" for number in range(len(blobs))]
    for path, blob in zip(paths, blobs, strict=True):
        with gzip.open(io.BytesIO(blob)) as unpacked, path.open("wb") as tar:
            shutil.copyfileobj(unpacked, tar, 1 << 20)
    assert [_file_digest(path) for path in paths] == config.json()["rootfs"]["diff_ids"]
    for own in paths[1:]:
        assert all(path.split(b"/")[0] == b".orchestrate" for path in read_layer(own))
    return Pulled(manifest, config.json(), paths[0])


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def pull_manifest(registry: Registry, name: str, reference: str) -> dict[str, Any]:
    """The manifest that a tag or digest leads to."""
    url = f"{registry.url}/v2/{name}/manifests/{reference}"
    answer = httpx.get(url, headers={"Accept": OCI_MANIFEST}, trust_env=False).raise_for_status()
    assert answer.headers["Content-Type"] == OCI_MANIFEST
    assert answer.headers["Docker-Content-Digest"] == _digest(answer.content)
    return dict(answer.json())


def read_layer(path: Path) -> Tree:
    """The tree in a tar, as Python's ``tarfile`` understands it."""
    tree: Tree = {}
    with tarfile.open(path, errors="surrogateescape") as tar:
        for info in tar:
            name = os.fsencode(info.name)
            if info.islnk():
                first = tree[os.fsencode(info.linkname)]
                assert name not in tree
                tree[name] = first._replace(first_name=os.fsencode(info.linkname))
                # A link repeats what belongs to the inode, for engines that apply it once more.
                assert _member(info, first.kind, None)[1:4] == first[1:4]
                continue
            kind = _MEMBER_KINDS[info.type]
            assert name not in tree
            content = tar.extractfile(info) if info.isreg() else None
            member = _member(info, kind, None if content is None else content.read())
            tree[b"" if name == b"." else name] = member
    return tree


def _member(info: tarfile.TarInfo, kind: Kind, content: bytes | None) -> Member:
    headers: Mapping[str, str] = info.pax_headers
    mtime = headers.get("mtime", info.mtime)
    is_device = kind in (Kind.CHARACTER, Kind.BLOCK)
    return Member(
        kind=kind,
        mode=info.mode,
        uid=info.uid,
        gid=info.gid,
        size=info.size,
        mtime_ns=int(Decimal(str(mtime)) * 1_000_000_000),
        target=os.fsencode(info.linkname) if kind is Kind.SYMLINK else b"",
        device=(info.devmajor, info.devminor) if is_device else (0, 0),
        xattrs=tuple(
            sorted(
                (os.fsencode(key.removeprefix(_XATTR)), os.fsencode(value))
                for key, value in headers.items()
                if key.startswith(_XATTR)
            )
        ),
        sha256=hashlib.sha256(content).hexdigest() if content is not None else "",
        first_name=b"",
    )


def kernel_tree(entries: Iterable[Entry], hashes: Mapping[bytes, str]) -> Tree:
    """What an image must hold of a tree that the kernel shows as ``entries``."""
    tree: Tree = {}
    names: dict[tuple[int, int], bytes] = {}
    for entry in entries:
        if is_left_out(entry):
            continue
        first = b""
        if entry.nlink > 1 and entry.kind is not Kind.DIRECTORY:
            first = names.setdefault((entry.device, entry.inode), entry.path)
        is_emptied = entry.path in EMPTY_FILES and entry.kind is Kind.FILE
        tree[entry.path] = Member(
            kind=entry.kind,
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            size=entry.size if entry.kind is Kind.FILE and not is_emptied else 0,
            mtime_ns=entry.mtime_ns,
            target=entry.target,
            device=(entry.major, entry.minor),
            xattrs=tuple(pair for pair in entry.xattrs if not _is_local(*pair)),
            sha256=(_EMPTY if is_emptied else hashes[entry.path]) if entry.kind is Kind.FILE else "",
            first_name=first if first != entry.path else b"",
        )
    return tree


# docs/cleaning.md once more, in other words: nothing of the product decides what is expected of it.
EMPTY_DIRECTORIES = re.compile(
    rb"(proc|sys|dev|run|tmp|var/tmp|boot|(usr/)?lib/(modules|firmware)"
    rb"|var/cache/(yum|dnf|libdnf5|zypp|PackageKit|apk|pacman/pkg)"
    rb"|var/log/journal|var/crash|var/lib/systemd/coredump|var/spool/abrt|(.+/)?\.snapshots)/.+",
    re.DOTALL,
)
NO_FILES_BELOW = re.compile(rb"(var/run|var/lock|var/cache/apt|var/lib/apt/lists)/.+", re.DOTALL)
BOOT_LINKS = {b"vmlinuz", b"vmlinuz.old", b"initrd.img", b"initrd.img.old"}
FILES = re.compile(
    rb"swapfile[^/]*|swap\.img|swap\.file|swap|var/swap|var/swapfile[^/]*|var/swap\.img|mnt/swapfile[^/]*"
    rb"|var/lib/dhcp/dhclient[^/]*\.lease[^/]*|var/lib/dhclient/[^/]*\.lease[^/]*"
    rb"|var/lib/NetworkManager/[^/]*\.lease|var/lib/dhcpcd[^/]*/[^/]*\.lease[^/]*"
    rb"|var/lib/(systemd/|urandom/)?random-seed"
    rb"|etc/ssh/ssh_host_([^/]*_key(\.pub)?|key[^/]*)|etc/dropbear/dropbear_[^/]*_host_key"
    rb"|(root|home/[^/]*)/\.((bash|zsh|ash|python|mysql|psql|rediscli)_history|history|lesshst|viminfo)",
    re.DOTALL,
)
SMALL_FILES = re.compile(
    rb"(var|opt|srv|usr/local)/(.+/)?[^/]*\.pid|var/lib/(.+/)?[^/]*\.sock\.lock", re.DOTALL
)
EMPTY_FILES = {
    *(b"var/log/lastlog", b"var/log/faillog", b"var/log/tallylog"),
    *(b"etc/machine-id", b"var/lib/dbus/machine-id"),
}
_EMPTY = hashlib.sha256().hexdigest()


def is_left_out(entry: Entry) -> bool:
    """Whether an image does not hold the entry, as ``docs/cleaning.md`` says."""
    path, kind = entry.path, entry.kind
    return (
        EMPTY_DIRECTORIES.fullmatch(path) is not None
        or (kind is not Kind.DIRECTORY and NO_FILES_BELOW.fullmatch(path) is not None)
        or b"lost+found" in path.split(b"/")[: None if kind is Kind.DIRECTORY else -1]
        or (kind is Kind.SYMLINK and path in BOOT_LINKS)
        or (kind is Kind.FILE and FILES.fullmatch(path) is not None)
        or (kind is Kind.FILE and entry.size <= 4096 and SMALL_FILES.fullmatch(path) is not None)
        or kind is Kind.SOCKET
        or (kind is Kind.CHARACTER and (entry.major, entry.minor) == (0, 0))
        or any(name.startswith(b".wh.") for name in path.split(b"/"))
    )


def _is_local(name: bytes, value: bytes) -> bool:
    """Whether an extended attribute is one that a layer does not hold."""
    local = name == b"security.selinux" or name.startswith((b"trusted.overlay.", b"user.overlay."))
    return local or b"=" in name or not value


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
