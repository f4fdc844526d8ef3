"""Tests written as asserts, turned into data: rows in the shape of HumanEval and MBPP.

An assert says what is expected in the very process that runs the candidate; so it is read, not
run. Read are ``f(..) == value`` either way round, ``is`` True, False and None, ``abs(f(..) - x) <
t`` and ``math.isclose``, with fixed values. Tests that say anything else stay a program, as a
whole, and run apart from the candidate (``Problem.checks``).
"""

from __future__ import annotations

import ast
import builtins
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from regreen.train.code.compare import Rule
from regreen.train.code.literals import NotLiteral, value_of, write_call, write_value
from regreen.train.code.problems import CallTest, Problem

__all__ = ["from_human_eval", "from_mbpp", "read_asserts"]

_FOLDED = 100_000


def read_asserts(source: str, names: Sequence[str]) -> tuple[tuple[CallTest, ...], Rule]:
    """Tests of a text of asserts, or of the function ``check(candidate)`` in it.

    Args:
        source: Python.
        names: what the function is called in it; the first one is used from now on.

    Raises:
        NotLiteral: a statement says something else.
    """
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError) as exc:
        what = f"the tests are no Python: {exc}"
        raise NotLiteral(what, is_test=False) from exc
    if not any(isinstance(node, ast.Assert) for top in body for node in ast.walk(top)):
        what = "there is no assert in the tests"
        raise NotLiteral(what, is_test=False)
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == "check":
            body = node.body
    tests: list[CallTest] = []
    tolerance = 0.0
    for statement in body:
        if isinstance(statement, ast.Assert):
            if not _is_true(statement.test):
                test, near = _test(statement.test, names)
                tests.append(test)
                tolerance = max(tolerance, near)
        elif not _idle(statement):
            what = f"line {statement.lineno} of the tests is no assert"
            raise NotLiteral(what)
    # An assert compares with ==, which takes 2 for 2.0.
    return tuple(tests), Rule(numbers="value", tolerance=tolerance)


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _idle(node: ast.stmt) -> bool:
    """Imports, texts, ``pass``, settings in capitals, and the call of ``check``."""
    match node:
        case ast.Import() | ast.ImportFrom() | ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name.isupper()
        case ast.Expr(value=ast.Call(func=ast.Name(id="check"))):
            return True
    return False


def _test(node: ast.expr, names: Sequence[str]) -> tuple[CallTest, float]:
    """One assert as a test, and how near it wants the value to be."""
    match node:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            called, value = (left, right) if _calls(left, names) else (right, left)
            return _made(called, _folded(value), names), 0.0
        case ast.Compare(left=called, ops=[ast.Is()], comparators=[ast.Constant(value=value)]):
            return _made(called, value, names), 0.0
        case ast.Compare(
            left=ast.Call(func=ast.Name(id="abs"), args=[ast.BinOp(left, ast.Sub(), right)]),
            ops=[ast.Lt() | ast.LtE()],
            comparators=[limit],
        ):
            called, value = (left, right) if _calls(left, names) else (right, left)
            return _made(called, _folded(value), names), float(_folded(limit))
        case ast.Call(func=ast.Attribute(attr="isclose"), args=[left, right], keywords=words):
            called, value = (left, right) if _calls(left, names) else (right, left)
            near = [float(_folded(word.value)) for word in words]
            return _made(called, _folded(value), names), max(near, default=1e-9)
    what = f"not a comparison with a fixed value: {ast.unparse(node)[:80]}"
    raise NotLiteral(what)


def _calls(node: ast.expr, names: Sequence[str]) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in names


def _made(node: ast.expr, expected: Any, names: Sequence[str]) -> CallTest:
    if not isinstance(node, ast.Call) or not _calls(node, names):
        what = f"not a call of {names[0]}: {ast.unparse(node)[:80]}"
        raise NotLiteral(what)
    args = tuple(_folded(part) for part in node.args)
    named = {str(word.arg): _folded(word.value) for word in node.keywords if word.arg}
    if len(named) != len(node.keywords):
        what = "a call with ** has no fixed arguments"
        raise NotLiteral(what)
    return CallTest(call=write_call(names[0], args, named), expected=write_value(expected))


