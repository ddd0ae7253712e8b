"""Encrypted volumes that cryptsetup made are opened with the right key, and with no other."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.disks.raw import RawDisk
from converters.errors import ConvertError, DiskError, UnsupportedError
from converters.volumes import Volume, probe
from converters.volumes.assembly import assemble
from converters.volumes.luks import header
from converters.volumes.luks.cipher import DecryptedDisk
from converters.volumes.luks.keys import KeyFolder
from converters.volumes.luks.unlock import unlock
from tests.converters.volumes.memory import MemoryDisk

MIB = 1 << 20
UUID = "11111111-2222-3333-4444-555555555555"
PASSPHRASE = b"correct horse"
FAST = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000"
MADE = {
    "luks2": f"--type luks2 {FAST}",
    "luks2 of large sectors": f"--type luks2 --sector-size 4096 {FAST}",
    "luks2 by Argon2id": "--type luks2 --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 65536",
    "luks2 by Argon2i": "--type luks2 --pbkdf argon2i --pbkdf-force-iterations 4 --pbkdf-memory 65536",
    "luks1": "--type luks1 --pbkdf-force-iterations 1000",
    "luks1 as of old": "--type luks1 --pbkdf-force-iterations 1000 --cipher aes-cbc-essiv:sha256 --hash sha1 "
    "--key-size 128",
    "luks1 by AES-XTS of 256 bits": "--type luks1 --pbkdf-force-iterations 1000 --cipher aes-xts-plain "
    "--key-size 512 --hash sha512",
}
SIZE = 24 * MIB


def make(folder: Path, options: str, content: Path | None = None) -> Path:
    """An encrypted image; with ``content`` in it, which cryptsetup itself encrypts."""
    path, key = folder / "volume", folder / "passphrase"
    key.write_bytes(PASSPHRASE)
    if content is None:
        path.touch()
        os.truncate(path, SIZE)
        command = f"cryptsetup luksFormat -q --uuid {UUID} {options} {path} {key}"
    else:
        path.write_bytes(content.read_bytes() + bytes(32 * MIB))
        command = (
            f"cryptsetup reencrypt --encrypt -q --uuid {UUID} --reduce-device-size 32M "
            f"--key-file {key} {options} {path}"
        )
    subprocess.run(command.split(), check=True, capture_output=True)
    return path


def keys(folder: Path, value: bytes = PASSPHRASE, name: str = UUID) -> KeyFolder:
    home = folder / "keys"
    home.mkdir(exist_ok=True)
    (home / name).write_bytes(value)
    return KeyFolder(home)


def opened(path: Path, given: KeyFolder) -> DecryptedDisk | None:
    disk = RawDisk(str(path))
    return unlock(disk, Volume(0, 0, disk.size, 0, probe(disk, 0, disk.size)), given)


def master_key(path: Path, key: Path) -> bytes:
    """The volume's key as cryptsetup tells it."""
    target = path.with_name("master")
    command = ["cryptsetup", "luksDump", "-q", "--dump-volume-key", "--volume-key-file", str(target)]
    subprocess.run([*command, "--key-file", str(key), str(path)], check=True, capture_output=True)
    return target.read_bytes()


