"""Log lines: text for people or one JSON object a line for machines, each with the job it is about."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.text import Text

_job: ContextVar[str] = ContextVar("job", default="")
"""What the current thread works on; empty outside a job."""
_PACKAGES = ("orchestrator", "converters")


@contextmanager
def about(job: str) -> Iterator[None]:
    """Log lines of this thread, and of what it awaits, are about ``job``."""
    token = _job.set(job)
    try:
        yield
    finally:
        _job.reset(token)


class JobFilter(logging.Filter):
    """Puts the job into every record, so that a format may name it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep the record."""
        record.job = _job.get()
        return True


class TextFormatter(logging.Formatter):
    """``WARNING  job: what happened``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback below it if there is one."""
        job = getattr(record, "job", "")
        line = f"{record.levelname.lower()}: {job + ': ' if job else ''}{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object: time (seconds since 1970), level, logger, job, message, and the error if any."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        document = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "job": getattr(record, "job", ""),
            "message": record.getMessage(),
        }
        if record.exc_info:
            document["error"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False)


class ConsoleHandler(logging.Handler):
    """Writes above whatever the console shows live."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print the record; a name from a guest is never taken for markup."""
        self._console.print(Text(self.format(record)), soft_wrap=True)


def configure(json_lines: bool, console: Console) -> None:
    """Send the product's log lines to ``console``; what other libraries warn of, too."""
    handler = ConsoleHandler(console)
    handler.addFilter(JobFilter())
    handler.setFormatter(JsonFormatter() if json_lines else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for package in _PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO if json_lines else logging.WARNING)
