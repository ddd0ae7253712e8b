"""A reading process ruled by a hostile disk: whatever it says or leaves unsaid, there is an error."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from converters.errors import (
    ConvertError,
    DefectError,
    DiskError,
    FilesystemError,
    LimitError,
    ReaderDiedError,
)
from converters.guest.facts import Directory
from converters.reader import limits
from converters.reader.parent import Reader
from converters.reading import Reading

PRELUDE = """
import json, os, pickle, struct, sys, time
pickle.load(sys.stdin.buffer)

def frame(kind, payload=b"", length=None):
    os.write(1, struct.pack(">cI", kind, len(payload) if length is None else length) + payload)

def inspection(**changes):
    guest = {
        "release": {"id": "debian", "version": "12", "name": "Debian", "family": "debian", "source": "x"},
        "architecture": "amd64", "hostname": "liar", "init": "systemd",
    }
    frame(b"I", json.dumps({"guest": guest | changes, "mounts": []}).encode())

def summary():
    frame(b"S", json.dumps({"entries": 1, "removals": []}).encode())
"""


def liar(
    script: str,
    scratch: Path,
    stall: float = 20,
    tree_bytes: int | None = None,
    total: float | None = None,
) -> Reader:
    """A reader whose process runs ``script`` in place of the real one."""
    command = (sys.executable, "-I", "-c", PRELUDE + script)
    reading = Reading(stall_seconds=stall, tree_bytes=tree_bytes, total_seconds=total)
    return Reader([], reading, scratch, command)


def read_all(reader: Reader) -> int:
    """Bytes of the whole tree, as a conversion takes them."""
    reader.inspect()
    size = sum(map(len, reader.tar()))
    assert reader.summary.entries == 1
    return size


def test_the_words_of_the_protocol_are_understood(tmp_path: Path) -> None:
    script = "inspection(); pickle.load(sys.stdin.buffer); frame(b'D', b'abc'); frame(b'D'); summary()"
    with liar(script, tmp_path) as reader:
        assert read_all(reader) == 3


def test_signs_of_life_keep_a_silent_child(tmp_path: Path) -> None:
    script = (
        "time.sleep(1); frame(b'A'); time.sleep(1); inspection(); pickle.load(sys.stdin.buffer)\n"
        "time.sleep(1); frame(b'A'); time.sleep(1); frame(b'D', b'abc'); summary()"
    )
    with liar(script, tmp_path, stall=1.8) as reader:
        assert read_all(reader) == 3


def test_a_heart_that_races_is_stopped(tmp_path: Path) -> None:
    script = "inspection()\nwhile True: frame(b'A')"
    with pytest.raises(ReaderDiedError, match="signs of life at once"), liar(script, tmp_path) as reader:
        read_all(reader)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("frame(b'A', b'x')", "unexpected frame of kind b'A'"),
        ("frame(b'I', b'{]')", "cannot be understood"),
        ("frame(b'I', bytes(range(256)))", "cannot be understood"),
        ("frame(b'I', b'{\"guest\": 1}')", "cannot be understood"),
        ("inspection(services='all')", "cannot be understood"),
        ("inspection(architecture={})", "cannot be understood"),
        ("frame(b'I', length=0xffffffff)", "description of 4294967295 bytes"),
        ("frame(b'I', length=(64 << 20) + 1)", "description of 67108865 bytes"),
        ("frame(b'E', b'[]')", "cannot be understood"),
        ("frame(b'E', length=(64 << 10) + 1)", "description of 65537 bytes"),
        ("frame(b'D', b'tar before the guest')", "unexpected frame of kind b'D'"),
        ("summary()", "unexpected frame of kind b'S'"),
        ("frame(b'\\0')", r"unexpected frame of kind b'\\x00'"),
        ("inspection(); inspection()", "unexpected frame of kind b'I'"),
        ("inspection(); frame(b'Q')", "unexpected frame of kind b'Q'"),
        ("inspection(); frame(b'D', length=(1 << 20) + 1)", "unexpected frame of kind b'D'"),
        ("inspection(); frame(b'S', b'{\"entries\": \"many\"}')", "cannot be understood"),
        ("inspection(); frame(b'S', length=1 << 31)", "description of 2147483648 bytes"),
    ],
)
def test_nonsense_is_an_error(script: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ReaderDiedError, match=message), liar(script, tmp_path) as reader:
        read_all(reader)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("", "exit status 0"),
        ("sys.exit('no such thing as mercy')", "exit status 1: no such thing as mercy"),
        ("os.write(1, b'I')", "exit status 0"),
        ("frame(b'I', b'{', 10)", "exit status 0"),
        ("inspection(); frame(b'D', b'abc', 4)", "exit status 0"),
        ("inspection(); frame(b'D', b'abc')", "exit status 0"),
        (
            "import converters.no_such_module",
            "ModuleNotFoundError: No module named 'converters.no_such_module'",
        ),
    ],
)
def test_an_end_of_its_own_doing_is_not_tried_again(script: str, message: str, tmp_path: Path) -> None:
    with (
        pytest.raises(DefectError, match=f"gave up: .*{message}") as caught,
        liar(script, tmp_path) as reader,
    ):
        read_all(reader)
    assert not caught.value.retryable
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_a_crash_is_tried_again(number: signal.Signals, tmp_path: Path) -> None:
    with (
        pytest.raises(ReaderDiedError, match=f"died: .*{number.name}") as caught,
        liar(f"inspection(); frame(b'D', b'abc', 4); os.kill(os.getpid(), {number:d})", tmp_path) as reader,
    ):
        read_all(reader)
    assert caught.value.retryable


@pytest.mark.parametrize("frame", ["b'\\0' * (1 << 20)", "b'x'", "b''"])
def test_a_tree_without_end_has_an_end(frame: str, tmp_path: Path) -> None:
    script = f"inspection(); pickle.load(sys.stdin.buffer)\nwhile True: frame(b'D', {frame})"
    with (
        pytest.raises(LimitError, match=r"more than 0\.1 GiB as tar.*--reader-tree") as caught,
        liar(script, tmp_path, tree_bytes=64 << 20) as reader,
    ):
        read_all(reader)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "drip",
    [
        "frame(b'I', b'{', 1 << 20)\nwhile True: time.sleep(0.1); os.write(1, b' ')",
        "inspection(); frame(b'D', b'x', 1 << 20)\nwhile True: time.sleep(0.1); os.write(1, b'x')",
        "inspection()\nwhile True: time.sleep(0.1); frame(b'D', b'x')",
    ],
)
def test_dripping_has_an_end(drip: str, tmp_path: Path) -> None:
    with (
        pytest.raises(LimitError, match=r"was waited for .* hours in all .*--reader-hours") as caught,
        liar(drip, tmp_path, total=0.5) as reader,
    ):
        read_all(reader)
    assert not caught.value.retryable


def test_by_itself_that_end_follows_the_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LEAST_WAIT", 0.5)
    with (
        pytest.raises(LimitError, match="--reader-hours"),
        liar("time.sleep(60)", tmp_path, tree_bytes=1 << 20) as reader,
    ):
        read_all(reader)


@pytest.mark.parametrize(
    "script",
    [
        "time.sleep(60)",
        "frame(b'I', b'{', 10); time.sleep(60)",
        "inspection(); frame(b'D', b'abc', 1 << 20); time.sleep(60)",
        "inspection(); frame(b'D', b'abc'); time.sleep(60)",
    ],
)
def test_silence_has_an_end(script: str, tmp_path: Path) -> None:
    wanted = r"no sign of life for 0\.7 seconds"
    with pytest.raises(ReaderDiedError, match=wanted), liar(script, tmp_path, stall=0.7) as reader:
        read_all(reader)


def test_not_listening_has_an_end(tmp_path: Path) -> None:
    # What is asked grows with what the guest wants, beyond what a pipe holds.
    many = tuple(Directory(f"/run/{number:060}", 0o755, 0, 0, "liar") for number in range(3000))
    with (
        liar("inspection(); time.sleep(60)", tmp_path, stall=0.7) as reader,
        pytest.raises(ReaderDiedError, match="no sign of life"),
    ):
        reader.inspect()
        next(reader.tar(many))


def test_a_process_that_closes_its_pipe_and_lives_on(tmp_path: Path) -> None:
    with (
        pytest.raises(ReaderDiedError, match="closed its pipe and did not end"),
        liar("os.close(1); time.sleep(60)", tmp_path) as reader,
    ):
        reader.inspect()


def test_what_a_library_prints_is_told(tmp_path: Path) -> None:
    script = "sys.stderr.write('first\\nfatal: out of cheese\\n'); os._exit(9)"
    with (
        pytest.raises(DefectError, match=r"exit status 9: first \| fatal: out of cheese"),
        liar(script, tmp_path) as reader,
    ):
        reader.inspect()


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("filesystem", FilesystemError),
        ("disk", DiskError),
        ("reader", ReaderDiedError),
        ("convert", ConvertError),
        ("internal", DefectError),
        ("nonsense", ReaderDiedError),
        ("registry-refused", ReaderDiedError),  # which could end a whole run
    ],
)
def test_an_error_has_the_class_of_its_kind(kind: str, error: type[ConvertError], tmp_path: Path) -> None:
    failure = f"dict(kind={kind!r}, message='what \\x1b[31m happened', hint='do\\n this')"
    script = f"frame(b'E', json.dumps({failure}).encode())"
    with pytest.raises(ConvertError) as caught, liar(script, tmp_path) as reader:
        reader.inspect()
    assert type(caught.value) is error
    # What comes from a disk must not speak to a terminal.
    assert (caught.value.message, caught.value.hint) == ("what \\x1b[31m happened", "do\\n this")
