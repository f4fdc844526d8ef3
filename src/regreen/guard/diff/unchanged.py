"""What a diff leaves as it was, blanked on both sides: it shows the same before and after.

Findings are counted before against after, so a function that stands in both versions cannot change
the count; a long module is then read as fast as the part of it that changed.
"""

from __future__ import annotations

import ast
from collections import Counter

__all__ = ["without_unchanged"]

_WORTHWHILE = 8000
"""Characters from which on blanking costs less than reading."""
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def without_unchanged(before: str, after: str) -> tuple[str, str]:
    """Both texts with the module's definitions that they share as empty lines.

    Line numbers stay. Texts that are short, or no Python, are returned as they are.
    """
    if len(after) < _WORTHWHILE:
        return before, after
    try:
        old, new = _definitions(before), _definitions(after)
    except (SyntaxError, ValueError, RecursionError):
        return before, after
    shared = Counter(text for text, _, _ in old) & Counter(text for text, _, _ in new)
    return _blanked(before, old, shared.copy()), _blanked(after, new, shared.copy())


def _definitions(text: str) -> list[tuple[str, int, int]]:
    """Source, first and last line of each definition at the module's top, decorators included."""
    lines = text.split("\n")
    found = []
    for node in ast.parse(text).body:
        if isinstance(node, _Definition):
            start = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            end = node.end_lineno or node.lineno
            found.append(("\n".join(lines[start - 1 : end]), start, end))
    return found


def _blanked(text: str, found: list[tuple[str, int, int]], shared: Counter[str]) -> str:
    lines = text.split("\n")
    for source, start, end in found:
        if shared[source]:
            shared[source] -= 1
            lines[start - 1 : end] = [""] * (end - start + 1)
    return "\n".join(lines)
