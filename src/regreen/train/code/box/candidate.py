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
from json import dumps
from os import _exit, write
from typing import Any, NoReturn

from regreen.train.code.box import plain

__all__ = ["play"]

_REPORT = 3
_MESSAGE = 300


def play(request: dict[str, Any], start: int) -> None:
    """Run the request's program from case ``start`` on."""
    random.seed(0)  # a fork is seeded from the clock
    if request["kind"] == "calls":
        _answer(request["program"], request["cases"][start:])
    else:
        _run(request["program"])
    _exit(0)


def _answer(program: str, cases: list[list[str]]) -> None:
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    try:
        exec(compile(program, "solution.py", "exec"), module.__dict__)
    except BaseException as exc:
        _say(dumps(["load", type(exc).__name__, _words(exc)]))
        return
    _say('["loaded"]')
    for name, arguments, named in cases:
        _say(_one(module, name, arguments, named))


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


def _say(line: str) -> None:
    data = line.encode("ascii") + b"\n"
    while data:
        data = data[write(_REPORT, data) :]


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
