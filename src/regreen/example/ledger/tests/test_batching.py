import asyncio
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from typing import TypeVar

import pytest

from ledger import LedgerError
from ledger.batching import Batcher, first_of, map_limited, retry

T = TypeVar("T")


def run(work: Coroutine[object, object, T]) -> T:
    """Run to the end; what would hang is an error."""
    return asyncio.run(asyncio.wait_for(work, timeout=1))


class Rates:
    """A source of rates that remembers what it was asked."""

    def __init__(self, **known: float) -> None:
        self.known = known
        self.calls: list[list[str]] = []

    async def load(self, keys: Sequence[str]) -> Mapping[str, float]:
        self.calls.append(list(keys))
        await asyncio.sleep(0)
        if "boom" in keys:
            raise OSError("down")
        return {key: self.known[key] for key in keys if key in self.known}


def test_gathers_look_ups_into_one_call() -> None:
    async def main() -> None:
        rates = Rates(usd=1.1, chf=0.9)
        batcher = Batcher(rates.load)
        assert await batcher.get_all(["chf", "usd", "chf"]) == [0.9, 1.1, 0.9]
        assert rates.calls == [["chf", "usd"]]
        assert await batcher.get("usd") == 1.1
        assert rates.calls[1:] == [["usd"]]

    run(main())


def test_keeps_to_the_size_of_a_batch() -> None:
    async def main() -> None:
        rates = Rates(a=1, b=2, c=3, d=4, e=5)
        batcher = Batcher(rates.load, size=2)
        assert await batcher.get_all("abcde") == [1, 2, 3, 4, 5]
        assert rates.calls == [["a", "b"], ["c", "d"], ["e"]]

    run(main())


def test_look_ups_while_loading_go_into_the_next_batch() -> None:
    async def main() -> None:
        rates = Rates(a=1, b=2)
        batcher = Batcher(rates.load)
        first = asyncio.create_task(batcher.get("a"))
        while not rates.calls:
            await asyncio.sleep(0)
        assert await batcher.get_all("ab") == [1, 2]
        assert await first == 1
        assert rates.calls == [["a"], ["a", "b"]]

    run(main())


def test_a_missing_key_fails_alone() -> None:
    async def main() -> None:
        batcher = Batcher(Rates(a=1).load)
        good, bad = await asyncio.gather(batcher.get("a"), batcher.get("x"), return_exceptions=True)
        assert good == 1
        assert isinstance(bad, KeyError)
        assert bad.args == ("x",)

    run(main())


def test_a_failing_batch_does_not_stop_the_next() -> None:
    async def main() -> None:
        rates = Rates(a=1, b=2)
        batcher = Batcher(rates.load, size=2)
        look_ups = (batcher.get(key) for key in ("a", "boom", "b"))
        results = await asyncio.gather(*look_ups, return_exceptions=True)
        assert [type(result) for result in results] == [OSError, OSError, int]
        assert results[2] == 2

    run(main())


def test_a_cancelled_caller_leaves_the_others_alone() -> None:
    async def main() -> None:
        batcher = Batcher(Rates(a=1).load)
        given_up, patient = (asyncio.create_task(batcher.get("a")) for _ in range(2))
        await asyncio.sleep(0)
        given_up.cancel()
        assert await patient == 1
        assert given_up.cancelled()

    run(main())


def test_maps_in_order_with_a_limit() -> None:
    async def main(limit: int) -> int:
        active: set[int] = set()
        most = 0

        async def square(number: int) -> int:
            nonlocal most
            active.add(number)
            most = max(most, len(active))
            for _ in range(5 - number):
                await asyncio.sleep(0)
            active.remove(number)
            return number**2

        assert await map_limited(square, range(5), limit) == [0, 1, 4, 9, 16]
        return most

    assert run(main(2)) == 2
    assert run(main(1)) == 1


def test_maps_four_at_once_by_default() -> None:
    async def main() -> list[int]:
        meeting = asyncio.Barrier(4)

        async def wait(number: int) -> int:
            await meeting.wait()
            return number

        return await map_limited(wait, range(8))

    assert run(main()) == list(range(8))


def test_a_limit_must_let_something_through() -> None:
    with pytest.raises(LedgerError, match="limit must be positive: 0"):
        run(map_limited(asyncio.sleep, [], 0))


def test_takes_the_first_success() -> None:
    asked: list[str] = []

    async def source(name: str, *, fails: bool) -> str:
        asked.append(name)
        if fails:
            raise OSError(name)
        return name

    found = run(
        first_of(
            lambda: source("a", fails=True),
            lambda: source("b", fails=False),
            lambda: source("c", fails=False),
        )
    )
    assert found == "b"
    assert asked == ["a", "b"]


def test_tells_why_every_source_failed() -> None:
    async def broken(reason: str) -> str:
        raise OSError(reason)

    with pytest.raises(ExceptionGroup, match="every source failed") as caught:
        run(first_of(lambda: broken("down"), lambda: broken("gone")))
    assert [str(error) for error in caught.value.exceptions] == ["down", "gone"]


class Flaky:
    """Fails a number of times before it works, and remembers the pauses."""

    def __init__(self, failures: int, error: type[Exception] = OSError) -> None:
        self.left = failures
        self.error = error
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def call(self, name: str, *, loud: bool = False) -> str:
        if self.left:
            self.left -= 1
            raise self.error("not yet")
        return name.upper() if loud else name


def test_tries_again_with_longer_pauses() -> None:
    flaky = Flaky(3)
    call = retry(attempts=4, pause=0.5, sleep=flaky.sleep)(flaky.call)
    assert run(as_coroutine(call("ok", loud=True))) == "OK"
    assert flaky.pauses == [0.5, 1.0, 2.0]


def test_gives_up_after_three_attempts_by_default() -> None:
    flaky = Flaky(5)
    with pytest.raises(OSError, match="not yet"):
        run(as_coroutine(retry(sleep=flaky.sleep)(flaky.call)("never")))
    assert flaky.pauses == [0.1, 0.2]
    assert flaky.left == 2


def test_does_not_pause_after_a_success() -> None:
    flaky = Flaky(0)
    assert run(as_coroutine(retry(sleep=flaky.sleep)(flaky.call)("ok"))) == "ok"
    assert flaky.pauses == []


def test_tries_again_only_for_the_failures_named() -> None:
    flaky = Flaky(1, KeyError)
    with pytest.raises(KeyError):
        run(as_coroutine(retry(sleep=flaky.sleep)(flaky.call)("ok")))
    assert flaky.pauses == []
    flaky.left = 1
    assert run(as_coroutine(retry(on=KeyError, sleep=flaky.sleep)(flaky.call)("ok"))) == "ok"


def test_a_decorated_function_keeps_its_name() -> None:
    @retry()
    async def fetch() -> None:
        """Get it."""

    assert fetch.__name__ == "fetch"


async def as_coroutine(work: Awaitable[T]) -> T:
    return await work
