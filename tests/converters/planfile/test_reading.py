"""What is wrong in a plan file or a rule file is told with its place and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.errors import PlanError
from converters.planfile.reading import read_plan, read_rules

HEAD = "version: 1\nmachine: web\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ("holds no `key: value` lines",)),
        ("a: [", ("is no YAML", "line 1")),
        ("machine: web\n", ("has no `version`", "`version: 1`")),
        ("version: 2\nmachine: web\n", ("line 1", "'2' is not known", "--plan-only")),
        ("version: 1\n", ("machine: is missing",)),
        (HEAD + "servcies: {}\n", ("line 3, servcies", "no such key", "did you mean `services`?")),
        (
            HEAD + "services:\n  a:\n    usr: x\n",
            ("line 5, services.a.usr", "did you mean `user`?", "volumes"),
        ),
        (HEAD + "services:\n  a:\n    ports:\n    - 80\n    - 99999\n", ("line 7", "'99999'", "PORT/udp")),
        (HEAD + "services: {a: {run: perhaps}}\n", ("line 3", "services.a.run", "'perhaps'", "boolean")),
        (HEAD + "services: {a: {run: true}}\nservices: {}\n", ("line 4, services: is there twice",)),
        (HEAD + "services: {a: {health: {path: /x}}}\n", ("health", "either `command` or `port`")),
        (HEAD + "services: {a: {health: {prt: 1}}}\n", ("did you mean `port`?",)),
        (HEAD + "services: {a: {volumes: [../x]}}\n", ("absolute path",)),
        (HEAD + "services: {a: {stop_signal: FOO}}\n", ("is no signal", "SIGTERM")),
        (HEAD + "services: {a: {name: 'x y'}}\n", ("'x y'", "letters, digits")),
        (HEAD + "services: {a: {environment: {'A=B': x}}}\n", ("environment",)),
        (HEAD + "jobs: {a: {schedule: daily}}\n", ("'daily'", "five fields")),
        (HEAD + "resources: {memory: lots}\n", ("512MiB",)),
        (HEAD + "resources: {cpus: 0}\n", ("greater than 0",)),
        (HEAD + "? [a]\n: b\n", ("a key must be one word",)),
        (HEAD + "starts: &a [*a]\n", ("too deep",)),
        (HEAD + "starts: " + "[" * 3000 + "\n", ("web.yaml",)),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "web.yaml"
    path.write_text(text)
    with pytest.raises(PlanError) as caught:
        read_plan(path)
    for word in ("web.yaml", *words):
        assert word in str(caught.value)


def test_values_are_texts_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text(
        HEAD + "services: {1.10: {user: no, environment: {A: 0755, B: 22:22, C: yes}, run: yes}}\n"
    )
    entry = read_plan(path).services["1.10"]
    assert (entry.user, entry.run) == ("no", True)
    assert entry.environment == {"A": "0755", "B": "22:22", "C": "yes"}


def test_aliases_cannot_make_a_small_file_large(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path.write_text(HEAD + "\n".join(lines) + "\n")
    with pytest.raises(PlanError, match="holds more than"):
        read_plan(path)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "c.yaml").write_text(HEAD + "#" * (4 << 20))
    for name, words in (("a.yaml", "No such file"), ("b.yaml", "decode"), ("c.yaml", "larger than 4 MiB")):
        with pytest.raises(PlanError, match=words):
            read_plan(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: [{when: service == 'a'}]", ("line 2", "exactly one of `service`, `job` and `machine`")),
        ("rules: [{when: x, service: {name: a}}]", ("rules.0.service.name", "no such key", "stop_signal")),
        ("rules: [{when: x, service: {}, job: {}}]", ("exactly one",)),
        ("classify: [{services: [a], role: agent, reason: x}]", ("'agent'", "'application'")),
        ("classify: [{services: [], role: platform, reason: x}]", ("classify.0.services",)),
        ("builtin: perhaps", ("boolean",)),
    ],
)
def test_what_is_wrong_in_rules(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(f"version: 1\n{text}\n")
    with pytest.raises(PlanError) as caught:
        read_rules(path)
    for word in ("rules.yaml", *words):
        assert word in str(caught.value)
