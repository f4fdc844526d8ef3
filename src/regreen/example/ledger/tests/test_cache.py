import pytest

from ledger import ExpiringCache, LedgerError, memoize


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_keeps_and_returns_values() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache()
    cache.put("a", 1)
    assert cache.get("a") == 1
    assert cache.get("b") is None
    assert cache.get("b", 7) == 7
    assert (cache.hits, cache.misses) == (1, 2)
    assert (cache.capacity, cache.lifetime) == (128, 60.0)


def test_replaces_a_value() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache()
    cache.put("a", 1)
    cache.put("a", 2)
    assert cache.get("a") == 2
    assert len(cache) == 1


def test_drops_the_least_recently_used() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(capacity=2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert "b" not in cache
    assert "a" in cache
    assert "c" in cache
    assert len(cache) == 2


def test_putting_counts_as_using() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(capacity=2)
    cache.put("a", 1)
    cache.put("b", 2)
    cache.put("a", 3)
    cache.put("c", 4)
    assert cache.get("a") == 3
    assert cache.get("b") is None


def test_asking_whether_it_is_there_does_not_count_as_using() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(capacity=2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert "a" in cache
    cache.put("c", 3)
    assert "a" not in cache
    assert (cache.hits, cache.misses) == (0, 0)


def test_forgets_after_the_lifetime(clock: Clock) -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(lifetime=10, clock=clock)
    cache.put("a", 1)
    clock.now += 9.5
    assert cache.get("a") == 1
    assert len(cache) == 1
    clock.now += 0.5
    assert cache.get("a") is None
    assert len(cache) == 0
    assert (cache.hits, cache.misses) == (1, 1)


def test_putting_again_begins_a_new_lifetime(clock: Clock) -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(lifetime=10, clock=clock)
    cache.put("a", 1)
    clock.now += 8
    cache.put("a", 2)
    clock.now += 8
    assert cache.get("a") == 2


def test_drops_what_has_expired_before_what_is_alive(clock: Clock) -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(capacity=2, lifetime=10, clock=clock)
    cache.put("old", 1)
    clock.now += 5
    cache.put("young", 2)
    cache.get("old")
    clock.now += 6
    cache.put("new", 3)
    assert "young" in cache
    assert cache.get("new") == 3
    assert len(cache) == 2


def test_prunes(clock: Clock) -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(lifetime=10, clock=clock)
    cache.put("a", 1)
    cache.put("b", 2)
    clock.now += 10
    cache.put("c", 3)
    assert cache.prune() == 2
    assert cache.prune() == 0
    assert cache.get("c") == 3


def test_clears() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache()
    cache.put("a", 1)
    cache.get("a")
    cache.get("b")
    cache.clear()
    assert len(cache) == 0
    assert "a" not in cache
    assert (cache.hits, cache.misses) == (0, 0)


@pytest.mark.parametrize("capacity", [0, -3])
def test_needs_room(capacity: int) -> None:
    with pytest.raises(LedgerError, match=f"capacity must be positive: {capacity}"):
        ExpiringCache(capacity)
    assert ExpiringCache(1).capacity == 1


def test_memoizes_by_arguments(clock: Clock) -> None:
    calls = []

    @memoize(lifetime=10, clock=clock)
    def area(width: int, height: int = 1) -> int:
        """Width times height."""
        calls.append((width, height))
        return width * height

    assert [area(2, 3), area(2, 3), area(2), area(3, 2), area(2)] == [6, 6, 2, 6, 2]
    assert area(width=2, height=5) == area(height=5, width=2) == 10
    assert calls == [(2, 3), (2, 1), (3, 2), (2, 5)]
    clock.now += 10
    assert area(2, 3) == 6
    assert calls[-1] == (2, 3)
    assert len(calls) == 5
    assert area.__name__ == "area"


def test_memoizes_none_and_forgets_the_oldest() -> None:
    calls = []

    @memoize(capacity=1)
    def nothing(key: str) -> None:
        calls.append(key)

    for key in ("a", "a", "b", "a"):
        assert nothing(key) is None
    assert calls == ["a", "b", "a"]
