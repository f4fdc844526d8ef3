"""A failing test reduced to a script: what the failing statement needs, and nothing of the rest.

The statement is followed backwards through the test, its class and its file; what it needs there
(imports, constants, helpers, ``setUp``, parameter values) becomes part of the script. Whether all
of it was found is recorded, so that a better reproduction can be preferred.
"""

from __future__ import annotations

import ast
import builtins
import copy
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from regreen.tasks.tell.expectations import Plain, is_check
from regreen.tasks.tell.fileparts import FileParts, bound_names, loaded_names

__all__ = ["Script", "reduce_test", "whole_test"]

_MAX_LINES = 40
_BUILT_IN = frozenset(dir(builtins)) | {"__name__", "__doc__"}
_CHANGING = re.compile(
    r"next|pop\w*|send|throw|add|remove|insert|append\w*|extend\w*|update|setdefault|discard|clear"
    r"|read\w*|write\w*|seek|truncate|close|get"
)
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A test reduced to what its failure needs."""

    steps: tuple[str, ...]
    """Lines that come before the failing statement."""
    failing: str
    """The failing statement; for a condition, the expression that should hold."""
    condition: bool
    """Whether ``failing`` is an expression that should hold."""
    complete: bool
    """Whether every name is accounted for and the whole is short enough to be quoted."""
    names: tuple[str, ...]
    """Names the script imports that are not the standard library's."""


def reduce_test(
    source: str,
    line: int,
    *,
    path: str = "",
    arguments: Mapping[str, str] | None = None,
    inheriting: str = "",
    whole: bool = False,
) -> Script | None:
    """Reduce the test that stands at a line of a file.

    Args:
        source: of the file, or of the test function alone.
        line: at which it failed, from 1.
        path: of the file, to resolve its relative imports.
        arguments: shown values of the test's parameters.
        inheriting: text of the file whose class inherited the test, when it is another.
        whole: whether everything before the line stays, because any of it may have failed.

    Returns:
        None when the text is no Python or the line is in no function.
    """
    tree = _parsed(source)
    if tree is None:
        return None
    chain = _chain(tree, line)
    at = next((i for i, node in enumerate(chain) if isinstance(node, _Function)), None)
    if at is None or at + 1 == len(chain):
        return None
    function = chain[at]
    assert isinstance(function, _Function)
    heir = _parsed(inheriting) or ast.Module(body=[], type_ignores=[])
    parts = FileParts([*heir.body, *tree.body], path)
    shown = arguments or {}
    cls = chain[at - 1] if at else None
    body = [*parts.setting(cls, shown.get("self", "")), *function.body]
    body = [Plain().visit(copy.deepcopy(node)) for node in body]
    chain = _chain(ast.Module(body=body, type_ignores=[]), line)
    if not chain:
        return None
    failing = _bare(chain[0]) if len(chain) == 1 else _cut(chain)
    parameters = [arg.arg for arg in ast.walk(function.args) if isinstance(arg, ast.arg)]
    before = body[: body.index(chain[0])]
    needed = before if whole else _needed(before, failing, parameters)
    given = [
        _parameter(name, shown.get(name, ""), parts.fixture(name, cls, shown.get("self", "")))
        for name in parameters
    ]
    return _script(source, parts, [*needed, failing], given)


def whole_test(source: str, test: str, *, path: str = "") -> Script | None:
    """A test from its first line to its last, when it is not known where it failed.

    Args:
        source: text of its file.
        test: its names below the file, with ``::`` between class and function.
        path: of the file, to resolve its relative imports.
    """
    tree = _parsed(source)
    node: ast.AST | None = tree
    for name in test.partition("[")[0].split("::"):
        inner = list(ast.iter_child_nodes(node)) if node else []
        kinds = (ast.ClassDef, *_Function.__args__)
        node = next((one for one in inner if isinstance(one, kinds) and one.name == name), None)
    if not isinstance(node, _Function):
        return None
    return reduce_test(source, node.body[-1].lineno, path=path, whole=True)


def _parsed(source: str) -> ast.Module | None:
    """The text as a module; the header of an unfinished block is given a body."""
    last = source.rstrip().rpartition("\n")[2]
    indent = " " * (len(last) - len(last.lstrip()) + 4)
    for text in (source, f"{source.rstrip()}\n{indent}pass\n"):
        try:
            return ast.parse(text)
        except (SyntaxError, ValueError):
            continue
    return None


def _chain(tree: ast.AST, line: int) -> list[ast.stmt]:
    """Statements around a line, the outermost first."""
    chain: list[ast.stmt] = []
    node = tree
    while True:
        inner = next(
            (
                child
                for child in ast.iter_child_nodes(node)
                if isinstance(child, ast.stmt) and child.lineno <= line <= (child.end_lineno or 0)
            ),
            None,
        )
        if inner is None:
            return chain
        chain.append(inner)
        node = inner