def _folded(node: ast.expr) -> Any:
    """The value of a fixed expression; sums, differences, products and quotients are worked out."""
    if not isinstance(node, ast.BinOp):
        return value_of(node)
    left, right = _folded(node.left), _folded(node.right)
    try:
        match node.op:
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case ast.Div():
                return left / right
            case ast.Mult() if (
                max(_size(left) * _count(right), _size(right) * _count(left)) < _FOLDED
            ):
                return left * right
    except (TypeError, ZeroDivisionError, OverflowError) as exc:
        raise NotLiteral(str(exc)) from exc
    what = f"not a fixed value: {ast.unparse(node)[:80]}"
    raise NotLiteral(what)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | list | tuple) else 0


def _count(value: Any) -> int:
    return abs(value) if isinstance(value, int) else 1


def from_human_eval(row: Mapping[str, Any], *, license: str = "") -> Problem:
    """A row with ``task_id``, ``prompt``, ``entry_point``, ``test`` and ``canonical_solution``.

    The prompt is the beginning of a program; what stands in it before the function is made
    available to every answer.

    Raises:
        NotLiteral: the tests are no Python, or test nothing.
    """
    name, prompt = str(row["entry_point"]), str(row["prompt"])
    tests, rule, checks = _read(str(row["test"]), (name, "candidate"))
    before = prompt.partition(f"def {name}(")[0]
    return Problem(
        problem_id=str(row["task_id"]),
        prompt="Complete this function.",
        entry_point=name,
        starter=prompt,
        preamble=before.strip(),
        hidden=tests,
        checks=checks,
        rule=rule,
        solution=prompt + str(row.get("canonical_solution") or ""),
        source="HumanEval",
        license=license,
    )


def from_mbpp(row: Mapping[str, Any], *, license: str = "", show: int = 1) -> Problem:
    """A row with ``task_id``, ``text`` or ``prompt``, ``code`` and ``test_list``.

    Its text does not name the function, so ``show`` of the tests are made visible examples and
    are then no hidden tests.

    Raises:
        NotLiteral: the tests are no Python, or none is left to hide.
    """
    asserts = [*row["test_list"], *(row.get("challenge_test_list") or ())]
    name = _called(asserts[0])
    if len(asserts) <= show:
        what = f"{len(asserts)} tests, of which {show} are shown, leave none to hide"
        raise NotLiteral(what)
    examples, _, told = _read("\n".join(asserts[:show]), (name,))
    tests, rule, checks = _read("\n".join(asserts[show:]), (name,))
    prompt = str(row.get("text") or row["prompt"])
    if told:
        prompt += f"\n\nExamples:\n{_joined(asserts[:show])}"
    setup = row.get("test_setup_code") or "\n".join(row.get("test_imports") or ())
    return Problem(
        problem_id=f"MBPP/{row['task_id']}",
        prompt=prompt,
        entry_point=name,
        preamble=str(setup),
        visible=examples,
        hidden=tests,
        checks=f"{setup}\n{checks}" if checks else "",
        rule=rule,
        solution=str(row.get("code") or ""),
        source="MBPP",
        license=license,
    )


def _joined(asserts: Sequence[str]) -> str:
    return "\n".join(f"    {line.strip()}" for line in asserts)


def _read(source: str, names: Sequence[str]) -> tuple[tuple[CallTest, ...], Rule, str]:
    """Tests as data with their rule, or else as a program."""
    try:
        return *read_asserts(source, names), ""
    except NotLiteral as exc:
        if not exc.is_test:
            raise
    body = ast.parse(source).body
    if any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in body):
        return (), Rule(), source
    return (), Rule(), f"def check(candidate):\n{textwrap.indent(source, '    ')}\n"


def _called(line: str) -> str:
    """The function an assert is about: the first that is called and is no builtin."""
    try:
        tree = ast.parse(line)
    except SyntaxError as exc:
        what = f"the tests are no Python: {exc}"
        raise NotLiteral(what) from exc
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            if not hasattr(builtins, name):
                return name
    what = f"no function is called: {line[:80]}"
    raise NotLiteral(what)
