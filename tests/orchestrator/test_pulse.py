"""Telling frozen workers from slow ones, and from a machine that was asleep."""

from __future__ import annotations

from orchestrator.pulse import Pulse


def test_a_worker_that_is_not_heard_of_any_more_is_frozen() -> None:
    pulse = Pulse(45)
    found = [pulse.frozen({"a": 100.0, "b": 100.0 + now}, now) for now in (0, 15, 30, 45)]
    assert found == [frozenset(), frozenset(), frozenset(), {"a"}]


def test_one_sign_of_life_is_enough() -> None:
    pulse = Pulse(45)
    heard = {0: 100.0, 15: 100.0, 30: 100.0, 45: 101.0, 60: 101.0, 75: 101.0}
    assert not any(pulse.frozen({"a": last}, now) for now, last in heard.items())
    assert pulse.frozen({"a": 101.0}, 90) == {"a"}


def test_looks_in_quick_succession_count_once() -> None:
    pulse = Pulse(45)
    assert not any(pulse.frozen({"a": 100.0}, now) for now in (0, 1, 2, 3, 4, 5, 15, 16, 17))


def test_after_a_sleep_of_this_process_nobody_is_frozen() -> None:
    pulse = Pulse(45)
    assert not any(pulse.frozen({"a": 100.0}, now) for now in (0, 15, 3600))
    assert not pulse.frozen({"a": 3700.0}, 3615)


def test_a_worker_that_left_is_forgotten() -> None:
    pulse = Pulse(45)
    for now in (0, 15, 30):
        pulse.frozen({"a": 100.0}, now)
    pulse.frozen({}, 40)
    assert not pulse.frozen({"a": 100.0}, 45)
