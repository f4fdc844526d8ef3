"""Real boxes, one provider for the whole session: making boxes is what it is good at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from regreen.sandbox import provider
from regreen.sandbox.base import BoxSpec, Mount
from regreen.sandbox.box import NamespaceSandbox
from regreen.sandbox.namespace import NamespaceProvider
from regreen.sandbox.overlay import write_layer

Story = Callable[[NamespaceSandbox], Awaitable[Any]]


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@pytest.fixture(scope="session")
def boxes(runner: asyncio.Runner) -> Iterator[NamespaceProvider]:
    broken = [check for check in provider().check() if check.required and not check.ok]
    if broken:
        pytest.skip(f"no namespaces here: {broken[0].detail}")
    made = NamespaceProvider()
    yield made
    runner.run(made.close())


@pytest.fixture
def lower(tmp_path: Path) -> Path:
    path = tmp_path / "lower"
    write_layer(path, {"a.txt": b"one\n", "pkg/__init__.py": b"", "pkg/core.py": b"x = 1\n"})
    return path


@pytest.fixture
def in_box(runner: asyncio.Runner, boxes: NamespaceProvider, lower: Path) -> Callable[..., Any]:
    """Run ``story(box)`` in a fresh box whose ``/testbed`` shows ``lower``."""

    def run(story: Story, **fields: Any) -> Any:
        async def main() -> Any:
            mounts = (Mount(target="/testbed", lowers=(lower,)),)
            box = await boxes.create(BoxSpec(**{"mounts": mounts, **fields}))
            try:
                return await story(box)
            finally:
                await box.close()

        return runner.run(main())

    return run


@pytest.fixture
def unsafe_box(runner: asyncio.Runner, lower: Path) -> Callable[..., Any]:
    """The same without isolation."""

    def run(story: Callable[[Any], Awaitable[Any]], **fields: Any) -> Any:
        async def main() -> Any:
            made = provider("process", unsafe=True)
            mounts = (Mount(target="/testbed", lowers=(lower,)),)
            try:
                return await story(await made.create(BoxSpec(**{"mounts": mounts, **fields})))
            finally:
                await made.close()

        return runner.run(main())

    return run
