"""Settings are declared once, and reach a command by flag, environment and file, in that order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from converters.filesystems import engines
from converters.reading import Reading
from orchestrator.cli.options import SectionedCommand, settings_from, settings_options
from orchestrator.errors import UsageError
from orchestrator.settings import Engine, Settings, Verb, declaration, environment_name, flag

Parse = Callable[..., Settings]


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Parse:
    """Parses arguments as the main verb does; gives the settings."""
    for name in Settings.model_fields:
        monkeypatch.delenv(environment_name(name), raising=False)

    def run(*arguments: str, env: dict[str, str] | None = None) -> Settings:
        seen: list[Settings] = []

        @click.command(cls=SectionedCommand)
        @settings_options(Verb.RUN)
        @click.pass_context
        def command(ctx: click.Context, /, **parameters: Any) -> None:
            seen.append(settings_from(ctx, parameters))

        for variable, value in (env or {}).items():
            monkeypatch.setenv(variable, value)
        command.main(list(arguments), standalone_mode=False)
        return seen[0]

    return run


def test_defaults_are_the_models(parse: Parse) -> None:
    assert parse() == Settings()


def test_flag_beats_environment_beats_file(parse: Parse, tmp_path: Path) -> None:
    config = tmp_path / "orchestrate.yaml"
    config.write_text("disks-per-host: 3\nattempts: 7\nmax_vms: 2\ninclude: [a*, b*]\n")
    env = {"ORCHESTRATE_DISKS_PER_HOST": "4", "ORCHESTRATE_ATTEMPTS": "5"}
    settings = parse("--config", str(config), "--attempts", "6", env=env)
    assert (settings.attempts, settings.disks_per_host, settings.max_vms) == (6, 4, 2)
    assert settings.include == ("a*", "b*")


def test_govc_variables_are_understood(parse: Parse) -> None:
    env = {
        "GOVC_URL": "vc.example",
        "GOVC_USERNAME": "reader",
        "GOVC_PASSWORD": "hunter2",
        "GOVC_INSECURE": "true",
        "GOVC_TLS_CA_CERTS": "/etc/ca.pem",
        "GOVC_DATACENTER": "DC1",
    }
    settings = parse(env=env)
    assert (settings.vcenter, settings.username, settings.datacenter) == ("vc.example", "reader", "DC1")
    assert settings.insecure
    assert settings.ca_file == Path("/etc/ca.pem")
    assert settings.password.get_secret_value() == "hunter2"


def test_the_password_leaves_the_environment_and_every_repr(
    parse: Parse, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    settings = parse(env={"GOVC_PASSWORD": "hunter2"})
    assert "GOVC_PASSWORD" not in os.environ
    assert "hunter2" not in repr(settings) + str(settings.model_dump())


def test_a_url_with_a_password_leaves_the_environment(parse: Parse) -> None:
    import os

    url = "https://reader:hunter2@vc.example/sdk"
    assert parse(env={"GOVC_URL": url}).vcenter == url
    assert "GOVC_URL" not in os.environ
    parse(env={"GOVC_URL": "https://vc.example/sdk"})
    assert "GOVC_URL" in os.environ


@pytest.mark.parametrize("place", ["flag", "file"])
def test_a_url_with_a_password_is_refused_where_others_read_it(
    parse: Parse, tmp_path: Path, place: str
) -> None:
    url = "https://reader:hunter2@vc.example/sdk"
    config = tmp_path / "c.yaml"
    config.write_text(f"vcenter: {url}\n")
    arguments = ("--vcenter", url) if place == "flag" else ("--config", str(config))
    with pytest.raises(UsageError, match="holds a password") as caught:
        parse(*arguments)
    assert "hunter2" not in str(caught.value)


def test_secrets_come_from_files_without_the_line_end(parse: Parse, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hunter2\n")
    assert parse("--password-file", str(file)).from_file("password") == "hunter2"
    with pytest.raises(UsageError, match="--password-file: cannot read"):
        parse("--password-file", str(tmp_path / "absent")).from_file("password")


def test_several_values_and_choices(parse: Parse) -> None:
    settings = parse("--engines", "ext2fs", "--engines", "guestfs", "--exclude", "x", "--dry-run")
    assert settings.engines == (Engine.EXT2FS, Engine.GUESTFS)
    assert settings.exclude == ("x",)
    assert settings.dry_run


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("password: hunter2\n", "line 1, password: must not stand in a configuration file"),
        ("attempts: 2\ndatacentre: X\n", "line 2, datacentre: there is no such setting"),
        ("attempts: 2\ntag: v1\nattempts: 3\n", "line 3, attempts: is there twice"),
        ("max-vms: 2\nmax_vms: 3\n", "line 2, max_vms: is there twice"),
        ("- a\n", "holds no `name: value` lines"),
        ("", "holds no `name: value` lines"),
        ("a: [\n", "cannot read the configuration file"),
        ("datacenter: [DC0, DC1]\n", "line 1, datacenter: takes one value"),
        ("# why\ninclude: {web: true}\n", "line 2, include: takes one value, or a list of them"),
        ("include: [[web]]\n", "line 1, include: takes one value, or a list of them"),
        ("attempts: many\n", "line 1, attempts: 'many' is not a valid integer"),
        ("attempts: 0\n", "line 1, attempts: .*greater than 0"),
        ("max-vms: many\n", "line 1, max-vms: 'many' is not a valid integer"),
        ("dry-run: perhaps\n", "line 1, dry-run: 'perhaps' is not a valid boolean"),
        ("quiesce: sometimes\n", "line 1, quiesce: 'sometimes' is not one of 'require', 'prefer', 'never'"),
        ("engines: [uml, ntfs-3g]\n", "line 1, engines: 'ntfs-3g' is not one of"),
        ("keep: nosuchrule\n", "line 1, keep: .*no clean-up rule is called 'nosuchrule'"),
    ],
)
def test_a_wrong_file_is_told_by_its_name_line_and_key(
    parse: Parse, tmp_path: Path, content: str, words: str
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(content)
    with pytest.raises(UsageError, match=words) as caught:
        parse("--config", str(config))
    assert str(config) in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "--" not in caught.value.message, "no flag was given"


def test_a_file_is_read_as_it_is_written(parse: Parse, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        "tag: 1.10\ninclude: web\nexclude: [010, 'b c']\nengines: uml\n"
        "dry-run: yes\ninsecure: off\nmax-vms:\ndatacenter: null\nca-file: /etc/ca.pem\n"
    )
    settings = parse("--config", str(config))
    assert settings.tag == "1.10", "not a number"
    assert (settings.include, settings.exclude) == (("web",), ("010", "b c"))
    assert settings.engines == (Engine.UML,)
    assert (settings.dry_run, settings.insecure) == (True, False)
    assert (settings.max_vms, settings.datacenter) == (None, ""), "as if they were not there"
    assert settings.ca_file == Path("/etc/ca.pem")


def test_a_wrong_variable_is_told_by_its_name(parse: Parse) -> None:
    with pytest.raises(UsageError, match="environment variable ORCHESTRATE_ATTEMPTS: 'many' is not a valid"):
        parse(env={"ORCHESTRATE_ATTEMPTS": "many"})


def test_a_value_out_of_range_names_its_origin(parse: Parse) -> None:
    with pytest.raises(UsageError, match=r"--attempts: .*greater than 0"):
        parse("--attempts", "0")
    with pytest.raises(UsageError, match="environment variable ORCHESTRATE_ATTEMPTS"):
        parse(env={"ORCHESTRATE_ATTEMPTS": "0"})


def test_no_secret_has_a_flag() -> None:
    runner = CliRunner()

    @click.command(cls=SectionedCommand)
    @settings_options(Verb.RUN)
    def command(**parameters: Any) -> None:
        return

    help_text = runner.invoke(command, ["--help"]).output
    for name, field in Settings.model_fields.items():
        declared = declaration(field)
        if declared.secret:
            assert f"{flag(name)} " not in help_text
        elif Verb.RUN in declared.verbs:
            assert flag(name) in help_text
            assert field.description


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--keep", "nosuchrule", "no clean-up rule is called 'nosuchrule'"),
        ("--clean", "nosuchrule", "no clean-up rule is called 'nosuchrule'"),
        ("--tag", "a b", "no valid tag"),
        ("--registry", "http://registry.example/vms", "without a scheme"),
        ("--registry", "registry.example/UPPER", "lower case"),
        ("--worker-memory", "lots", "no size"),
    ],
)
def test_a_value_that_cannot_work_is_told_before_anything_is_begun(
    parse: Parse, option: str, value: str, words: str
) -> None:
    with pytest.raises(UsageError, match=f"{option}: .*{words}"):
        parse(option, value)


def test_values_that_work_are_taken(parse: Parse) -> None:
    settings = parse("--keep", "boot", "--clean", "ssh-of-people", "--registry", "localhost:5000/vms/")
    assert (settings.keep, settings.clean) == (("boot",), ("ssh-of-people",))
    for size in ("2GiB", "1500MB", "0.5 GiB", "1073741824B"):
        assert parse("--worker-memory", size).worker_memory == size


def test_every_engine_has_its_switch() -> None:
    switches = {engine.value for engine in Engine}
    # User-mode Linux as the reader is switched on with what it recovers.
    assert switches == {engine.value for engine in engines.Engine} - {engines.Engine.UML_READER.value}
    assert set(Reading().engines) == switches
