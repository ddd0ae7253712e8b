"""The process ``orchestrate``: the only place that turns an error into an exit status."""

from __future__ import annotations

import signal
import sys
from types import FrameType

import click

from converters.errors import ConvertError
from orchestrator.cli.app import app
from orchestrator.errors import ExitCode, OrchestratorError
from orchestrator.interrupts import minds_hangup


def main() -> None:
    """Run the command line and exit."""
    # As Ctrl-C: what a verb has open at vCenter is closed. A run that has begun minds them by itself.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if minds_hangup():
        signal.signal(signal.SIGHUP, _hung_up)
    sys.exit(status(sys.argv[1:]))


def status(arguments: list[str]) -> int:
    """Run the command line; the exit status, its reason on standard error."""
    try:
        return int(app.main(arguments, prog_name="orchestrate", standalone_mode=False) or ExitCode.OK)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return ExitCode.INTERRUPTED
    except (OrchestratorError, ConvertError) as error:
        _say(error.message, error.hint)
        return error.exit_code


def _hung_up(number: int, frame: FrameType | None) -> None:
    # Shell and kernel send one each: the second must not break off what the first has ended.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    raise KeyboardInterrupt


def _say(message: str, hint: str = "") -> None:
    click.echo(f"orchestrate: {message}", err=True)
    if hint:
        click.echo(f"  → {hint}", err=True)


if __name__ == "__main__":
    main()
