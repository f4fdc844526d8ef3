"""What a caller's frame or lines hold, handed back as the answer.

Libraries read frames to warn, to format, to find a name. What is reported picks a *value* out of
them (a constant of the caller's code, a literal beside ``==``, a local of a builtin type) and
returns it, whether always or only when it looks right.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from regreen.guard.diff.source import Finding, Source

__all__ = ["reading_findings"]

_FRAMES = frozenset(
    ("sys._getframe", "inspect.currentframe", "inspect.stack", "sys._current_frames",
     "traceback.walk_stack", "traceback.extract_stack", "inspect.getouterframes")
)  # fmt: skip
_LINES = frozenset(
    ("linecache.getline", "linecache.getlines", "inspect.getsource", "inspect.getsourcelines",
     "traceback.extract_stack", "inspect.getframeinfo", "inspect.findsource")
)  # fmt: skip
_CUT = frozenset(
    ("split", "partition", "rpartition", "rsplit", "search", "match", "findall", "finditer",
     "compile", "find", "index", "rindex", "rfind", "fullmatch", "sub")
)  # fmt: skip
_ASKED = re.compile(r"==|\bassert")
_PLAIN = frozenset(
    ("int", "float", "str", "bytes", "bool", "list", "dict", "tuple", "set", "complex")
)
_PICKS = frozenset(("next", "min", "max", "filter", "sorted", "iter", "list", "reversed"))


def reading_findings(source: Source) -> Iterator[Finding]:
    """Functions of a file that answer with what they found at their caller."""
    framed = any(source.name_of_call(node) in _FRAMES for node in source.nodes) or any(
        isinstance(node, ast.Attribute) and node.attr in ("f_back", "tb_frame")
        for node in source.nodes
    )
    if not framed:
        return
    if line := _takes_expectation_from_lines(source):
        yield Finding("expected_value_read", "lines", line)
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside = source.inside(node)
            if _returns_picked(source, node, inside) or _steps_to_constant(source, inside):
                yield Finding("expected_value_read", "picked", node.lineno)
        elif isinstance(node, ast.Compare):
            if _place_is_constant(source, node):
                yield Finding("test_recognised", "line of the caller", node.lineno)
            if isinstance(node.ops[0], ast.In | ast.NotIn) and _member(
                source, node.comparators[0], "co_consts", set()
            ):
                yield Finding("expected_value_read", "picked", node.lineno)
        elif isinstance(node, ast.Dict) and _looked_up_by_place(source, node):
            yield Finding("test_recognised", "line of the caller", node.lineno)


def _takes_expectation_from_lines(source: Source) -> int:
    """The line where a caller's line is cut at what an assertion holds; 0 where none is."""
    readers = {source.function(node) for node in source.nodes if _reads_lines(source, node)}
    names = {getattr(function, "name", "") for function in readers} - {""}
    if not readers:
        return 0
    called = {source.name_of_call(node) for function in readers for node in source.inside(function)}
    for node in source.nodes:
        if not _cuts(source, node):
            continue
        function = source.function(node)
        calls = {source.name_of_call(inner) for inner in source.inside(function)}
        near = function in readers or getattr(function, "name", "") in called
        if near or names & calls:
            return getattr(node, "lineno", 1)
    return 0


def _cuts(source: Source, node: ast.AST) -> bool:
    """Whether something takes an assertion apart: at ``==``, or at what its tree compares with."""
    if isinstance(node, ast.Attribute):
        return node.attr == "comparators"
    if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") not in _CUT:
        return False
    return any(_ASKED.search(source.fold(value) or "") for value in node.args)


