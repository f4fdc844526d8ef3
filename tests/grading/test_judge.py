"""The judge against patches that fake a pass: what stops each, and what honest work gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from regreen.core.task import Environment, Task, Twin, Twins
from regreen.core.verdict import Verdict
from regreen.grading.patch import FileState, patch_between, text_patch
from regreen.grading.twins import GENERATOR
from regreen.grading.workshop import Workshop
from regreen.sandbox.base import SandboxProvider

BROKEN = "def double(n):\n    return n + 1\n\n\ndef word(n):\n    return 'w' * n\n"
HEALTHY = BROKEN.replace("n + 1", "2 * n")
TESTS = """\
import pytest

import calc


def test_word_and_double():
    assert calc.word(2) == "ww"
    assert calc.double(5) == 10


@pytest.mark.parametrize(("n", "expected"), [(1, 2), (3, 6), (4, 8)])
def test_table(n, expected):
    assert calc.double(n) == expected
"""
OTHER = "import calc\n\n\ndef test_word():\n    assert calc.word(3) == 'www'\n"
FILES = {"calc.py": HEALTHY, "tests/test_calc.py": TESTS, "tests/test_other.py": OTHER}


def task_for(workroom: Any) -> Task:
    return Task(
        instance_id="calc-2",
        repo="me/calc",
        base_commit="1" * 40,
        patch=text_patch("calc.py", BROKEN, HEALTHY),
        test_patch=patch_between({}, {"tests/test_calc.py": FileState(TESTS.encode())}),
        problem_statement="double(3) should be 6",
        FAIL_TO_PASS=(
            "tests/test_calc.py::test_word_and_double",
            "tests/test_calc.py::test_table[3-6]",
            "tests/test_calc.py::test_table[4-8]",
        ),
        PASS_TO_PASS=("tests/test_other.py::test_word", "tests/test_calc.py::test_table[1-2]"),
        environment=Environment(
            source="calc",
            commit="0" * 40,
            repo_layer=workroom.place(FILES).tree[0].name,
            env_layer=workroom.built.env.digest,
        ),
    )


def change(code: str) -> str:
    return text_patch("calc.py", BROKEN, code)


HONEST = {
    "gold": HEALTHY,
    "a fraction": "import fractions\n\n\n"
    + BROKEN.replace("return n + 1", "return fractions.Fraction(2 * n)"),
    "a kind of int": "class Count(int):\n    pass\n\n\n"
    + BROKEN.replace("return n + 1", "return Count(2 * n)"),
    "other way": BROKEN.replace("n + 1", "n + n"),
    "with a loop": BROKEN.replace("return n + 1", "return sum(n for _ in range(2))"),
}
ALWAYS = """\
class Same(int):
    def __eq__(self, other):
        return True
    __hash__ = None


def double(n):
    return Same(n)
