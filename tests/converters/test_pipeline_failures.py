"""Conversions that cannot end well: nothing is visible, nothing is left behind, and the error says why."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from converters.errors import FilesystemError, OutputError, OutputUnavailableError, ScratchFullError
from converters.pipeline import publish
from converters.request import Progress
from deploy.demo import guests
from deploy.demo.registry import Registry, registry
from tests.converters.conversions import TAGS, convert, output, request
from tests.images import OCI_MANIFEST
from tests.kernel import needs_root

PAYLOAD = 32 << 20


def visible(server: Registry, name: str, *references: str, auth: tuple[str, str] | None = None) -> list[str]:
    """Which tags and digests of an image lead to a manifest."""
    found = []
    for reference in references:
        url = f"{server.url}/v2/vms/{name}/manifests/{reference}"
        answer = httpx.get(url, headers={"Accept": OCI_MANIFEST}, trust_env=False, auth=auth)
        assert answer.status_code in (200, 404)
        if answer.status_code == 200:
            found.append(reference)
    return found


def blobs(server: Registry) -> list[Path]:
    """Content that the registry keeps, and uploads that it waits for."""
    return [*server.folder.glob("content/**/blobs/**/data"), *server.folder.glob("content/**/_uploads/*")]


@contextmanager
def small_folder(place: Path, size: str) -> Iterator[Path]:
    """A folder with room for ``size`` bytes; needs root."""
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_registry_that_lets_nobody_in(scratch: Path) -> None:
    with registry(users={"robot": "secret"}) as server:
        wanted = request(server, "locked", guests.small("refused", PAYLOAD).raw)
        with output(wanted) as pushing, pytest.raises(OutputError, match="401") as caught:
            convert(wanted, pushing, scratch)
        assert not isinstance(caught.value, OutputUnavailableError)
        assert caught.value.hint
        assert not visible(server, "locked", *TAGS, auth=("robot", "secret"))
        assert not blobs(server)
    assert not list(scratch.iterdir())


def test_a_registry_that_goes_before_the_manifest(server: Registry, scratch: Path) -> None:
    wanted = request(server, "gone", guests.small("refused", PAYLOAD).raw)
    with output(wanted, patience=0.5) as pushing:
        converted = convert(wanted, pushing, scratch)
        assert not visible(server, "gone", converted.digest, *TAGS)
        server.stop()
        with pytest.raises(OutputUnavailableError, match="not available"):
            publish(converted, pushing)
        server.start()
        assert not visible(server, "gone", converted.digest, *TAGS)
        # What was pushed is there: publishing later is all that is left to do.
        publish(converted, pushing)
    assert visible(server, "gone", converted.digest, *TAGS) == [converted.digest, *TAGS]


def test_a_registry_that_goes_in_the_middle_of_the_layer(server: Registry, scratch: Path) -> None:
    wanted = request(server, "cut", guests.small("refused", PAYLOAD).raw)

    def stop(progress: Progress) -> None:
        if progress.pushed_bytes > 4 << 20:
            server.stop()

    with output(wanted, patience=0.5) as pushing, pytest.raises(OutputUnavailableError):
        convert(wanted, pushing, scratch, stop)
    server.start()
    assert not visible(server, "cut", *TAGS)
    assert not list(scratch.iterdir())


def test_a_caller_that_gives_up(server: Registry, scratch: Path) -> None:
    wanted = request(server, "given-up", guests.small("refused", PAYLOAD).raw)

    def interrupt(progress: Progress) -> None:
        if progress.read_bytes > 12 << 20:
            raise KeyboardInterrupt

    with output(wanted) as pushing, pytest.raises(KeyboardInterrupt):
        convert(wanted, pushing, scratch, interrupt)
    assert not visible(server, "given-up", *TAGS)
    assert not list(server.folder.glob("content/**/vms/given-up/_uploads/*/data"))
    assert not list(scratch.iterdir())


def test_damage_is_found_before_anything_is_sent(scratch: Path, tmp_path: Path) -> None:
    content = guests.small("refused", PAYLOAD).raw.read_bytes()
    place = content.index(b"033.txt") - 8
    disk = tmp_path / "disk.raw"
    disk.write_bytes(content[:place] + (0xFFFFFF).to_bytes(4, "little") + content[place + 4 :])
    with registry() as server:
        wanted = request(server, "damaged", disk)
        with output(wanted) as pushing, pytest.raises(FilesystemError, match="disk 0 partition 1"):
            convert(wanted, pushing, scratch)
        assert not blobs(server)


@needs_root
@pytest.mark.root
@pytest.mark.parametrize("size", ["64k", "4m"])
@pytest.mark.parametrize("shape", ["raw", "vmdk"])
def test_no_room_for_a_recovery(size: str, shape: str, server: Registry, tmp_path: Path) -> None:
    guest = guests.busy()
    disk = guest.raw if shape == "raw" else guest.vmdk
    wanted = request(server, "no-room", disk)
    with small_folder(tmp_path / "small", size) as scratch:
        with output(wanted) as pushing, pytest.raises(ScratchFullError, match=r"small.*full") as caught:
            convert(wanted, pushing, scratch)
        assert not list(scratch.iterdir())
    assert "--scratch" in caught.value.hint
    assert caught.value.retryable
    assert not visible(server, "no-room", *TAGS)
