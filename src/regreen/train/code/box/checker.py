"""The process that runs tests which are a program; the candidate is elsewhere, and only data comes.

Tests may compute what they expect, so they cannot be turned into data; but they need not share a
process with the candidate either. The function they call stands for the real one: its arguments go
out as plain data and what comes back is plain data, or an exception of a builtin type.
"""

from __future__ import annotations

import builtins
import json
import random
import sys
import types
from collections.abc import Callable
from os import _exit, read, write
from typing import Any

from regreen.train.code.box import plain

__all__ = ["play"]

_REPORT, _ASK, _ANSWERS = 3, 4, 5
_LINE = 1 << 22
_MESSAGE = 300


class Unfit(BaseException):
    """The tests themselves cannot be run so; never the candidate's fault."""


class Faulty(BaseException):
    """The candidate did what no function does: it ended, or gave no plain data."""


def play(request: dict[str, Any]) -> None:
    """Run all tests, report each in a line, and end the process."""
    random.seed(request["tests"])  # draws repeat, and the candidate cannot foretell them
    try:
        line = _Line()
        if (start := line.read())[0] != "loaded":
            _say(["failed", "load", ": ".join(map(str, start[1:]))[:_MESSAGE]])
            _exit(0)
        for name, test in _tests(request, line):
            _say([*_outcome(test), name])
    except Unfit as exc:
        _say(["unfit", "", str(exc)[:_MESSAGE]])
    except Faulty as exc:
        _say(["failed", "load", str(exc)[:_MESSAGE]])
    _exit(0)


def _tests(request: dict[str, Any], line: _Line) -> list[tuple[str, Callable[[], object]]]:
    """``check(candidate)`` and every ``test_…`` of the source."""
    solution = types.ModuleType("solution")
    solution.__dict__["__getattr__"] = lambda name: _stand_in(line, name)
    sys.modules["solution"] = solution
    module = types.ModuleType("tests")
    sys.modules["tests"] = module
    entry = request["entry"]
    if entry.isidentifier():
        module.__dict__[entry] = _stand_in(line, entry)
    try:
        exec(compile(request["tests"], "tests.py", "exec"), module.__dict__)
    except Exception as exc:
        what = f"the tests cannot be loaded: {type(exc).__name__}: {exc}"
        raise Unfit(what) from exc
    found: list[tuple[str, Callable[[], object]]] = []
    check = module.__dict__.get("check")
    if callable(check):
        found.append(("check", lambda: check(_stand_in(line, entry))))
    for name, value in module.__dict__.items():
        if name.startswith("test") and isinstance(value, types.FunctionType):
            if value.__code__.co_argcount > len(value.__defaults__ or ()):
                what = f"{name} takes arguments; there are no fixtures here"
                raise Unfit(what)
            found.append((name, value))
    if not found:
        what = "there is neither check(candidate) nor a test function"
        raise Unfit(what)
    return found


def _outcome(test: Callable[[], object]) -> list[str]:
    try:
        test()
    except Unfit:
        raise
    except BaseException as exc:
        try:
            words = str(exc)[:_MESSAGE]
        except Exception:
            words = ""
        return ["failed", type(exc).__name__, words]
    return ["passed", "", ""]


def _stand_in(line: _Line, name: str) -> Callable[..., Any]:
    """A function that is answered by the candidate's."""
    if name.startswith("__"):
        raise AttributeError(name)

    def ask(*args: object, **kwargs: object) -> Any:
        try:
            question = [name, plain.dumps(list(args)), plain.dumps(kwargs)]
        except plain.Unplain as exc:
            what = f"the tests hand over what cannot cross to the candidate: {exc}"
            raise Unfit(what) from exc
        return line.ask(question)

    ask.__name__ = name.rpartition(".")[2]
    return ask


class _Line:
    """The way to the candidate and back."""

    def __init__(self) -> None:
        self._held = b""

    def read(self) -> list[Any]:
        """One report, as its parts; of ``returned`` the second is still text."""
        while b"\n" not in self._held:
            part = read(_ANSWERS, 1 << 16)
            self._held += part
            if not part or len(self._held) > _LINE:
                what = "the candidate's process ended" if not part else "too long an answer"
                raise Faulty(what)
        line, _, self._held = self._held.partition(b"\n")
        text = line.decode("ascii", "replace")
        head, _, body = text.partition(",")
        if head == '["returned"':
            return ["returned", body[:-1]]
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            row = None
        if type(row) is not list or not row or not all(type(part) is str for part in row):
            what = "an answer of no known form"
            raise Faulty(what)
        return row

    def ask(self, question: list[str]) -> Any:
        """Call the candidate's function."""
        data = json.dumps(question).encode() + b"\n"
        try:
            while data:
                data = data[write(_ASK, data) :]
        except BrokenPipeError as exc:
            what = "the candidate's process ended"
            raise Faulty(what) from exc
        fate, *rest = self.read()
        if fate == "returned":
            try:
                return plain.loads(rest[0])
            except plain.Unplain as exc:
                raise Faulty(str(exc)) from exc
        if fate == "raised" and len(rest) == 2:
            raise _exception(rest[0], rest[1])
        raise Faulty(": ".join([fate, *rest]))


def _exception(name: str, words: str) -> Exception:
    """What the candidate raised, as the builtin of that name where there is one."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        try:
            return kind(words)
        except TypeError:  # a UnicodeError wants more than words
            return ValueError(words)
    return RuntimeError(f"{name}: {words}")


def _say(row: list[str]) -> None:
    data = json.dumps(row).encode() + b"\n"
    while data:
        data = data[write(_REPORT, data) :]
