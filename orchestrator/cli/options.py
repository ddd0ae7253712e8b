"""Click options made from ``Settings``, and ``Settings`` made from what click parsed.

Click itself gives the precedence: flag, environment variable, configuration file (its default map), default.
"""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo

from orchestrator.cli import config_file
from orchestrator.errors import UsageError
from orchestrator.settings import Section, Settings, Verb, declaration, environment_name, flag

Command = Callable[..., Any]
_ORIGINS = f"{__name__}.origins"
"""Where the configuration file's settings stand, in click's context."""
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
"""What every command of ours has in common."""


class SectionedCommand(click.Command):
    """A command whose ``--help`` lists options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section's options, then those without one."""
        write_sections(self, ctx, formatter)


class SectionedGroup(click.Group):
    """The same for a command that has verbs below it."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs first: they are what a newcomer looks for."""
        self.format_commands(ctx, formatter)
        write_sections(self, ctx, formatter)


def write_sections(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """The options of ``command`` under the headings of ``Section``."""
    rows: dict[str, list[tuple[str, str]]] = {section: [] for section in Section}
    rows["Options"] = []
    for parameter in command.get_params(ctx):
        name, text = parameter.get_help_record(ctx) or ("", "")
        if text:
            field = Settings.model_fields.get(parameter.name or "")
            # Of a switch, the name that switches it on; the epilog tells of the other.
            rows[declaration(field).section if field else "Options"].append((name.partition(" / ")[0], text))
    for heading, records in rows.items():
        if records:
            with formatter.section(heading):
                formatter.write_dl(records)


def settings_options(verb: Verb) -> Callable[[Command], Command]:
    """A decorator that gives a command one option for each setting that ``verb`` takes, and ``--config``."""

    def decorate(command: Command) -> Command:
        for name, field in reversed(Settings.model_fields.items()):
            declared = declaration(field)
            if verb in declared.verbs and not declared.secret:
                command = _option(name, field)(command)
        return click.option(
            "--config",
            type=click.Path(dir_okay=False, path_type=Path),
            envvar="ORCHESTRATE_CONFIG",
            is_eager=True,
            expose_value=False,
            callback=_load_config,
            help="YAML file with the same names as the flags.",
        )(command)

    return decorate


def settings_from(ctx: click.Context, parameters: dict[str, Any]) -> Settings:
    """The settings of a command, with its secrets from the environment.

    Raises:
        UsageError: a value that cannot be, with the place it came from.
    """
    values = {
        name: value
        for name, value in parameters.items()
        if name in Settings.model_fields and ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    for name, secret in (("vcenter", "password"), ("ledger", "ledger_password")):
        _take_url(ctx, name, secret, str(values.get(name, "")))
    for name, field in Settings.model_fields.items():
        if declaration(field).secret:
            values[name] = take_secret(environment_name(name))
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{_origin(ctx, str(first['loc'][0]))}: {said}") from None


def _take_url(ctx: click.Context, name: str, secret: str, url: str) -> None:
    """``https://user:password@host/sdk`` is for the environment, and leaves it as a password does.

    ``secret`` is the setting in which the password belongs.

    Raises:
        UsageError: it stands on the command line or in a file, where others can read it.
    """
    if ":" not in url.partition("://")[2].rpartition("@")[0] and "password=" not in url:
        return
    if ctx.get_parameter_source(name) is not ParameterSource.ENVIRONMENT:
        raise UsageError(
            f"{_origin(ctx, name)} holds a password, which others can read there",
            f"use {environment_name(secret)} or {flag(secret + '_file')}",
        )
    take_secret(environment_name(name))


def take_secret(variable: str) -> SecretStr:
    """A secret from the environment, and out of it: no child process inherits it."""
    return SecretStr(os.environ.pop(variable, ""))


class SettingOption(click.Option):
    """An option whose errors name the place where the value stands: it need not be the command line."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """See click. Raises ``UsageError`` for a value that is not of the option's type."""
        name = self.name or ""
        try:
            return super().process_value(ctx, value)
        except click.BadParameter as error:
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                raise
            raise UsageError(f"{_origin(ctx, name)}: {error.message}") from None


def _origin(ctx: click.Context, name: str) -> str:
    match ctx.get_parameter_source(name):
        case ParameterSource.ENVIRONMENT:
            return f"environment variable {environment_name(name)}"
        case ParameterSource.DEFAULT_MAP:
            return str(ctx.meta[_ORIGINS][name])
        case _:
            return flag(name)


def _option(name: str, field: FieldInfo) -> Callable[[Command], Command]:
    kind, multiple = _kind(field.annotation)
    options: dict[str, Any] = {
        "envvar": environment_name(name),
        "show_envvar": bool(declaration(field).env),
        "help": field.description,
        "cls": SettingOption,
    }
    if kind is bool:
        return click.option(f"{flag(name)}/--no-{flag(name)[2:]}", name, default=field.default, **options)
    options["type"] = _click_type(kind)
    if multiple:
        options |= {"multiple": True, "default": [str(item) for item in field.default]}
    elif field.default not in (None, ""):
        options |= {"default": str(field.default), "show_default": True}
    return click.option(flag(name), name, metavar=_metavar(kind), **options)


def _kind(annotation: Any) -> tuple[Any, bool]:
    """The scalar type of a field, and whether it takes several."""
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is tuple:
        return arguments[0], True
    if isinstance(annotation, types.UnionType):
        return next(item for item in arguments if item is not type(None)), False
    return annotation, False


def _click_type(kind: Any) -> Any:
    if issubclass(kind, StrEnum):
        return click.Choice([str(item) for item in kind])
    return click.Path(path_type=Path) if kind is Path else kind


def _metavar(kind: Any) -> str | None:
    return None if issubclass(kind, StrEnum) else {int: "N", float: "N", Path: "PATH"}.get(kind, "TEXT")


def _load_config(ctx: click.Context, _parameter: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    entries = config_file.load(path)
    ctx.meta[_ORIGINS] = {name: entry.origin for name, entry in entries.items()}
    ctx.default_map = {name: entry.value for name, entry in entries.items()}
