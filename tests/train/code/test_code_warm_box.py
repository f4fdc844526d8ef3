"""The warm box: what programs do in it, and what they cannot do to it."""

from __future__ import annotations

import asyncio

import pytest

from regreen.core.errors import InfrastructureError, UsageError
from regreen.train.code.warm_box import Call, Feed, Observed, WarmBox


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


def test_a_run_that_could_outgrow_the_box_is_refused(loop: asyncio.Runner, box: WarmBox) -> None:
    with pytest.raises(UsageError, match="does not fit"):
        loop.run(box.run("", [Feed("")], memory=2 << 30))
    with pytest.raises(UsageError, match="does not fit"):
        loop.run(box.check("", "", memory=2 << 30))


def test_many_large_results_do_not_fill_the_box(loop: asyncio.Runner, box: WarmBox) -> None:
    before = box._box
    large = "def f(x): return 'x' * 900_000"
    seen = loop.run(box.run(large, [Call("f", (n,)) for n in range(300)]))
    assert set(fates(seen)) == {"returned", "flooded", "not_run"}
    assert fates(seen).count("returned") < 20
    seen = loop.run(box.run("print('x' * 900_000)", [Feed(str(n)) for n in range(60)]))
    assert set(fates(seen)) == {"returned", "not_run"}
    assert box._box is before


def test_results_repeat(loop: asyncio.Runner, box: WarmBox) -> None:
    program = (
        "import random\nkeep = []\n"
        "def f(n):\n    keep.append(n)\n"
        "    return [random.random(), hash(str(n)), list({str(i) for i in range(n)}), keep]\n"
    )
    cases = [Call("f", (n,)) for n in (3, 20)]
    first = loop.run(box.run(program, cases))
    assert loop.run(box.run(program, cases)) == first
    assert first[1].value[3] == [3, 20]


def test_draws_of_tests_repeat_and_are_not_those_of_the_candidate(
    loop: asyncio.Runner, box: WarmBox
) -> None:
    program = "import random\ndef f(): return random.random()"
    tests = "import random\ndef check(f): assert random.random() != f(), 'foretold'"
    assert [one.passed for one in loop.run(box.check(program, tests, entry="f"))] == [True]
    drawn = "import random\ndef check(f): raise ValueError(random.random())"
    seen = [
        loop.run(box.check(program, text, entry="f"))[0].error
        for text in (drawn, drawn, f"{drawn} # another")
    ]
    assert seen[0] == seen[1] != seen[2]


def test_waiting_callers_take_turns(loop: asyncio.Runner, box: WarmBox) -> None:
    async def scene() -> list[list[Observed]]:
        runs = [box.run(f"def f(): return {n}", [Call("f")]) for n in range(8)]
        return await asyncio.gather(*runs)

    assert [seen[0].value for seen in loop.run(scene())] == list(range(8))


def test_a_cancelled_run_leaves_a_sound_box(loop: asyncio.Runner, box: WarmBox) -> None:
    async def scene() -> list[Observed]:
        slow = box.run("import time\ndef f(): time.sleep(60)", [Call("f")], seconds=20)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow, 0.2)
        return await box.run("def f(): return 1", [Call("f")])

    assert loop.run(scene()) == [Observed("returned", 1)]
