"""Tests given as lists of inputs and outputs: APPS, LiveCodeBench and CodeContests rows.

Their functions take and give JSON, which knows neither tuples nor the difference between 2 and 2.0;
so their values are compared by value, truth values apart. Packed private tests of LiveCodeBench are
a pickle inside: it is opened by a reader that makes nothing but a text of it.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from regreen.train.code.compare import Rule
from regreen.train.code.literals import NotLiteral, write_call, write_value
from regreen.train.code.problems import CallTest, FeedTest, Problem, ProblemLimits

__all__ = ["from_apps", "from_code_contests", "from_live_code_bench"]

_JSON_RULE = Rule(numbers="value", sequences="value")
_PYTHON3 = 3  # of the enumeration in CodeContests' contest_problem.proto
_UNPACKED = 1 << 28


def from_apps(row: Mapping[str, Any], *, license: str = "", show: int = 0) -> Problem:
    """A row with ``question``, ``input_output`` (JSON) and perhaps ``starter_code``, ``solutions``.

    Raises:
        NotLiteral: there are no tests, or they are not of that shape.
    """
    given = _json(row["input_output"])
    starter = str(row.get("starter_code") or "")
    inputs, outputs = given.get("inputs") or [], given.get("outputs") or []
    if not inputs or len(inputs) != len(outputs):
        what = f"{len(inputs)} inputs and {len(outputs)} outputs"
        raise NotLiteral(what)
    name = str(given.get("fn_name") or "")
    if name:
        entry = f"Solution.{name}" if "class Solution" in starter else name
        # The set wraps each result in a list, though not in every row.
        wrapped = all(isinstance(value, list) and len(value) == 1 for value in outputs)
        results = [value[0] if wrapped else value for value in outputs]
        tests: list[CallTest | FeedTest] = [
            _call(entry, args, value) for args, value in zip(inputs, results, strict=True)
        ]
    else:
        entry = ""
        tests = [_feed(one, other) for one, other in zip(inputs, outputs, strict=True)]
    solutions = _json(row["solutions"]) if row.get("solutions") else []
    return _problem(
        f"APPS/{row.get('problem_id', row.get('id', ''))}",
        str(row["question"]),
        entry,
        tests[:show],
        tests[show:],
        starter=starter,
        solution=str(solutions[0]) if solutions else "",
        source=str(row.get("url") or "APPS"),
        license=license,
    )


def from_live_code_bench(row: Mapping[str, Any], *, license: str = "") -> Problem:
    """A row with ``question_content``, ``public_test_cases`` and ``private_test_cases``.

    Raises:
        NotLiteral: the tests are not of that shape.
    """
    metadata = _json(row.get("metadata") or "{}")
    starter = str(row.get("starter_code") or "")
    name = str(metadata.get("func_name") or "")
    entry = f"Solution.{name}" if name and "class Solution" in starter else name

    def tests(cases: Any) -> list[CallTest | FeedTest]:
        if not entry:
            return [_feed(case["input"], case["output"]) for case in cases]
        return [
            _call(entry, [_json(line) for line in case["input"].splitlines() if line.strip()],
                  _json(case["output"]))
            for case in cases
        ]  # fmt: skip

    return _problem(
        f"LiveCodeBench/{row['question_id']}",
        str(row["question_content"]),
        entry,
        tests(_json(row["public_test_cases"])),
        tests(_private(row["private_test_cases"])),
        starter=starter,
        preamble="from typing import *" if entry else "",
        source=str(row.get("platform") or "LiveCodeBench"),
        license=license,
    )


def from_code_contests(row: Mapping[str, Any], *, license: str = "") -> Problem:
    """A row with ``name``, ``description`` and ``public_``, ``private_``, ``generated_tests``.

    Raises:
        NotLiteral: the tests are not of that shape.
    """

    def tests(name: str) -> list[CallTest | FeedTest]:
        given = row.get(name) or {}
        pairs = zip(given.get("input") or (), given.get("output") or (), strict=True)
        return [_feed(one, other) for one, other in pairs]

    limit = row.get("time_limit") or {}
    seconds = float(limit.get("seconds") or 0) + float(limit.get("nanos") or 0) / 1e9
    solutions = row.get("solutions") or {}
    written = zip(solutions.get("language") or (), solutions.get("solution") or (), strict=True)
    memory = int(row.get("memory_limit_bytes") or 0)
    defaults = ProblemLimits()
    return _problem(
        f"CodeContests/{row['name']}",
        str(row["description"]),
        "",
        tests("public_tests"),
        [*tests("private_tests"), *tests("generated_tests")],
        solution=next((text for language, text in written if language == _PYTHON3), ""),
        limits=ProblemLimits(
            seconds=seconds or defaults.seconds,
            memory_bytes=max(memory, 1 << 24) if memory else defaults.memory_bytes,
        ),
        source="CodeContests",
        license=license,
    )


def _problem(
    name: str,
    prompt: str,
    entry: str,
    visible: Sequence[CallTest | FeedTest],
    hidden: Sequence[CallTest | FeedTest],
    **others: Any,
) -> Problem:
    if not hidden:
        what = "no tests are left to hide"
        raise NotLiteral(what)
    return Problem(
        problem_id=name,
        prompt=prompt,
        kind="function" if entry else "program",
        entry_point=entry,
        visible=tuple(visible),
        hidden=tuple(hidden),
        rule=_JSON_RULE if entry else Rule(),
        **others,
    )


def _call(entry: str, args: Any, value: Any) -> CallTest:
    if not isinstance(args, list):
        what = "the arguments of a call are no list"
        raise NotLiteral(what)
    return CallTest(call=write_call(entry, tuple(args)), expected=write_value(value))


def _feed(text: Any, output: Any) -> FeedTest:
    """Texts, or lists of lines."""
    return FeedTest(input=_lines(text), output=_lines(output))


def _lines(text: Any) -> str:
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)


def _json(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        what = f"not JSON: {text[:60]!r}"
        raise NotLiteral(what) from exc


class _TextsOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        what = f"packed tests that ask for {module}.{name}"
        raise NotLiteral(what)


def _private(text: Any) -> Any:
    """JSON, or JSON in a pickle in zlib in base64."""
    if not isinstance(text, str) or text.lstrip().startswith("["):
        return _json(text)
    try:
        packed = zlib.decompressobj().decompress(base64.b64decode(text), _UNPACKED)
        return _json(_TextsOnly(io.BytesIO(packed)).load())
    except (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError, ValueError) as exc:
        if isinstance(exc, NotLiteral):
            raise
        what = f"private tests cannot be unpacked: {exc}"
        raise NotLiteral(what) from exc
