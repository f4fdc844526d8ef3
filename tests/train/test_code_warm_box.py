"""The warm box: what programs do in it, and what they cannot do to it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from regreen.core.errors import InfrastructureError, UsageError
from regreen.train.code.warm_box import Call, Feed, Observed, WarmBox


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


def fates(seen: list[Observed]) -> list[str]:
    return [one.fate for one in seen]


def test_values_and_exceptions_come_back(loop: asyncio.Runner, box: WarmBox) -> None:
    cases = [Call("f", (1, 2)), Call("f", (3, "x")), Call("f", (), {"a": "y", "b": "z"})]
    seen = loop.run(box.run("def f(a, b): return a + b", cases))
    assert seen[0] == Observed("returned", 3)
    assert seen[1].fate == "raised"
    assert seen[1].error.startswith("TypeError: unsupported operand")
    assert seen[2] == Observed("returned", "yz")


def test_programs_read_and_print(loop: asyncio.Runner, box: WarmBox) -> None:
    program = "import sys\nfor line in sys.stdin:\n    print(int(line) + 1)\nsys.exit(0)"
    seen = loop.run(box.run(program, [Feed("41\n1\n"), Feed("x"), Feed("")]))
    assert seen[0] == Observed("returned", "42\n2\n")
    assert seen[1].fate == "raised"
    assert seen[1].error.startswith("ValueError")
    assert seen[2] == Observed("returned", "")


def test_a_hanging_case_does_not_take_the_others_along(loop: asyncio.Runner, box: WarmBox) -> None:
    program = "def f(x):\n    while x: pass\n    return x"
    seen = loop.run(box.run(program, [Call("f", (n,)) for n in (0, 1, 0)], seconds=0.1))
    assert fates(seen) == ["returned", "timeout", "returned"]


def test_a_dead_box_is_an_infrastructure_error_and_replaced(loop: asyncio.Runner) -> None:
    async def scene() -> None:
        async with WarmBox() as box:
            job = box._job
            assert job is not None
            running = asyncio.create_task(
                box.run("import time\ndef f(): time.sleep(60)", [Call("f")], seconds=30)
            )
            await asyncio.sleep(0.2)
            assert box._box is not None
            await box._box.close()
            with pytest.raises(InfrastructureError):
                await running
            assert await box.run("def f(): return 1", [Call("f")]) == [Observed("returned", 1)]

    loop.run(scene())


def test_mixed_cases_are_refused(loop: asyncio.Runner, box: WarmBox) -> None:
    with pytest.raises(UsageError, match="two kinds"):
        loop.run(box.run("", [Call("f"), Feed("")]))
