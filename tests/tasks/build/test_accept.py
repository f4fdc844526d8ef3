"""An environment is accepted by what two real runs show, and refused with names."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from regreen.core.errors import TaskError
from regreen.core.verdict import Outcome
from regreen.grading.suite import SuiteRun, TestRecord
from regreen.tasks.build.accept import Acceptance, accept, judge_runs
from regreen.tasks.build.expected import Expected, expected_tests

Boxes = Callable[[Callable[[Any], Any]], Any]
GOOD = "import pytest\n@pytest.mark.parametrize('x', [1, 2])\ndef test_{0}(x): assert x\n"


def judged(workroom: Any, with_boxes: Boxes, files: dict[str, str]) -> Acceptance:
    place = workroom.place(files)
    expected = expected_tests(place.tree[0])

    async def work(boxes: Any) -> Acceptance:
        return await accept(place, expected, store=workroom.store, provider=boxes)

    answer: Acceptance = with_boxes(work)
    return answer


def test_a_sound_environment_is_accepted_and_remembered(workroom: Any, with_boxes: Boxes) -> None:
    files = {f"test_{n}.py": GOOD.format(n) for n in "abc"}
    files["test_f.py"] = "def test_red(): assert 0\n"
    answer = judged(workroom, with_boxes, files)

    assert answer.accepted
    assert (answer.expected, answer.found, answer.collected) == (4, 4, 7)
    assert (answer.agreeing, answer.compared) == (7, 7)
    assert answer.outcomes == {"failed": 1, "passed": 6}
    answer.require("here")
    no_boxes: Boxes = lambda work: asyncio.run(work(None))  # noqa: E731
    assert judged(workroom, no_boxes, files) == answer


def test_files_that_do_not_import_are_named_with_their_reason(
    workroom: Any, with_boxes: Boxes
) -> None:
    files = {
        "test_a.py": GOOD.format("a"),
        "test_b.py": "import absent_library\ndef test_b(): pass\ndef test_c(): pass\n",
    }
    answer = judged(workroom, with_boxes, files)

    assert not answer.accepted
    assert (answer.expected, answer.found) == (3, 1)
    assert answer.missing == ("test_b.py",)
    assert "33%, at least 90% are needed" in answer.reasons[0]
    assert "test_b.py (2 functions, ModuleNotFoundError" in answer.reasons[0]
    with pytest.raises(TaskError, match="absent_library") as caught:
        answer.require("/some/where")
    assert len(caught.value.lines()) == 3


def test_outcomes_that_hang_on_order_and_hash_seed_are_refused(
    workroom: Any, with_boxes: Boxes
) -> None:
    text = (
        "import os\nstate = []\n"
        "def test_a(): state.append(1)\ndef test_b(): assert state\n"
        "def test_c(): assert os.environ['PYTHONHASHSEED'] == '0'\n"
    )
    answer = judged(workroom, with_boxes, {"test_a.py": text})

    assert not answer.accepted
    assert "test_a.py::test_c" in answer.flaky
    assert "tests agree in two runs" in answer.reasons[0]


def test_a_status_that_no_failure_explains_is_refused(workroom: Any, with_boxes: Boxes) -> None:
    conftest = "def pytest_sessionfinish(session): session.exitstatus = 3\n"
    answer = judged(workroom, with_boxes, {"conftest.py": conftest, "test_a.py": GOOD.format("a")})

    assert not answer.accepted
    assert "status 3 though no test fails" in answer.reasons[0]


def test_a_suite_of_which_nothing_is_collected_is_refused(workroom: Any, with_boxes: Boxes) -> None:
    conftest = "raise RuntimeError('not today')\n"
    answer = judged(workroom, with_boxes, {"conftest.py": conftest, "test_a.py": GOOD.format("a")})

    assert not answer.accepted
    assert answer.collected == 0
    assert any(one.startswith("run 1") for one in answer.reasons)


def observed(count: int, *, odd: int = 0, status: int = 0) -> SuiteRun:
    ids = tuple(f"test_a.py::test_{n}" for n in range(count))
    fates = [Outcome.FAILED] * odd + [Outcome.PASSED] * (count - odd)
    tests = {name: TestRecord(outcome=fate) for name, fate in zip(ids, fates, strict=True)}
    return SuiteRun(tests=tests, collected=ids, status=status)


@pytest.mark.parametrize(
    ("collected", "odd", "accepted"),
    [(100, 0, True), (90, 0, True), (89, 0, False), (100, 1, True), (100, 2, False)],
)
def test_the_limits_are_ninety_and_ninety_nine_percent(
    collected: int, odd: int, accepted: bool
) -> None:
    expected = Expected(tuple(f"test_a.py::test_{n}" for n in range(100)), (), ())
    second = observed(collected, odd=odd, status=int(odd > 0))
    answer = judge_runs(observed(collected), second, expected)

    assert answer.accepted is accepted
    assert answer.found == collected
    assert answer.agreeing == collected - odd


def test_a_run_that_passes_nothing_decides_nothing() -> None:
    run = observed(3, odd=3, status=1)
    answer = judge_runs(run, run, Expected((), (), ()))

    assert answer.reasons == ("run 1 passes no test", "run 2 passes no test")
