from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.vsphere.marker import Marker, format_marker, may_sweep, parse_marker, same_job

MARKER = Marker("led-1", "run_2", "job.3", 1_800_000_000.0)
words = st.from_regex(r"\A[A-Za-z0-9_.-]{1,40}\Z")
makers = st.builds(Marker, words, words, words, st.integers(0, 4_000_000_000).map(float))


@given(makers)
def test_a_marker_survives_the_description(marker: Marker) -> None:
    assert parse_marker(format_marker(marker)) == marker


def test_the_description_tells_a_person_what_to_do() -> None:
    text = format_marker(MARKER)
    assert "Safe to delete when no run of orchestrate is active" in text
    assert "orchestrate sweep" in text
    assert text.splitlines()[-1] == (
        "orchestrate/1 ledger=led-1 run=run_2 job=job.3 expires=2027-01-15T08:00:00Z"
    )


def test_windows_line_ends_and_text_that_people_add_do_no_harm() -> None:
    text = "note by Eve\n" + format_marker(MARKER) + "\nkeep an eye on it"
    assert parse_marker(text.replace("\n", "\r\n")) == MARKER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "before upgrade",
        "orchestrate/1 ledger=a run=b",
        "orchestrate/2 ledger=a run=b job=c expires=2027-01-15T08:00:00Z",
        "orchestrate/1 ledger=a run=b job=c expires=never",
        "see orchestrate/1 ledger=a run=b job=c expires=2027-01-15T08:00:00Z",
    ],
)
def test_other_descriptions_hold_no_marker(text: str) -> None:
    assert parse_marker(text) is None


@pytest.mark.parametrize("word", ["", "a b", "a\nb", "é"])
def test_words_that_would_break_the_line_are_refused(word: str) -> None:
    with pytest.raises(ValueError, match="snapshot's description"):
        Marker("l", "r", word, 0)


def test_the_same_job_may_have_another_expiry_but_no_other_identity() -> None:
    assert same_job(MARKER, Marker("led-1", "run_2", "job.3", 5))
    assert not same_job(MARKER, Marker("led-2", "run_2", "job.3", MARKER.expires))
    assert not same_job(MARKER, Marker("led-1", "run_3", "job.3", MARKER.expires))
    assert not same_job(MARKER, Marker("led-1", "run_2", "job.4", MARKER.expires))


@pytest.mark.parametrize(
    ("marker", "ledger", "live", "allowed"),
    [
        (MARKER, "led-1", (), True),
        (MARKER, "led-1", ("run_9",), True),
        (MARKER, "led-1", ("run_2",), False),
        (MARKER, "other", (), False),
        (None, "led-1", (), False),
    ],
)
def test_a_sweep_takes_only_its_own_ledgers_ended_runs(
    marker: Marker | None, ledger: str, live: tuple[str, ...], allowed: bool
) -> None:
    assert may_sweep(marker, ledger, live) is allowed
