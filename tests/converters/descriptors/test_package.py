"""OVF packages in a folder and as one file: what lies where, and what its manifest is good for."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from converters.descriptors.package import PackagedMachine, Verification, read_ova, read_ovf, verify
from converters.disks.base import FilePart
from converters.errors import DescriptorError
from tests.converters.descriptors.packages import Hard, machine, manifest, ova, write

DISK = b"not really a disk" * 100


def package(href: str = "disk.vmdk", name: str = "disk.vmdk", **more: bytes) -> dict[str, bytes]:
    """Files of a package whose envelope refers to ``href``."""
    files = {"web.ovf": machine("web", Hard(href)).encode(), name: DISK}
    return {**files, **{key.replace("__", "."): value for key, value in more.items()}}


def in_folder(folder: Path, files: dict[str, bytes], verification: Verification) -> PackagedMachine:
    write(folder, files)
    (found,) = read_ovf(folder / "web.ovf", folder, verification)
    return found


def in_archive(folder: Path, files: dict[str, bytes], verification: Verification) -> PackagedMachine:
    (found,) = read_ova(ova(folder / "web.ova", files), verification)
    return found


@pytest.fixture(params=[in_folder, in_archive])
def read(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    return lambda files, verification=Verification.CHECK: request.param(tmp_path, files, verification)


def content(part: FilePart) -> bytes:
    data = Path(part.path).read_bytes()
    return data[part.offset :] if part.size is None else data[part.offset : part.offset + part.size]


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("disk.vmdk", "disk.vmdk"),
        ("./disk.vmdk", "disk.vmdk"),
        ("sub/disk.vmdk", "sub/disk.vmdk"),
        ("./sub//disk.vmdk", "sub/disk.vmdk"),
        ("my%20disk.vmdk", "my disk.vmdk"),
        ("100%25.vmdk", "100%.vmdk"),
        ("my%20disk.vmdk", "my%20disk.vmdk"),
    ],
)
def test_references(read, href: str, name: str) -> None:  # type: ignore[no-untyped-def]
    (disk,) = read(package(href, name)).machine.disks
    (part,) = disk.parts
    assert content(part) == DISK


@pytest.mark.parametrize(
    "href",
    [
        "../disk.vmdk",
        "/etc/passwd",
        "sub/../../disk.vmdk",
        "http://example.org/disk.vmdk",
        "",
        "%2e%2e/disk.vmdk",
    ],
)
def test_references_that_lead_out_are_refused(read, href: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DescriptorError, match="no file of the package"):
        read(package(href))


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source, package())
    (source / "disk.vmdk").unlink()
    (source / "disk.vmdk").symlink_to("/etc/passwd")
    with pytest.raises(DescriptorError, match="absent or no file of the package"):
        read_ovf(source / "web.ovf", source, Verification.CHECK)


def test_an_envelope_in_a_folder_of_its_archive(tmp_path: Path) -> None:
    files = {f"sub/{name}": data for name, data in package(web__mf=b"").items()}
    (disk,) = in_archive(tmp_path, files, Verification.CHECK).machine.disks
    assert content(disk.parts[0]) == DISK


def test_chunks_and_sizes(read) -> None:  # type: ignore[no-untyped-def]
    disk = Hard("d.gz", f'ovf:size="{len(DISK)}" ovf:chunkSize="1000" ovf:compression="gzip"')
    chunks = {f"d.gz.{n:09d}": DISK[n * 1000 : (n + 1) * 1000] for n in range(2)}
    files = {"web.ovf": machine("web", disk).encode(), **chunks}
    (found,) = read(files).machine.disks
    assert b"".join(map(content, found.parts)) == DISK
    assert found.capacity == 16 << 20


def test_digests_are_verified(read) -> None:  # type: ignore[no-untyped-def]
    files = package()
    found = read({**files, "web.mf": manifest(files, algorithm="SHA-1").encode()}, Verification.REQUIRE)
    (check,) = found.checks
    verify(check, content(check.part))
    with pytest.raises(DescriptorError, match=r"disk\.vmdk is not what its package's manifest says"):
        verify(check, b"else")
    assert found.machine.notes == ()


def test_an_envelope_that_is_not_what_its_manifest_says(read) -> None:  # type: ignore[no-untyped-def]
    files = package()
    told = manifest({**files, "web.ovf": b"else"}).encode()
    with pytest.raises(DescriptorError, match=r"web\.ovf is not"):
        read({**files, "web.mf": told})
    assert read({**files, "web.mf": told}, Verification.SKIP).checks == ()


@pytest.mark.parametrize(
    ("told", "doubt"),
    [
        (None, "its package has no manifest"),
        ("{}", "the manifest leaves out disk.vmdk"),
        ("MD5(disk.vmdk)= 12\n{}", "the manifest's algorithm MD5 of disk.vmdk is not known"),
    ],
)
def test_what_cannot_be_verified_is_told_or_fails(read, told: str | None, doubt: str) -> None:  # type: ignore[no-untyped-def]
    files = package()
    if told is not None:
        files["web.mf"] = told.format(manifest({"web.ovf": files["web.ovf"]})).encode()
    assert read(files).machine.notes == (f"not verified: {doubt}",)
    assert read(files, Verification.SKIP).machine.notes == ()
    with pytest.raises(DescriptorError, match=doubt):
        read(files, Verification.REQUIRE)


def test_an_archive_without_an_envelope(tmp_path: Path) -> None:
    with pytest.raises(DescriptorError, match="holds no OVF"):
        read_ova(ova(tmp_path / "web.ova", {"disk.vmdk": b"x"}, tarfile.GNU_FORMAT), Verification.CHECK)
