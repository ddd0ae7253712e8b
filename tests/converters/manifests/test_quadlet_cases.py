"""Podman's own cases of Quadlet files: what the tests here read of a unit is what podman starts."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from converters import process
from tests.converters.manifests.readers import command_line
from tests.quadlet_generator import generated

CASES = Path(__file__).parents[4] / "shared/cases/QUADLET-01/test/e2e/quadlet"
NAMES = (
    *("basic", "capabilities", "capabilities2", "entrypoint", "env-host", "exec", "image", "label", "name"),
    *("network", "ports_ipv6", "secrets"),
)


def _wanted(text: str, assertion: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith(f"## {assertion} "):
            yield shlex.split(line.removeprefix(f"## {assertion} "))


def _holds(words: list[str], part: list[str]) -> bool:
    return any(words[start : start + len(part)] == part for start in range(len(words)))


@pytest.mark.parametrize("name", NAMES)
def test_what_podman_starts(name: str, tmp_path: Path) -> None:
    if not CASES.is_dir():
        pytest.skip("podman's cases of Quadlet files are not there")
    text = (CASES / f"{name}.container").read_text()
    words = command_line(generated({f"{name}.container": text}, tmp_path)[f"{name}.service"])
    for part in _wanted(text, "assert-podman-args"):
        # A unit's own name in place of a specifier is systemd's affair. Versions of podman's generator
        # differ in whether an option and its value are one word.
        forms = (part, part[0].split("=", 1))
        assert "%" in "".join(part) or any(_holds(words, form) for form in forms), (part, words)
    for part in _wanted(text, "!assert-podman-args"):
        assert not _holds(words, part)
    for part in _wanted(text, "assert-podman-final-args"):
        assert words[-len(part) :] == part


def test_a_file_without_an_image_is_refused(tmp_path: Path) -> None:
    if not CASES.is_dir():
        pytest.skip("podman's cases of Quadlet files are not there")
    text = (CASES / "emptyline.container").read_text()
    with pytest.raises(process.ProcessError, match="no Image or Rootfs key"):
        generated({"emptyline.container": text}, tmp_path)
