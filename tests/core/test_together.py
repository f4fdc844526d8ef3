from __future__ import annotations

import asyncio

import pytest

from regreen.core.errors import TaskError
from regreen.core.together import together


def test_results_come_in_order():
    async def one(number):
        await asyncio.sleep(0.01 * (3 - number))
        return number

    assert asyncio.run(together(one(n) for n in range(3))) == [0, 1, 2]


def test_the_first_failure_ends_the_rest_before_it_is_raised():
    ended = []

    async def fails():
        await asyncio.sleep(0.01)
        raise TaskError("no", where="here")

    async def waits():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("waits")

    with pytest.raises(TaskError, match="no"):
        asyncio.run(together([waits(), fails()]))
    assert ended == ["waits"]
