"""How the command line is told of a ledger, and where its password may stand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.__main__ import status
from orchestrator.errors import ExitCode
from orchestrator.settings import Settings
from tests.orchestrator.ledger.conftest import Place


def with_password(place: Place) -> str:
    return place.location.replace("@", f":{place.password}@")


@pytest.mark.parametrize("form", ["postgresql://me:hush@db/vms", "postgresql://me@db/vms?password=hush"])
def test_a_url_with_a_password_is_refused_where_others_can_read_it(
    form: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"ledger: {form}\n")
    for words in (["--ledger", form], ["--config", str(config)]):
        assert status(["status", *words]) == ExitCode.USAGE
        told = capsys.readouterr().err
        assert "holds a password" in told and "--ledger-password-file" in told
        assert "hush" not in told


def test_a_url_with_a_password_leaves_the_environment(
    database: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORCHESTRATE_LEDGER", with_password(database))
    assert status(["status"]) == ExitCode.NOTHING_MATCHED, capsys.readouterr().err
    assert "ORCHESTRATE_LEDGER" not in os.environ


def test_the_password_comes_from_the_environment_or_a_file(
    database: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{database.password}\n")
    words = ["status", "--ledger", database.location]
    assert status([*words, "--ledger-password-file", str(file)]) == ExitCode.NOTHING_MATCHED
    monkeypatch.setenv("ORCHESTRATE_LEDGER_PASSWORD", database.password)
    assert status(words) == ExitCode.NOTHING_MATCHED
    assert "ORCHESTRATE_LEDGER_PASSWORD" not in os.environ


def test_a_database_that_is_not_there_is_told_with_its_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["status", "--ledger", "postgresql://me@127.0.0.1:9/vms"]) == ExitCode.CANNOT_CONNECT
    assert "127.0.0.1:9/vms is away" in capsys.readouterr().err


def test_settings_do_not_show_it(database: Place) -> None:
    assert database.password not in repr(Settings(ledger=with_password(database)))