@pytest.mark.parametrize("kind", MADE)
def test_the_key_that_cryptsetup_has(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of key derivation, digest and area: the volume's key is the one that cryptsetup finds."""
    path = make(tmp_path, MADE[kind])
    found: list[tuple[str, bytes]] = []
    real = unlock.__globals__["sector_cipher"]

    def spy(encryption: str, key: bytes) -> object:
        found.append((encryption, key))
        return real(encryption, key)

    monkeypatch.setitem(unlock.__globals__, "sector_cipher", spy)
    disk = opened(path, keys(tmp_path))
    assert disk is not None
    assert found[-1][1] == master_key(path, tmp_path / "passphrase")
    assert disk.pread(4096, 0) != bytes(4096), "zeros are ciphertext of something else"


def _kernel_like(folder: Path) -> Path:
    """An ext4 with something in it."""
    content = folder / "content"
    (folder / "tree").mkdir()
    (folder / "tree/file").write_bytes(bytes(range(256)) * 4096)
    subprocess.run(
        ["mke2fs", "-q", "-t", "ext4", "-b", "4096", "-L", "inside", "-d", folder / "tree", content, "8M"],
        check=True,
    )
    return content


@pytest.mark.parametrize(
    "options",
    [
        f"--type luks2 {FAST}",
        f"--type luks2 --sector-size 4096 {FAST}",
        f"--type luks2 --cipher aes-cbc-essiv:sha256 --key-size 256 {FAST}",
        f"--type luks2 --cipher aes-xts-plain --key-size 256 {FAST}",
    ],
)
def test_content_that_cryptsetup_encrypted(tmp_path: Path, options: str) -> None:
    """In whole, and in pieces that begin and end within sectors."""
    content = _kernel_like(tmp_path)
    path = make(tmp_path, options, content)
    disk = opened(path, keys(tmp_path, PASSPHRASE + b"\n"))
    assert disk is not None
    plain = content.read_bytes()
    assert disk.pread(len(plain), 0) == plain
    for offset, length in ((1, 1), (511, 2), (4095, 4098), (len(plain) - 3, 3), (12_345, 100_000)):
        assert disk.pread(length, offset) == plain[offset : offset + length]
    assert disk.pread(10, disk.size) == b""


def test_what_is_inside_is_assembled(tmp_path: Path) -> None:
    path = make(tmp_path, f"--type luks2 {FAST}", _kernel_like(tmp_path))
    with closing(RawDisk(str(path))) as disk:
        whole = Volume(0, 0, disk.size, 0, probe(disk, 0, disk.size))
        found = assemble([disk], [whole], keys(tmp_path))
        (inside,) = found.volumes
        assert (inside.name, inside.content.type, inside.content.label) == (
            f"/dev/mapper/luks-{UUID}",
            "ext4",
            "inside",
        )
        assert found.notes == ()
        without = assemble([disk], [whole])
        assert without.volumes == ()
        assert without.notes == (
            f"the encrypted volume {UUID} is not opened: no key was given for it (--luks-keys).",
        )


def test_the_wrong_key_is_an_error_that_does_not_tell_it(tmp_path: Path) -> None:
    path = make(tmp_path, MADE["luks2"])
    with pytest.raises(UnsupportedError, match=f"{UUID} that was given opens none of its 1 key") as caught:
        opened(path, keys(tmp_path, b"battery staple"))
    assert "battery" not in str(caught.value)


def test_a_key_for_another_volume_is_not_tried(tmp_path: Path) -> None:
    path = make(tmp_path, MADE["luks2"])
    assert opened(path, keys(tmp_path, name=UUID.replace("1", "9"))) is None


def test_a_key_that_cannot_be_read(tmp_path: Path) -> None:
    path = make(tmp_path, MADE["luks2"])
    (tmp_path / "keys" / UUID).mkdir(parents=True)
    with pytest.raises(UnsupportedError, match="cannot be read: Is a directory"):
        opened(path, KeyFolder(tmp_path / "keys"))


def test_a_uuid_that_is_a_path_reads_no_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(PASSPHRASE)
    assert keys(tmp_path).candidates("../secret") == ()


def test_the_second_header_where_the_first_is_damaged(tmp_path: Path) -> None:
    path = make(tmp_path, MADE["luks2"])
    with path.open("r+b") as file:
        file.seek(4096 + 10)
        file.write(b"\xff")
    assert opened(path, keys(tmp_path)) is not None
    with path.open("r+b") as file:
        file.seek(0x4000 + 4096 + 10)
        file.write(b"\xff")
    with pytest.raises(DiskError, match="both headers"):
        opened(path, keys(tmp_path))


def _rewritten(path: Path, **changes: object) -> bytes:
    """The volume with another JSON and a right checksum, in the first header."""
    import hashlib

    data = bytearray(path.read_bytes())
    metadata = json.loads(bytes(data[4096:0x4000]).partition(b"\0")[0])
    for place, value in changes.items():
        *folders, name = place.split("__")
        target = metadata
        for folder in folders:
            target = target[folder]
        target[name] = value
    data[4096:0x4000] = json.dumps(metadata).encode().ljust(0x4000 - 4096, b"\0")
    data[16:24] = (1000).to_bytes(8, "big")
    data[448:512] = bytes(64)
    data[448:480] = hashlib.sha256(bytes(data[:0x4000])).digest()
    return bytes(data)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"config__requirements": {"mandatory": ["online-reencrypt"]}}, "asks for online-reencrypt"),
        ({"segments__0__encryption": "serpent-xts-plain64"}, "cipher serpent-xts-plain64"),
        ({"segments__0__integrity": {"type": "hmac(sha256)"}}, "integrity"),
        ({"keyslots__0__kdf__iterations": 1 << 60}, "iterations for a key"),
        ({"keyslots__0__kdf__type": "scrypt"}, "derivation scrypt"),
        ({"keyslots__0__area__offset": str(1 << 60)}, "lies outside"),
        ({"segments__0__offset": str(1 << 60)}, "makes no sense"),
        ({"segments__0__sector_size": 7}, "makes no sense"),
        ({"digests__0__salt": "?"}, "makes no sense"),
        ({"segments": {}}, "makes no sense"),
        ({"keyslots__0__af__stripes": 1 << 40}, "not understood"),
    ],
)
def test_headers_that_ask_for_more_or_lie(tmp_path: Path, changes: dict[str, object], says: str) -> None:
    path = make(tmp_path, MADE["luks2"])
    path.write_bytes(_rewritten(path, **changes))
    with pytest.raises((DiskError, UnsupportedError), match=says):
        opened(path, keys(tmp_path))


