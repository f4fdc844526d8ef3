"""A preamble and a program in one file, with what must stand at the top of a file there.

Imports from ``__future__`` are found in the tree, never in the text, where the same words may stand
in a string or an import may go over many lines. Only those in their lawful place are moved: one
further down is the program's own mistake, and stays one.
"""

from __future__ import annotations

import ast
import warnings

__all__ = ["with_preamble"]


def with_preamble(preamble: str, program: str) -> str:
    """Both in one; what does not parse is joined unchanged, so that its own error counts."""
    if not preamble:
        return program
    parts, names = zip(*map(_cut, (preamble, program)), strict=True)
    future = [f"from __future__ import {', '.join(found)}" for found in names if found]
    return "\n".join([*future, *parts])


def _cut(source: str) -> tuple[str, list[str]]:
    """A source without its imports from ``__future__``, and what they name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in other people's strings
            found = _future(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source, []
    if not found:
        return source, []
    # Lines as Python counts them; columns are of bytes.
    lines = source.replace("\r\n", "\n").replace("\r", "\n").encode().split(b"\n")
    for node in reversed(found):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        lines[first : last + 1] = [before + b"pass" + after]  # something may follow a semicolon
    names = [ast.unparse(alias) for node in found for alias in node.names]
    return b"\n".join(lines).decode(), names


def _future(tree: ast.Module) -> list[ast.ImportFrom]:
    """The imports from ``__future__`` that begin a module, after its docstring."""
    start = 0 if ast.get_docstring(tree, clean=False) is None else 1
    found: list[ast.ImportFrom] = []
    for node in tree.body[start:]:
        if not isinstance(node, ast.ImportFrom) or node.module != "__future__" or node.level:
            break
        found.append(node)
    return found
