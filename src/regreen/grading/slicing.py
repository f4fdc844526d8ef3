"""A test file cut down to some of its tests: what both runs of a pair are given.

Most of a short run's cost is the compilation of a long test file, and a pair asks for few of its
tests. The bodies of the others are emptied, on the lines where they stood, so that everything
else, order and line numbers included, is as it was.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Collection, Iterator

__all__ = ["sliced"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def sliced(text: str, keep: Collection[str]) -> str:
    """The file with the bodies of other tests emptied; as it is where it cannot be cut.

    Args:
        text: of a test file.
        keep: test functions as in node ids, ``test_x`` or ``TestC::test_y``.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return text
    names = {name.rpartition("::")[2] for name in keep}
    used = _read(tree)
    lines = io.StringIO(text, newline="").readlines()  # ends lines where the parser does
    for function in _tests(tree):
        if function.name not in names and function.name not in used:
            _empty(function, lines)
    cut = "".join(lines)
    try:
        ast.parse(cut)
    except (SyntaxError, ValueError):
        return text
    return cut


def _tests(tree: ast.AST) -> Iterator[_Function]:
    """Test functions of the module and of its classes, however deep."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.If | ast.Try):
            yield from _tests(node)
        elif isinstance(node, _Function) and node.name.startswith("test"):
            yield node


def _read(tree: ast.AST) -> set[str]:
    """Every name that is read or asked for somewhere: such a test, or fixture, keeps its body."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names.add(node.value)
    return names


def _empty(function: _Function, lines: list[str]) -> None:
    first, last = function.body[0], function.body[-1]
    decorators = getattr(first, "decorator_list", [])
    start = min([first.lineno, *(each.lineno for each in decorators)]) - 1
    end = (last.end_lineno or last.lineno) - 1
    head = function.lineno - 1
    if start <= head or any(line.rstrip().endswith("\\") for line in lines[start : end + 1]):
        return
    indent = lines[start][: len(lines[start]) - len(lines[start].lstrip())]
    tail = lines[end].rstrip("\r\n")
    if "#" not in tail and ";" in tail[tail.rfind('"') + 1 :]:
        return
    newline = lines[start][len(lines[start].rstrip("\r\n")) :] or "\n"
    lines[start] = f"{indent}pass{newline}"
    for number in range(start + 1, end + 1):
        lines[number] = newline