def _cut(chain: Sequence[ast.stmt]) -> ast.stmt:
    """The outermost statement, its blocks ending with the innermost."""
    outer = chain[0]
    if len(chain) == 1:
        return outer
    block: list[ast.stmt] = getattr(outer, "body", [])
    if chain[1] not in block or not isinstance(outer, ast.For | ast.While | ast.With | ast.If):
        return outer
    made = copy.copy(outer)
    before = [node for node in block[: block.index(chain[1])] if not _idle(node)]
    made.body = [*before, _cut(chain[1:])]
    if not isinstance(made, ast.With):
        made.orelse = []
    return made


def _idle(node: ast.stmt) -> bool:
    """Whether leaving a statement out changes nothing: a look, a docstring, a way out not taken."""
    if is_check(node):
        return not any(
            isinstance(part, ast.Call) and _CHANGING.fullmatch(_called(part))
            for part in ast.walk(node)
        )
    if isinstance(node, ast.If):
        return isinstance(node.body[-1], ast.Return) and not node.orelse
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _bare(node: ast.stmt) -> ast.stmt:
    """What a fixture returns, as a statement that can stand outside of it."""
    if isinstance(node, ast.Return) and node.value is not None:
        return ast.copy_location(ast.Expr(value=node.value), node)
    return node


def _needed(
    before: Sequence[ast.stmt], failing: ast.stmt, parameters: Iterable[str]
) -> list[ast.stmt]:
    """Earlier statements that bind or may change a name in use, found backwards."""
    local = set(parameters).union(*map(bound_names, before))
    names = loaded_names(failing)
    kept: list[ast.stmt] = []
    for node in reversed(before):
        used, bound = loaded_names(node), bound_names(node)
        if _idle(node) or not names & local & (used | bound):
            continue
        if isinstance(node, ast.FunctionDef) or (
            isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) for t in node.targets)
        ):
            names -= bound  # what it was before no longer matters
        names |= used
        kept.insert(0, node)
    return kept


@dataclass(frozen=True, slots=True)
class _Given:
    """One parameter of the test: the lines that stand for it, the names those need."""

    name: str
    lines: tuple[str, ...]
    uses: frozenset[str]
    found: bool


def _parameter(name: str, shown: str, fixture: Sequence[ast.stmt]) -> _Given:
    if _is_literal(shown):
        return _Given(name, (f"{name} = {shown}",), frozenset(), found=True)
    if name == "tmp_path":
        text = "import pathlib\nimport tempfile\ntmp_path = pathlib.Path(tempfile.mkdtemp())"
        return _Given(name, tuple(text.splitlines()), frozenset(), found=True)
    if fixture:
        lines = [part for node in fixture for part in ast.unparse(node).splitlines()]
        uses = set().union(*map(loaded_names, fixture)) - set().union(*map(bound_names, fixture))
        return _Given(name, tuple(lines), frozenset(uses), found=True)
    comment = () if shown in ("", "...") else (f"# {name} is {shown}",)
    return _Given(name, comment, frozenset(), found=False)


def _script(
    source: str, parts: FileParts, body: Sequence[ast.stmt], parameters: Sequence[_Given]
) -> Script:
    """Put what the file offers, the parameters and the body together."""
    bound = set().union(*map(bound_names, body))
    missing = set().union(*map(loaded_names, body)) - bound - _BUILT_IN
    given = [one for one in parameters if one.name in missing]
    unknown = {one.name for one in given if not one.found}
    missing = (missing - {one.name for one in given}).union(*(one.uses for one in given))
    outside = parts.defining(missing)
    lines = [part for node in outside.nodes for part in _text(node, source).splitlines()]
    lines += list(dict.fromkeys(line for one in given for line in one.lines))
    lines += [part for node in body[:-1] for part in _text(node, source).splitlines()]
    failing = body[-1]
    text = _text(failing.test if isinstance(failing, ast.Assert) else failing, source)
    length = len(lines) + text.count("\n") + 1
    return Script(
        steps=tuple(lines) if length <= _MAX_LINES else (),
        failing=text,
        condition=isinstance(failing, ast.Assert),
        complete=not unknown | (outside.missing - _BUILT_IN) and length <= _MAX_LINES,
        names=outside.library,
    )


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError):
        return False
    return text != "..."


def _text(node: ast.AST, source: str) -> str:
    """The source of a node, as written where that still says the same."""
    wanted = ast.dump(node)
    try:
        written = ast.get_source_segment(source, node, padded=True) or ""
        text = textwrap.dedent(written)
        made = ast.parse(text, mode="eval" if isinstance(node, ast.expr) else "exec")
        found = made.body if isinstance(made, ast.Expression) else _only(made)
    except (SyntaxError, ValueError, AttributeError, TypeError, IndexError):
        return ast.unparse(ast.fix_missing_locations(node))
    if found is None or ast.dump(found) != wanted:
        return ast.unparse(ast.fix_missing_locations(node))
    return re.sub(r"\n\s*\n", "\n", text.strip("\n"))


def _only(made: ast.AST) -> ast.AST | None:
    body: Iterable[ast.stmt] = getattr(made, "body", ())
    return next(iter(body), None) if len(list(body)) == 1 else None
