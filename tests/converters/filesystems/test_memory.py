"""What file systems of one guest share: one cache and one budget, whatever their number."""

from __future__ import annotations

from converters.filesystems.memory import Budget, Memory


def test_a_cache_gives_what_was_put() -> None:
    memory = Memory(cached=100)
    one, other = memory.cache(), memory.cache()
    assert one.put("key", "value", 10) == "value"
    assert (one.get("key"), other.get("key"), one.get("none")) == ("value", None, None)


def test_the_oldest_of_all_users_goes_first() -> None:
    memory = Memory(cached=100)
    one, other = memory.cache(), memory.cache()
    one.put(1, "a", 40)
    other.put(1, "b", 40)
    assert one.get(1) == "a"  # so that the other's is the oldest
    other.put(2, "c", 40)
    assert (one.get(1), other.get(1), other.get(2)) == ("a", None, "c")
    assert memory.cached_bytes == 80


def test_a_value_put_again_counts_once() -> None:
    memory = Memory(cached=100)
    cache = memory.cache()
    for size in (30, 50, 70):
        cache.put("key", size, size)
    assert (cache.get("key"), memory.cached_bytes) == (70, 70)


def test_a_value_larger_than_the_cache_stays_until_the_next() -> None:
    memory = Memory(cached=100)
    cache = memory.cache()
    cache.put("large", "a", 1000)
    assert cache.get("large") == "a"
    cache.put("small", "b", 1)
    assert (cache.get("large"), cache.get("small"), memory.cached_bytes) == (None, "b", 1)


def test_clearing_is_a_users_own() -> None:
    memory = Memory(cached=100)
    one, other = memory.cache(), memory.cache()
    one.put(1, "a", 40)
    other.put(1, "b", 40)
    one.clear()
    assert (one.get(1), other.get(1), memory.cached_bytes) == (None, "b", 40)


def test_a_budget_is_taken_and_given_back() -> None:
    budget = Budget(100)
    assert budget.take(60)
    assert not budget.take(50)
    budget.give_back(60)
    assert budget.take(100)
    assert not budget.take(1)
