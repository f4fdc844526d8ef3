"""One loop and one warm box for the tests of a module."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from regreen.train.code.warm_box import WarmBox


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def box(loop: asyncio.Runner) -> Iterator[WarmBox]:
    made = WarmBox()
    loop.run(made.open())
    yield made
    loop.run(made.close())
