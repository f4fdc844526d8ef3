"""Rows of problems: ours round and round, and the shapes of other projects."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from regreen.core.errors import UsageError
from regreen.train.code.asserted import read_asserts
from regreen.train.code.compare import Rule
from regreen.train.code.imports import import_problems
from regreen.train.code.literals import NotLiteral
from regreen.train.code.problems import CallTest, FeedTest, Problem, read_problems, write_problems
from regreen.train.code.stage import CodeStage, passes, run_checks, run_tests
from regreen.train.code.warm_box import WarmBox

OURS = Path(__file__).with_name("problems.jsonl")


def packed(cases: list[dict[str, str]]) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(cases)))).decode()


HUMAN_EVAL = {
    "task_id": "HumanEval/900",
    "prompt": "from typing import List\n\n\ndef near(xs: List[float], t: float) -> bool:\n"
    '    """ Whether two differ by less than t.\n'
    '    >>> near([1.0, 2.0], 0.5)\n    False\n    """\n',
    "entry_point": "near",
    "canonical_solution": "    return any(abs(a-b) < t for k, a in enumerate(xs) for b in xs[:k])",
    "test": "METADATA = {'author': 'x'}\n\n\ndef check(candidate):\n    'Check.'\n"
    "    assert candidate([1.0, 2.0, 3.9, 4.0], 0.3) == True\n"
    "    assert False == candidate([1.0] + [2.5] * 1, t=0.05), 'message'\n"
    "    assert candidate([], 1) is False\n    assert True\n\ncheck(near)\n",
}
MBPP = {
    "task_id": 901,
    "text": "Write a function to find the mean.",
    "code": "def mean(xs):\r\n  return sum(xs) / len(xs)",
    "test_list": ["assert mean([1, 2]) == 1.5", "assert abs(mean([1, 1, 2]) - 1.3333) < 0.001",
                  "import math\nassert math.isclose(mean((4,)), 4)"],
    "test_setup_code": "",
    "challenge_test_list": [],
}  # fmt: skip
APPS = {
    "problem_id": 902,
    "question": "Print the sum.",
    "input_output": json.dumps({"inputs": ["1 2\n", ["3", "4"]], "outputs": ["3\n", ["7"]]}),
    "solutions": json.dumps(["import sys\nprint(sum(map(int, sys.stdin.read().split())))"]),
    "starter_code": "",
    "url": "https://example.org/902",
}
APPS_CALL = {
    "problem_id": 903,
    "question": "Reverse it.",
    "input_output": json.dumps(
        {"fn_name": "rev", "inputs": [[[1, 2]], [[]]], "outputs": [[[2, 1]], [[]]]}
    ),
    "solutions": json.dumps(
        ["class Solution:\n    def rev(self, xs):\n        return tuple(xs[::-1])"]
    ),
    "starter_code": "class Solution:\n    def rev(self, xs: List[int]) -> List[int]:\n        ",
}
LIVE = {
    "question_id": "904_A",
    "question_content": "Double it.",
    "platform": "leetcode",
    "starter_code": "class Solution:\n    def twice(self, x: int, s: str) -> List[int]:\n        ",
    "metadata": json.dumps({"func_name": "twice"}),
    "public_test_cases": json.dumps(
        [{"input": '2\n"a"', "output": "[4, 2]", "testtype": "functional"}]
    ),
    "private_test_cases": packed(
        [{"input": '3\n"b"', "output": "[6, 3]", "testtype": "functional"}]
    ),
}
CONTEST = {
    "name": "905_B",
    "description": "Halve it.",
    "public_tests": {"input": ["3\n"], "output": ["1.5\n"]},
    "private_tests": {"input": ["5\n"], "output": ["2.5\n"]},
    "generated_tests": {"input": ["8\n"], "output": ["4.0\n"]},
    "solutions": {"language": [2, 3], "solution": ["int main;", "print(int(input()) / 2)"]},
    "time_limit": {"seconds": 1, "nanos": 500000000},
    "memory_limit_bytes": 256000000,
}
SOLVED = {
    "LiveCodeBench/904_A": "class Solution:\n"
    "    def twice(self, x: int, s: str) -> List[int]:\n        return [2 * x, x]"
}


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_our_rows_survive_a_round_trip(tmp_path: Path) -> None:
    problems = list(read_problems(OURS))
    write_problems(tmp_path / "copy.jsonl", problems)
    assert list(read_problems(tmp_path / "copy.jsonl")) == problems
    assert list(import_problems(OURS).problems) == problems


def test_every_known_shape_is_read_and_its_solution_passes(
    loop: asyncio.Runner, box: WarmBox, tmp_path: Path
) -> None:
    file = lines(tmp_path / "a.jsonl", HUMAN_EVAL, MBPP, APPS, APPS_CALL, LIVE, CONTEST)
    made = import_problems(file, license="CC-BY-4.0")
    assert made.refused == ()
    assert [len(one.hidden) for one in made.problems] == [3, 2, 2, 2, 1, 2]
    assert [len(one.visible) for one in made.problems] == [0, 1, 0, 0, 1, 1]
    assert {one.license for one in made.problems} == {"CC-BY-4.0"}
    assert made.problems[5].limits.seconds == 1.5
    assert "def near" in str(CodeStage().messages(made.problems[0]))

    for problem in made.problems:
        tests = (*problem.visible, *problem.hidden)
        program = problem.solution or SOLVED[problem.problem_id]
        seen = loop.run(run_tests(box, problem, program, tests))
        assert all(map(passes, [problem] * len(seen), tests, seen)), (problem, seen)


