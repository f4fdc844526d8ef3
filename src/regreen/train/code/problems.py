"""Problems of code RL on disk: a prompt, what may be seen, and hidden tests as inputs and outputs.

A hidden test is data wherever it can be; one that must compute what it expects is a program in
``checks``, kept out of the candidate's process all the same. Values of functions are Python
literals in texts (see ``literals``), because JSON would lose their types. Rows are
``regreen.code_problem`` version 1, one to a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from regreen.core.errors import UsageError
from regreen.store.atomic import replacing
from regreen.store.jsonl import encode_row, read_jsonl
from regreen.store.rows import to_record
from regreen.train.code.compare import Rule
from regreen.train.code.literals import NotLiteral, read_call, read_value

__all__ = ["CallTest", "FeedTest", "Problem", "ProblemLimits", "read_problems", "write_problems"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CallTest(_Data):
    """One call of a function with what comes of it."""

    call: str
    """For example ``f([1, 2], key=3)``; ``Solution.f(1)`` calls a method of a new instance."""
    expected: str = ""
    """The value, for example ``(3, 'a')``; empty when ``raises`` is given."""
    raises: str = ""
    """Class name of the exception that is expected instead."""

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            read_call(self.call)
            if not self.raises:
                read_value(self.expected)
        except NotLiteral as exc:
            what = f"{exc} (values are Python literals, for example \"[1, 'a']\")"
            raise ValueError(what) from exc
        if self.raises and self.expected:
            what = "a test expects a value or an exception, not both"
            raise ValueError(what)
        return self


class FeedTest(_Data):
    """One run of a program."""

    input: str
    """What stands in standard input."""
    output: str
    """What is printed, compared by the problem's rule."""


class ProblemLimits(_Data):
    """What a solution may use for each test."""

    seconds: float = Field(default=2.0, gt=0)
    """Processor seconds."""
    memory_bytes: int = Field(default=256 << 20, ge=1 << 24)
    """Memory it may allocate."""


class Problem(_Data):
    """One problem."""

    schema_name: Literal["regreen.code_problem"] = "regreen.code_problem"
    """Name of this format."""
    schema_version: Literal[1] = 1
    """Version of this format."""
    problem_id: str = Field(min_length=1)
    """Its name, unique in a file."""
    prompt: str = Field(min_length=1)
    """What is asked."""
    kind: Literal["function", "program"] = "function"
    """``function`` is called; ``program`` reads standard input and prints."""
    entry_point: str = ""
    """Name of the function; ``Solution.f`` for a method."""
    starter: str = ""
    """Code the answer begins with; shown."""
    preamble: str = ""
    """Code run before every answer, for example imports its prompt promises."""
    visible: tuple[CallTest | FeedTest, ...] = ()
    """Examples, shown."""
    hidden: tuple[CallTest | FeedTest, ...] = ()
    """Tests, never shown; none until they are synthesised."""
    checks: str = ""
    """Further hidden tests of a function, as a program: ``check(candidate)`` or ``test_…`` without
    parameters. They run in a process of their own; only plain data crosses to the candidate."""
    rule: Rule = Rule()
    """How outputs are compared."""
    limits: ProblemLimits = ProblemLimits()
    """For each test."""
    solution: str = ""
    """A right answer, where one is known; never shown."""
    source: str = ""
    """Where it comes from."""
    license: str = ""
    """Its licence."""

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        wanted = CallTest if self.kind == "function" else FeedTest
        if any(not isinstance(test, wanted) for test in (*self.visible, *self.hidden)):
            what = f"a {self.kind} has tests with {' and '.join(list(wanted.model_fields)[:2])}"
            raise ValueError(what)
        if self.kind == "function" and not self.entry_point:
            what = "a function has an entry_point"
            raise ValueError(what)
        if self.kind == "program" and self.checks:
            what = "a program has no checks"
            raise ValueError(what)
        calls = [test.call for test in (*self.visible, *self.hidden) if isinstance(test, CallTest)]
        others = {read_call(call)[0] for call in calls} - {self.entry_point}
        if others:
            what = f"the entry point is {self.entry_point}, tests call {', '.join(sorted(others))}"
            raise ValueError(what)
        return self


def read_problems(path: Path) -> Iterator[Problem]:
    """Problems of a file of JSON lines.

    Raises:
        UsageError: a row of another schema or version, an unknown column, a value that is no
            literal, a repeated ``problem_id``, or no row at all.
    """
    seen: set[str] = set()
    for number, row in read_jsonl(path):
        where = f"{path}:{number}"
        problem = to_record(Problem, row, where)
        if problem.problem_id in seen:
            what = f"the problem {problem.problem_id!r} stands here twice"
            raise UsageError(what, where=where, mend="give each row its own problem_id")
        seen.add(problem.problem_id)
        yield problem
    if not seen:
        what = "this file holds no problem"
        raise UsageError(what, where=str(path), mend="write one JSON object per line")


def write_problems(path: Path, problems: Iterable[Problem]) -> None:
    """Replace a file by problems as a whole.

    Raises:
        InfrastructureError: the disk is full; the old file stands.
    """
    with replacing(path) as file:
        file.writelines(encode_row(one.model_dump()) for one in problems)