def _reads_lines(source: Source, node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == "code_context"
    if not isinstance(node, ast.Call):
        return False
    if source.name(node.func) in _LINES:
        return True
    opened = source.name(node.func).rpartition(".")[2] in ("open", "Path")
    return opened and any(
        isinstance(inner, ast.Attribute) and inner.attr == "co_filename"
        for value in node.args
        for inner in ast.walk(value)
    )


def _returns_picked(source: Source, function: ast.AST, inside: list[ast.AST]) -> bool:
    """Whether a function returns a member of the caller's constants, or of its locals by type."""
    constants: set[str] = set()
    values: set[str] = set()
    for _ in range(3):
        for node in inside:
            if isinstance(node, ast.For | ast.comprehension):
                target, value = node.target, node.iter
            elif isinstance(node, ast.Assign | ast.NamedExpr):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                value = node.value
            elif isinstance(node, ast.AugAssign):
                target, value = node.target, node.value
            else:
                continue
            for attribute, names in (("co_consts", constants), ("f_locals", values)):
                if _member(source, value, attribute, names):
                    names |= {inner.id for inner in ast.walk(target) if isinstance(inner, ast.Name)}
    returned = [
        node.value for node in inside if isinstance(node, ast.Return) and node.value is not None
    ]
    if isinstance(function, ast.Lambda):
        returned.append(function.body)
    if any(_member(source, value, "co_consts", constants) for value in returned):
        return True
    weighed = values and any(_asks_plain_type(source, node, values) for node in inside)
    return bool(weighed) and any(_member(source, value, "f_locals", values) for value in returned)


def _member(source: Source, value: ast.expr, attribute: str, names: set[str]) -> bool:
    """Whether an expression is a collection read from a frame, or one of its members."""
    parts: list[ast.expr] = []
    match value:
        case ast.Name():
            return value.id in names
        case ast.Attribute():
            code = attribute != "co_consts" or getattr(value.value, "attr", "") == "f_code"
            return value.attr == attribute and code
        case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
            loops = any(_member(source, part.iter, attribute, names) for part in value.generators)
            own = {inner.id for part in value.generators for inner in _names(part.target)}
            return loops and _member(source, value.elt, attribute, names | own)
        case ast.Subscript():
            parts = [value.value]
        case ast.IfExp():
            parts = [value.body, value.orelse]
        case ast.BoolOp():
            parts = value.values
        case ast.BinOp():
            parts = [value.left, value.right]
        case ast.Call(func=ast.Attribute(attr="values" | "items", value=inner)):
            parts = [inner]
        case ast.Call(func=ast.Name(id=name)) if name in _PICKS:
            parts = value.args
        case _:
            pass
    return any(_member(source, part, attribute, names) for part in parts)


def _names(node: ast.AST) -> list[ast.Name]:
    return [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]


def _asks_plain_type(source: Source, node: ast.AST, names: set[str]) -> bool:
    """``type(value) is int`` or ``isinstance(value, (int, str))`` of something picked."""
    if isinstance(node, ast.Call) and source.name(node.func) == "isinstance" and len(node.args) > 1:
        kinds = getattr(node.args[1], "elts", [node.args[1]])
        plain = any(source.name(kind) in _PLAIN for kind in kinds)
        return plain and isinstance(node.args[0], ast.Name) and node.args[0].id in names
    if not isinstance(node, ast.Compare) or source.name_of_call(node.left) != "type":
        return False
    asked = any(isinstance(inner, ast.Name) and inner.id in names for inner in ast.walk(node.left))
    sides = [part for side in node.comparators for part in getattr(side, "elts", [side])]
    return asked and any(
        source.name(side) in _PLAIN or source.name_of_call(side) == "type" for side in sides
    )


def _steps_to_constant(source: Source, inside: list[ast.AST]) -> bool:
    """Whether a function reads on in its caller's instructions to the next constant."""
    steps = any(
        source.name_of_call(node) in ("dis.get_instructions", "dis.Bytecode") for node in inside
    )
    return (
        steps
        and any(isinstance(node, ast.Attribute) and node.attr == "argval" for node in inside)
        and any(isinstance(node, ast.Constant) and node.value == "LOAD_CONST" for node in inside)
    )


def _looked_up_by_place(source: Source, table: ast.Dict) -> bool:
    """A table written down, asked for the line its caller stands on."""
    around = source.parents.get(table)
    key: ast.expr | None = None
    if isinstance(around, ast.Subscript):
        key = around.slice
    elif isinstance(around, ast.Attribute):
        call = source.parents.get(around)
        key = call.args[0] if isinstance(call, ast.Call) and call.args else None
    return isinstance(key, ast.Attribute) and key.attr in ("f_lineno", "co_firstlineno")


def _place_is_constant(source: Source, node: ast.Compare) -> bool:
    """A caller's line compared with numbers written down."""
    sides = (node.left, *node.comparators)
    placed = any(
        isinstance(side, ast.Attribute) and side.attr in ("f_lineno", "co_firstlineno", "f_lasti")
        for side in sides
    )
    return placed and any(
        isinstance(inner, ast.Constant) and isinstance(inner.value, int) and inner.value > 1
        for side in sides
        for inner in (
            side.args if source.name_of_call(side) == "range" and isinstance(side, ast.Call)
            else getattr(side, "elts", [side])
        )
    )  # fmt: skip
