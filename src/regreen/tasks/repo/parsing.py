"""Foreign Python as a tree: parsed, or None for whatever the running Python cannot take.

Its parser gives up in more ways than one: on bad syntax, on null bytes, on expressions nested too
deep for its stack or for its memory.
"""

from __future__ import annotations

import ast
import warnings

__all__ = ["dumped", "parsed"]


def parsed(text: bytes | str) -> ast.Module | None:
    """The module, or None when the running Python cannot parse it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def dumped(node: ast.AST) -> str | None:
    """Text that equal trees share; None when it is nested too deep, or holds a number too long."""
    try:
        return ast.dump(node)
    except (RecursionError, ValueError):
        return None
