"""Who waits for long work hears of it as long as it advances, and no longer."""

from __future__ import annotations

import threading
import time

import pytest

from converters import headway

INTERVAL = 0.1


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headway, "INTERVAL_SECONDS", INTERVAL)


def test_it_is_told_at_most_once_an_interval_and_only_of_work() -> None:
    signs: list[int] = []
    with headway.watched(lambda: signs.append(1)):
        begun = time.monotonic()
        while time.monotonic() < begun + 5 * INTERVAL:
            headway.advance()
        told = len(signs)
        assert 1 <= told <= 5
        time.sleep(2 * INTERVAL)  # nothing is done
        assert len(signs) == told
        headway.advance()
        assert len(signs) == told + 1
    time.sleep(INTERVAL)
    headway.advance()
    assert len(signs) == told + 1, "nobody watches any more"


def test_each_thing_counts() -> None:
    signs: list[int] = []
    with headway.watched(lambda: signs.append(1)):
        for thing in headway.counted(["a", "b"]):
            assert thing in "ab"
            time.sleep(INTERVAL)
    assert len(signs) == 1, "the last one was given before its time had passed"


def test_other_threads_are_not_watched() -> None:
    signs: list[int] = []
    with headway.watched(lambda: signs.append(1)):
        time.sleep(INTERVAL)
        thread = threading.Thread(target=headway.advance)
        thread.start()
        thread.join()
        assert not signs
        headway.advance()
    assert signs