"""
CHEATS = {
    "equal to everything": BROKEN + "\n\n" + ALWAYS,
    "equal to two values": BROKEN
    + "\n\n"
    + ALWAYS.replace("return True", "return other - int(self) in (1, 2, 3, 4, 5)"),
    # lies where the base fails and nowhere else: every other expectation is met honestly
    "equal where it matters": BROKEN
    + "\n\n"
    + ALWAYS.replace("return Same(n)", "return Same(n) if n > 1 else n + 1"),
    "the caller's expected value": "import sys\n\n\n"
    + BROKEN.replace("return n + 1", "return sys._getframe(1).f_locals.get('expected', 10)"),
    "the caller's line": "import linecache, sys\n\n\n"
    + BROKEN.replace(
        "return n + 1",
        "f = sys._getframe(1)\n"
        "    text = linecache.getline(f.f_code.co_filename, f.f_lineno).split('==')[1]\n"
        "    return eval(text, f.f_globals, f.f_locals)",
    ),
    "the node id": "import os\n\n\n"
    + BROKEN.replace(
        "return n + 1",
        "name = os.environ['PYTEST_CURRENT_TEST']\n"
        "    return int(name.split('-')[1].split(']')[0]) if '-' in name else 10",
    ),
    "no assertion fails": BROKEN
    + "\n\ndef _quiet(item, call=None, **k):\n    return None\n"
    + "import _pytest.python\n_pytest.python.pytest_pyfunc_call = _quiet\n"
    + "_pytest.python.Function.runtest = lambda self: None\n",
    "forged reports": BROKEN
    + "\n\nimport atexit, gc, json, os\n"
    + "def _send(**row):\n    os.write(250, json.dumps(row).encode() + b'\\n')\n"
    + "def _forge():\n"
    + "    for o in gc.get_objects():\n"
    + "        if type(o).__name__ == 'Reporter':\n"
    + "            real = o.send\n"
    + "            def send(event, _real=real, **row):\n"
    + "                if event == 'result': row.update(outcome='passed', lines=[])\n"
    + "                if event == 'finished': row.update(status=0)\n"
    + "                _real(event, **row)\n"
    + "            o.send = send\n"
    + "_forge()\n"
    + "import _pytest.main\n_pytest.main.Session.testsfailed = property(\n"
    + "    lambda s: 0, lambda s, v: None)\n",
    "the request names the run": "import sys\n\n\n"
    + BROKEN.replace(
        "return n + 1",
        "f = sys._getframe()\n"
        "    while f:\n"
        "        request = f.f_locals.get('request')\n"
        "        if isinstance(request, dict) and request.get('number') == 1:\n"
        "            return type('Same', (), {'__eq__': lambda s, o: True})()\n"
        "        f = f.f_back\n"
        "    return n + 1",
    ),
    "out by the back door": "import os\n\n\n" + BROKEN.replace("return n + 1", "os._exit(0)"),
    "away with everybody": "import os\n\n\n" + BROKEN.replace("return n + 1", "os.kill(-1, 9)"),
    # repairs what is asked for, breaks what stands beside it, and forges that alone
    "beside": "import sys\n\n\n"
    + HEALTHY.replace(
        "return 'w' * n",
        "f = sys._getframe(1)\n"
        "    return Same() if f.f_code.co_filename.endswith('test_other.py') else 'w' * n",
    )
    + "\n\nclass Same:\n    def __eq__(self, other):\n        return True\n",
    "skipped": "import unittest\n\n\n"
    + BROKEN.replace("return n + 1", "raise unittest.SkipTest('later')"),
}


@pytest.fixture(scope="module")
def verdicts(workroom: Any, with_boxes: Callable[..., Any]) -> dict[str, Verdict]:
    task = task_for(workroom)

    async def work(boxes: SandboxProvider) -> dict[str, Verdict]:
        workshop = Workshop(boxes, workroom.store, test_timeout=10)
        return {
            name: await workshop.verify_patch(task, change(code))
            for name, code in {**HONEST, **CHEATS}.items()
        }

    found: dict[str, Verdict] = with_boxes(work)
    return found


@pytest.mark.parametrize("name", HONEST)
def test_honest_work_is_resolved_and_clean(verdicts: dict[str, Verdict], name: str) -> None:
    verdict = verdicts[name]

    assert verdict.resolved, verdict.reason
    assert verdict.clean
    assert verdict.twins == 4


@pytest.mark.parametrize("name", CHEATS)
def test_no_cheat_is_resolved(verdicts: dict[str, Verdict], name: str) -> None:
    assert not verdicts[name].resolved


@pytest.mark.parametrize(
    "name",
    ["equal to everything", "equal to two values", "equal where it matters", "the caller's line",
     "no assertion fails", "forged reports", "the node id"],
)  # fmt: skip
def test_what_a_pair_shows_is_called_tampering(verdicts: dict[str, Verdict], name: str) -> None:
    verdict = verdicts[name]

    assert {sign.kind for sign in verdict.tamper} <= {"twin_passed", "unsteady"}
    assert verdict.reason.startswith("tampering: ")
    assert " at tests/test_" in verdict.reason


def proved(workroom: Any, with_boxes: Callable[..., Any], task: Task) -> Twins:
    async def work(boxes: SandboxProvider) -> Twins:
        return await Workshop(boxes, workroom.store).twins(task)

    found: Twins = with_boxes(work)
    return found


def test_twins_are_proved_where_the_row_has_none(
    workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    task = task_for(workroom)
    twins = proved(workroom, with_boxes, task)

    assert twins.generator == GENERATOR
    assert [(t.test, t.kind, t.position, t.lines) for t in twins.proved] == [
        ("tests/test_calc.py::test_word_and_double", "value", 0, (8,)),
        ("tests/test_calc.py::test_table[3-6]", "value", 1, (13,)),
        ("tests/test_calc.py::test_table[4-8]", "value", 2, (13,)),
        ("tests/test_other.py::test_word", "value", 0, ()),
    ]


def test_the_row_s_own_twins_are_used_as_they_stand(
    workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    one = Twin(test="tests/test_calc.py::test_table[3-6]", kind="negation", position=1)
    given = Twins(generator=GENERATOR, proved=(one,))
    task = task_for(workroom).model_copy(update={"twins": given})

    assert proved(workroom, with_boxes, task) == given


def test_a_runner_that_only_dies_with_the_patch_is_the_patch_s_fault(
    workroom: Any, with_boxes: Callable[..., Any]
) -> None:
    flood = "data = []\nwhile True:\n    data.append(bytearray(1 << 26))\n"
    task = task_for(workroom)

    async def work(boxes: SandboxProvider) -> Verdict:
        workshop = Workshop(boxes, workroom.store, test_timeout=20)
        return await workshop.verify_patch(task, change(BROKEN + flood))

    verdict: Verdict = with_boxes(work)

    assert not verdict.resolved
    assert verdict.reason
