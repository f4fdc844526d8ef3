"""Tests by majority agreement: what is kept is right, what is dropped is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from regreen.inference.completion import Completion
from regreen.inference.messages import Message, MessageList
from regreen.train.code.independence import independent, normal_form
from regreen.train.code.inputs import changed_inputs
from regreen.train.code.literals import read_call
from regreen.train.code.problems import CallTest, FeedTest, Problem, read_problems
from regreen.train.code.sampling import propose_inputs, sample_solutions
from regreen.train.code.stage import CodeStage, passes, run_tests
from regreen.train.code.synthesis import SynthesisConfig, synthesise
from regreen.train.code.warm_box import WarmBox

HERE = Path(__file__).parent
PROBLEMS = {problem.problem_id: problem for problem in read_problems(HERE / "problems.jsonl")}
MEDIAN = [
    "import statistics\ndef median(xs):\n    return statistics.median(xs)\n",
    "def median(xs):\n    xs = sorted(xs)\n    m = len(xs) // 2\n"
    "    return xs[m] if len(xs) % 2 else (xs[m - 1] + xs[m]) / 2\n",
    "def median(xs):\n    xs = sorted(xs)\n    while len(xs) > 2:\n        xs = xs[1:-1]\n"
    "    return xs[0] if len(xs) == 1 else sum(xs) / 2\n",
    "def median(xs):\n    s, n = sorted(xs), len(xs)\n"
    "    if n % 2 == 1:\n        return s[n // 2]\n"
    "    return (s[n // 2] + s[n // 2 - 1]) / 2\n",
    "def median(xs):\n    return sorted(xs)[len(xs) // 2]\n",
]


def bare(name: str) -> Problem:
    return PROBLEMS[name].model_copy(update={"hidden": ()})


def test_synthesised_tests_are_right_and_tell_right_from_wrong(
    loop: asyncio.Runner, box: WarmBox
) -> None:
    problem = bare("median").model_copy(update={"visible": PROBLEMS["median"].visible[:1]})
    inputs = changed_inputs(problem, 40, seed=1)
    made = loop.run(synthesise(problem, MEDIAN, inputs, box=box))
    again = loop.run(synthesise(problem, MEDIAN, inputs, box=box))
    assert made == again
    assert len(made.problem.hidden) >= 8
    assert made.outputs > 4
    assert 0.7 <= made.agreement <= 1.0
    assert list(made.votes) == sorted(made.votes, reverse=True)
    for program in MEDIAN[:4]:
        seen = loop.run(run_tests(box, made.problem, program, made.problem.hidden))
        assert all(map(passes, [problem] * len(seen), made.problem.hidden, seen)), program
    kept = SynthesisConfig(agreement=0.8, solutions=4, tests=40)
    wide = loop.run(synthesise(problem, MEDIAN, inputs, box=box, config=kept))
    seen = loop.run(run_tests(box, wide.problem, MEDIAN[4], wide.problem.hidden))
    assert not all(map(passes, [problem] * len(seen), wide.problem.hidden, seen))


def test_copies_vote_once_and_cannot_outvote(loop: asyncio.Runner, box: WarmBox) -> None:
    copies = [MEDIAN[4].replace("xs", f"name{n}") + f"# {n}\n" for n in range(9)]
    problem = bare("median").model_copy(update={"visible": ()})
    call = "median([1, 2, 4, 8])"
    made = loop.run(synthesise(problem, [*copies, *MEDIAN], [call], box=box))
    assert made.solutions == 5
    assert made.left_out == {"repeated or unreadable": 9}
    assert made.problem.hidden == (CallTest(call=call, expected="3.0"),)
    assert made.votes == (0.8,)
    assert made.pairwise == pytest.approx(12 / 20)


def test_what_is_dropped_is_counted(loop: asyncio.Runner, box: WarmBox) -> None:
    inputs = ["median([])", "median([1])", "median([1])", "mean([1])", "median(x)", "median('ab')",
              PROBLEMS["median"].visible[0].model_dump()["call"]]  # fmt: skip
    solutions = [*MEDIAN, "def median(xs): return xs", "not Python ("]
    made = loop.run(synthesise(bare("median"), solutions, inputs, box=box))
    assert [t.model_dump()["call"] for t in made.problem.hidden] == ["median([1])"]
    assert made.dropped == {"repeated": 1, "unreadable": 2, "visible": 1, "invalid": 2}
    assert made.left_out["repeated or unreadable"] == 1
    assert made.left_out["examples"] >= 1


def test_open_questions_are_dropped(loop: asyncio.Runner, box: WarmBox) -> None:
    problem = Problem(problem_id="p", prompt="p", entry_point="f")
    one = [f"def f(x):\n    return {n} if x else x * {n}\n" for n in range(1, 6)]
    made = loop.run(synthesise(problem, one, ["f(1)", "f(0)"], box=box))
    assert [t.model_dump()["call"] for t in made.problem.hidden] == ["f(0)"]
    assert made.dropped == {"tie": 1}
    split = [f"def f(x):\n    y = [{n}]\n    return {int(n > 3)}\n" for n in range(6)]
    made = loop.run(synthesise(problem, split, ["f(1)"], box=box))
    assert made.dropped == {"disagreement": 1}
    assert made.problem.hidden == ()
    few = SynthesisConfig(solutions=7)
    made = loop.run(synthesise(problem, split, ["f(1)"], box=box, config=few))
    assert made.dropped == {"few": 1}


def test_room_is_left_for_tests_on_which_some_dissent(loop: asyncio.Runner, box: WarmBox) -> None:
    problem = bare("median").model_copy(update={"visible": ()})
    inputs = [f"median([{n}])" for n in range(8)] + ["median([1, 2])", "median([4, 8])"]
    for contested, expected in ((0.5, [1.0] * 2 + [0.8] * 2), (0.0, [1.0] * 4)):
        config = SynthesisConfig(tests=4, contested=contested)
        made = loop.run(synthesise(problem, MEDIAN, inputs, box=box, config=config))
        assert list(made.votes) == expected
        assert made.dropped == {"surplus": 6}


def test_programs_get_tests_too(loop: asyncio.Runner, box: WarmBox) -> None:
    problem = Problem(
        problem_id="sum", prompt="Sum.", kind="program",
        visible=(FeedTest(input="3 4\n", output="7\n"),),
    )  # fmt: skip
    solutions = [
        "print(sum(map(int, input().split())))",
        "a, b = map(int, input().split())\nprint(a + b)",
        "import sys\nprint(sum(int(x) for x in sys.stdin.read().split()))",
        "print(7)",
    ]
    made = loop.run(synthesise(problem, solutions, changed_inputs(problem, 8, seed=3), box=box))
    assert made.solutions == 4
    assert all(
        int(t.output) == sum(map(int, t.input.split()))
        for t in made.problem.hidden
        if isinstance(t, FeedTest)
    )


def test_inputs_keep_their_types() -> None:
    shown = CallTest(call="f([(1, 'a')], {'k': 2.5}, flag=True, s={1, 2})", expected="None")
    problem = Problem(problem_id="p", prompt="p", entry_point="f", visible=(shown,))
    made = changed_inputs(problem, 30, seed=0)
    assert made == changed_inputs(problem, 30, seed=0)
    assert made != changed_inputs(problem, 30, seed=1)
    assert len(set(made)) == 30
    for text in made:
        name, (pairs, table), named = read_call(text)
        assert name == "f"
        assert all(type(a) is int and type(b) is str for a, b in pairs)
        assert all(type(k) is str and type(v) is float for k, v in table.items())
        assert type(named["flag"]) is bool
        assert type(named["s"]) is set


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("def f(a):\n    'Doc.'\n    return a", "def f(b: int) -> int:\n    return b # x", True),
        ("def f(a):\n    c: int = a\n    return c", "def f(a):\n    d: str=a\n    return d", True),
        ("def f(a, b): return a - b", "def f(a, b): return b - a", False),
        ("def f(a): return len(a)", "def f(a): return max(a)", False),
        ("import math\ndef f(a): math.ceil(a)", "import math\ndef f(x): math.floor(x)", False),
        ("def f(a): g(a)\ndef g(x): return x", "def f(q): h(q)\ndef h(y): return y", True),
        ("def f(a): return a", "def g(a): return a", False),
        ("def f(a):\n    b = 1\n    return a", "c: int = 2\ndef f(a): return a", True),
        ("def f(a):\n    c: int = a\n    return c", "def f(a):\n    d = a\n    return d", True),
        ("def f(a):\n    a = 1\n    return a", "def f(a): return a", False),
        ("def f(a):\n    f.b = 1\n    return a", "def f(a): return a", False),
        ("class A: b = 1\ndef f(a): A.b", "class A: pass\ndef f(a): A.b", False),
        ("def f(a):\n    a += 1", "def f(a):\n    a = 1\n    a += 1", False),
        ("def f(a):\n    b = len(a)\n    return a", "def f(a): return a", False),
    ],
)
def test_independence_looks_through_names_and_notes(one: str, other: str, equal: bool) -> None:
    assert (normal_form(one, ["f"]) == normal_form(other, ["f"])) is equal
    assert len(independent([one, other, one, "("], ["f"])) == 2 - equal


class Says:
    """A model that says the same texts in turn."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.seeds: list[int | None] = []

    async def complete(
        self,
        messages: MessageList,
        tools: Sequence[Message],
        *,
        seed: int | None = None,
        max_tokens: int | None = None,
    ) -> Completion:
        text = self.texts[len(self.seeds) % len(self.texts)]
        self.seeds.append(seed)
        message = {"role": "assistant", "content": text}
        return Completion(message=message, finish_reason="stop")


def test_a_model_proposes_solutions_and_inputs(loop: asyncio.Runner, box: WarmBox) -> None:
    problem = bare("median")
    fenced = [f"So:\n```python\n{program}```" for program in MEDIAN]
    model = Says(*fenced, "I cannot.")
    solutions = loop.run(sample_solutions(problem, model, CodeStage().messages, count=6, seed=10))
    assert solutions.texts == tuple(MEDIAN)
    assert solutions.faults == 1
    assert model.seeds == [10, 11, 12, 13, 14, 15]
    says = Says("```\nmedian([1, 5, 2])\nmedian([0])\nmedian(import)\n```")
    inputs = loop.run(propose_inputs(problem, says, count=5, seed=0))
    made = loop.run(synthesise(problem, solutions.texts, inputs.texts, box=box))
    assert {t.model_dump()["expected"] for t in made.problem.hidden} == {"2", "0"}
    assert made.dropped == {"unreadable": 1}
