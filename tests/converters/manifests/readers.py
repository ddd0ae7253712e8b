"""How the tools that deployment files are for read them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from converters.guest.services.unit_file import Settings, parse_unit
from converters.guest.services.words import expand_specifiers, expand_variables, split_words

_NO_VARIABLES: Mapping[str, str] = {}


def command_line(unit: str, key: str = "ExecStart") -> list[str]:
    """The words that systemd starts for a unit: continued lines, quotes, escapes, specifiers, variables."""
    return words(Settings(parse_unit(unit)).last("Service", key))


def words(text: str) -> list[str]:
    """A command line's words, as systemd starts them."""
    return expand_variables(
        [expand_specifiers(word, {"%": "%"}) for word in split_words(text)], _NO_VARIABLES
    )


def options(words: list[str], name: str) -> list[str]:
    """The values of an option that has its value in the word after it."""
    return [value for word, value in pairwise(words) if word == name]


def started(script: str, folder: Path) -> Iterator[list[str]]:
    """What a shell starts an engine with, command by command."""
    record = folder / "started"
    record.unlink(missing_ok=True)
    engine = folder / "engine"
    engine.write_text(f"#!/bin/sh\nprintf '%s\\0' $# \"$@\" >> {record}\n")
    engine.chmod(0o755)
    (folder / "script").write_text(script, encoding="utf-8")
    subprocess.run(["sh", folder / "script"], env={"ENGINE": str(engine)}, check=True)
    words = record.read_bytes().decode().split("\0")[:-1]
    while words:
        count = int(words[0])
        yield words[1 : count + 1]
        words = words[count + 1 :]
