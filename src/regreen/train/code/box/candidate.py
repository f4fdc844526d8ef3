"""The process that runs a candidate: it loads the program, plays the cases and reports.

Everything in here lies in the candidate's reach, and nothing in here is worth reaching: inputs are
the only thing it knows. A report it forges says no more than a function that returns that value.
"""

from __future__ import annotations

import atexit
import random
import sys
import threading
import traceback
import types
from collections.abc import Iterable, Iterator
from json import dumps, loads
from os import _exit, close, pipe, read, write
from typing import Any, NoReturn

from regreen.train.code.box import plain

__all__ = ["play", "rehearse"]

_REPORT = 3
_MESSAGE = 300


def play(request: dict[str, Any]) -> None:
    """Run a program on its cases and end the process."""
    random.seed(0)  # a fork is seeded from the clock
    if request["kind"] == "calls":
        _answer(request["program"], request["cases"], _REPORT)
    elif request["kind"] == "answers":
        _answer(request["program"], _questions(), _REPORT)
    else:
        _run(request["program"])
    _exit(0)


def rehearse() -> None:
    """Do once what every run does, so that its traces in memory are made before the forks."""
    reader, writer = pipe()
    program = "class Solution:\n    def f(self, x):\n        return [x, (x, 1.5), {'a': {x}}]\n"
    for _ in range(20):  # the interpreter rewrites code until it has seen it often enough
        _answer(program, [["Solution.f", "[1]", '{"d":[]}'], ["g", "[]", '{"d":[]}']], writer)
        read(reader, 1 << 16)
        random.seed(0)
    close(reader)
    close(writer)
    del sys.modules["solution"]


def _questions() -> Iterator[list[str]]:
    """Calls that tests ask for, one to a line of standard input."""
    with open(0, encoding="ascii", closefd=False) as lines:
        for line in lines:
            yield loads(line)


def _answer(program: str, cases: Iterable[list[str]], report: int) -> None:
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    try:
        exec(compile(program, "solution.py", "exec"), module.__dict__)
    except BaseException as exc:
        _say(report, dumps(["load", type(exc).__name__, _words(exc)]))
        return
    _say(report, '["loaded"]')
    for name, arguments, named in cases:
        _say(report, _one(module, name, arguments, named))


def _one(module: types.ModuleType, name: str, arguments: str, named: str) -> str:
    """Call once; the line that reports it."""
    try:
        value = _find(module, name)(*plain.loads(arguments), **plain.loads(named))
        return f'["returned",{plain.dumps(value)}]'
    except MemoryError:
        return '["memory"]'
    except plain.Unplain as exc:
        return dumps(["unplain", str(exc)[:_MESSAGE]])
    except SystemExit:
        return '["exited"]'
    except BaseException as exc:
        return dumps(["raised", type(exc).__name__, _words(exc)])


def _find(module: types.ModuleType, name: str) -> Any:
    """``f``, or ``Solution.f`` of a new instance."""
    found: Any = module
    for part in name.split("."):
        found = getattr(found() if isinstance(found, type) else found, part)
    return found


def _words(exc: BaseException) -> str:
    try:
        return str(exc)[:_MESSAGE]
    except BaseException:
        return ""


def _say(report: int, line: str) -> None:
    data = line.encode("ascii") + b"\n"
    while data:
        data = data[write(report, data) :]


def _run(program: str) -> NoReturn:
    """Run as ``python solution.py`` does, to the end of its threads."""
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = ["solution.py"]
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    code = 0
    try:
        exec(compile(program, "solution.py", "exec"), module.__dict__)
    except SystemExit as exc:
        code = _status(exc.code)
    except BaseException:
        traceback.print_exc()
        code = 1
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
        code = code or 1
    _exit(code)


def _status(code: object) -> int:
    """As sys.exit documents: None is 0, a text goes to standard error and is 1."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    print(code, file=sys.stderr)  # noqa: T201 - the candidate's own standard error
    return 1
