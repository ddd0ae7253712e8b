"""Which of Dask's log lines are shown."""

from __future__ import annotations

import asyncio
import logging

import pytest

from orchestrator.cluster.lines import our_log_lines


@pytest.mark.parametrize(
    ("logger", "error", "text", "shown"),
    [
        (
            "distributed.worker",
            OSError("gone"),
            "Failed to communicate with scheduler during heartbeat.",
            False,
        ),
        (
            "distributed.worker",
            ValueError("odd"),
            "Failed to communicate with scheduler during heartbeat.",
            True,
        ),
        ("distributed.worker", OSError("gone"), "Something else", True),
        ("orchestrator.x", OSError("gone"), "Failed to communicate with scheduler during heartbeat.", True),
        ("distributed.core", asyncio.CancelledError(), "Exception while handling op", False),
    ],
)
def test_lines_that_tell_of_nothing_are_left_out(
    caplog: pytest.LogCaptureFixture, logger: str, error: BaseException, text: str, shown: bool
) -> None:
    with our_log_lines():
        logging.getLogger(logger).error(text, exc_info=(type(error), error, None))
    assert [record.getMessage() for record in caplog.records] == ([text] if shown else [])
