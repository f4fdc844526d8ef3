"""Where one rollout of the demonstration works: one file, four small tools, and a shell in a box.

The file's text lives here, as an editor holds it; whatever is run, runs in the real box. A command
gets a fresh box with the file in it, so that rollouts share nothing, and leaves the file as it made
it; all else that it writes is forgotten.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

from regreen.agents.tools import BASH, Context, Result, Tool
from regreen.core.errors import InfrastructureError
from regreen.sandbox.base import ExecResult, Job
from regreen.sandbox.layers import Layer, LayerStore
from regreen.train.learn.puzzles import FILE, OPERATOR, OPERATORS, Case, Puzzle

__all__ = ["TOOLS", "Desk", "Failure", "Shell", "Tests"]

Failure = tuple[Case, str]
"""A case and what came out instead, in words."""
Tests = Callable[[Puzzle, str, tuple[Case, ...]], Awaitable[Failure | None]]
"""Runs a text of a puzzle's file on some of its cases in the box; the first that fails, or None."""
Shell = Callable[[Puzzle, str, list[str]], Awaitable[tuple[ExecResult, str]]]
"""Runs a command in a fresh box that holds the puzzle's file with this text; the text behind it."""

_WORKDIR = "/testbed"


class Desk:
    """The file of one rollout, in the place of a box; see ``Sandbox``.

    Args:
        puzzle: what is to be repaired.
        tests: runs the visible cases.
        shell: runs commands.
    """

    def __init__(self, puzzle: Puzzle, tests: Tests, shell: Shell) -> None:
        self.puzzle = puzzle
        self.text = puzzle.broken
        self.tests = tests
        self._shell = shell

    async def exec(
        self,
        argv: list[str],
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        timeout: float | None = 60.0,
        output_limit: int = 1 << 20,
    ) -> ExecResult:
        """Run a command in a box of its own; of what it writes the file is kept."""
        ran, self.text = await self._shell(self.puzzle, self.text, argv)
        return ran

    async def read(self, path: str, *, limit: int = 1 << 24) -> bytes:
        """The file's text.

        Raises:
            FileNotFoundError: another file is asked for.
        """
        if path not in {FILE, f"{_WORKDIR}/{FILE}"}:
            raise FileNotFoundError(path)
        return self.text.encode()

    async def write(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Not part of this place."""
        _refuse("write")

    async def start(self, argv: list[str], **options: Any) -> Job:
        """Not part of this place."""
        _refuse("start")

    async def snapshot(self, target: str, store: LayerStore) -> Layer:
        """Not part of this place."""
        _refuse("snapshot")

    async def close(self) -> None:
        """Nothing is held."""


def _refuse(what: str) -> NoReturn:
    msg = f"the demonstration's desk has no {what}"
    raise InfrastructureError(msg)


def _desk(context: Context) -> Desk:
    desk = context.box
    assert isinstance(desk, Desk)
    return desk


async def _view(context: Context, arguments: Mapping[str, Any]) -> Result:
    return Result(text=_desk(context).text.rstrip())


async def _test(context: Context, arguments: Mapping[str, Any]) -> Result:
    desk = _desk(context)
    failure = await desk.tests(desk.puzzle, desk.text, desk.puzzle.visible)
    if failure is None:
        return Result(text="passed")
    case, found = failure
    called = f"{desk.puzzle.name}({', '.join(map(str, case.arguments))})"
    return Result(text=f"{called} gave {found}, not {case.expected}")


async def _edit(context: Context, arguments: Mapping[str, Any]) -> Result:
    desk, operator = _desk(context), arguments["operator"]
    if operator not in OPERATORS:
        return Result(text=f"{operator} is no operator", error=True)
    desk.text, count = OPERATOR.subn(f" {operator} ", desk.text, count=1)
    if not count:
        return Result(text="There is no operator in the file", error=True)
    line = next(line for line in desk.text.splitlines() if OPERATOR.search(line))
    return Result(text=line.strip())


async def _submit(context: Context, arguments: Mapping[str, Any]) -> Result:
    return Result(text="Submitted.", submitted=True)


TOOLS = (
    Tool(name="view", description="Show the file.", run=_view),
    Tool(name="test", description="Run the visible tests.", run=_test),
    Tool(
        name="edit",
        description="Replace the operator.",
        parameters={"operator": ("string", "What to put in its place.")},
        required=("operator",),
        run=_edit,
    ),
    BASH,
    Tool(name="submit", description="Hand in the file; this ends the work.", run=_submit),
)
"""What the policy may call."""