def test_the_known_volume(cases: Path, tmp_path: Path) -> None:
    path = tmp_path / "volume"
    path.write_bytes(lzma.decompress((cases / "LUKS-01/tests/compatimage.img.xz").read_bytes()))
    given = keys(tmp_path, b"compatkey", "28632274-8c8a-493f-835b-da802e1c576b")
    disk = opened(path, given)
    assert disk is not None
    assert disk.pread(512, 0)


def test_the_known_damaged_headers(cases: Path, tmp_path: Path) -> None:
    """Metadata of every size the format allows: the second header serves where the first is overwritten."""
    archive = cases / "LUKS-01/tests/luks2_mda_images.tar.xz"
    with tarfile.open(archive) as images:
        for member in images:
            source = images.extractfile(member)
            assert source is not None
            data = bytearray(source.read())
            good = header.read(MemoryDisk(data), _whole(data))
            assert not good.is_second
            data[:4096] = bytes(4096)
            second = header.read(MemoryDisk(data), _whole(data))
            assert second.is_second
            assert (second.uuid, second.slots, second.digest) == (good.uuid, good.slots, good.digest)


def _whole(data: bytes | bytearray) -> Volume:
    disk = MemoryDisk(data)
    return Volume(0, 0, len(data), 0, probe(disk, 0, len(data)))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("luks")
    return {
        kind: make(folder, MADE[kind]).read_bytes()[: 3 * MIB if kind == "luks1" else 17 * MIB]
        for kind in ("luks1", "luks2")
    }


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["luks1", "luks2"]),
    flips=st.lists(st.tuples(st.integers(0, 0x8000), st.integers(0, 7)), min_size=1, max_size=4),
)
def test_flipped_bits_end_in_a_header_or_an_error(
    small: dict[str, bytes], kind: str, flips: list[tuple[int, int]]
) -> None:
    data = bytearray(small[kind])
    for place, bit in flips:
        data[place % (0x8000 if kind == "luks2" else 592)] ^= 1 << bit
    try:
        found = header.read(MemoryDisk(data), _whole(data))
    except ConvertError:
        return
    assert len(found.slots) <= 32