@pytest.mark.parametrize("body", ["pass", "(", "x = candidate(1)"])
def test_a_row_that_tests_nothing_is_refused_by_name(tmp_path: Path, body: str) -> None:
    test = f"def check(candidate):\n    {body}\n"
    file = lines(tmp_path / "a.jsonl", HUMAN_EVAL | {"test": test}, MBPP)
    made = import_problems(file)
    assert [one.problem_id for one in made.problems] == ["MBPP/901"]
    ((where, _),) = made.refused
    assert where.endswith("a.jsonl:1")


@pytest.mark.parametrize(
    "body",
    [
        "for i in range(3):\n        assert not candidate([i, i + 1], 0.5)",
        "x = []\n    assert candidate(x, 1) == False",
        "assert not candidate([], 1)",
        "assert sorted([candidate([], 1)]) == [False]",
        "assert candidate([1], 1) == candidate([2], 1)",
        "assert candidate(*[[], 1]) is False",
        "assert candidate([1.0] * 10**5, 1)",
        "import random\n    assert not candidate([random.random()], 0.5)",
    ],
)
def test_tests_that_are_no_data_stay_a_program(
    loop: asyncio.Runner, box: WarmBox, tmp_path: Path, body: str
) -> None:
    test = f"def check(candidate):\n    {body}\n"
    made = import_problems(lines(tmp_path / "a.jsonl", HUMAN_EVAL | {"test": test}))
    (problem,) = made.problems
    assert (problem.hidden, problem.checks) == ((), test)
    right = loop.run(run_checks(box, problem, problem.solution))
    wrong = loop.run(run_checks(box, problem, "def near(xs, t): raise ValueError"))
    assert [(one.test, one.passed) for one in right] == [("check", True)]
    assert [(one.test, one.passed) for one in wrong] == [("check", False)]


def test_asserts_of_a_list_that_are_no_data_stay_a_program(tmp_path: Path) -> None:
    asserts = ["assert set(mean([1, 2])) == {1}"] * 2
    made = import_problems(lines(tmp_path / "a.jsonl", MBPP | {"test_list": asserts}))
    (problem,) = made.problems
    assert problem.entry_point == "mean"
    assert problem.visible == ()
    assert "assert set(mean" in problem.prompt
    assert problem.checks.startswith("\ndef check(candidate):\n    assert set(mean")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("/tmp/regreen-test-pickle"),))


@pytest.mark.parametrize(
    "private",
    [base64.b64encode(zlib.compress(pickle.dumps(Evil()))).decode(), "no base64", "[1", "[{}]"],
)
def test_packed_tests_run_nothing(tmp_path: Path, private: str) -> None:
    file = lines(tmp_path / "a.jsonl", LIVE | {"private_test_cases": private})
    made = import_problems(file)
    assert made.problems == ()
    assert len(made.refused) == 1
    assert not Path("/tmp/regreen-test-pickle").exists()


def test_asserts_become_data() -> None:
    tests, rule = read_asserts("assert f([1] * 3, k='a' + 'b') == (-1, 2.5)", ("f",))
    assert tests == (CallTest(call="f([1, 1, 1], k='ab')", expected="(-1, 2.5)"),)
    assert rule == Rule(numbers="value")
    _, rule = read_asserts("assert abs(f(1) - 2.0) < 1e-6\nassert f(2) == 3", ("f",))
    assert rule.tolerance == 1e-6
    for text in (
        "assert g(1) == 1",
        "assert f(1) == 'a' * 10**9",
        "assert f()",
        "assert f(x) == 1",
    ):
        with pytest.raises(NotLiteral):
            read_asserts(text, ("f",))


ROW: dict[str, Any] = {
    "schema_name": "regreen.code_problem", "schema_version": 1, "problem_id": "p", "prompt": "p",
    "entry_point": "f", "hidden": [{"call": "f(1)", "expected": "1"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_name": "regreen.task"}, "regreen.task"),
        ({"schema_version": 2}, "newer regreen"),
        ({"extra": 1}, "unknown columns: extra"),
        ({"hidden": [{"call": "f(x)", "expected": "1"}]}, "Python literals"),
        ({"hidden": [{"call": "g(1)", "expected": "1"}]}, "tests call g"),
        ({"hidden": [{"input": "", "output": ""}]}, "function has tests with call"),
        ({"hidden": [{"call": "f(1)", "expected": "1", "raises": "ValueError"}]}, "not both"),
        ({"hidden": [{"call": "f(1)", "expected": ""}]}, "Python literal"),
        ({"entry_point": ""}, "entry_point"),
        ({"kind": "notebook"}, "program"),
        ({"limits": {"seconds": 0}}, "greater than 0"),
        ({"rule": {"numbers": "loose"}}, "typed"),
    ],
)
def test_a_row_the_reader_does_not_know_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    assert len(list(read_problems(lines(tmp_path / "a.jsonl", ROW)))) == 1
    with pytest.raises(UsageError, match=message) as caught:
        list(read_problems(lines(tmp_path / "b.jsonl", ROW | change)))
    assert caught.value.where.endswith("b.jsonl:1")


def test_repeated_ids_and_unknown_shapes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="twice"):
        list(read_problems(lines(tmp_path / "a.jsonl", ROW, ROW)))
    with pytest.raises(UsageError, match="twice"):
        import_problems(lines(tmp_path / "b.jsonl", MBPP, MBPP))
    with pytest.raises(UsageError, match="no known shape"):
        import_problems(lines(tmp_path / "c.jsonl", {"a": 1}))
    with pytest.raises(UsageError, match="no problem"):
        list(read_problems(lines(tmp_path / "d.jsonl")))


def test_programs_have_feeds() -> None:
    feed = FeedTest(input="1", output="2")
    assert Problem(problem_id="p", prompt="p", kind="program", hidden=(feed,)).hidden == (feed,)
