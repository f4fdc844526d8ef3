"""Small textual rewrites that undo common slips: one token of one line at a time."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Rewrite", "rewrites"]

_SWAPS: dict[str, tuple[str, ...]] = {
    "<": ("<=", ">"),
    "<=": ("<", ">="),
    ">": (">=", "<"),
    ">=": (">", "<="),
    "==": ("!=",),
    "!=": ("==",),
    "+": ("-",),
    "-": ("+",),
    "*": ("/", "**"),
    "/": ("*", "//"),
    "//": ("/", "%"),
    "%": ("//",),
    "+=": ("-=",),
    "-=": ("+=",),
    "and": ("or",),
    "or": ("and",),
    "not": ("",),
    "is": ("is not",),
    "in": ("not in",),
    "True": ("False",),
    "False": ("True",),
    "break": ("continue",),
    "continue": ("break",),
    "min": ("max",),
    "max": ("min",),
    "any": ("all",),
    "all": ("any",),
}
_CONDITION = re.compile(r"^(\s*(?:if|elif|while) )(.+)(:\s*)$")


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One line of a file, and what to try in its place."""

    path: str
    line: int
    old: str
    new: str


def rewrites(path: str, start: int, lines: list[str]) -> Iterator[Rewrite]:
    """Every rewrite of a function.

    Args:
        path: its file.
        start: number of its first line.
        lines: its source.
    """
    for row, line in enumerate(lines):
        for new in _variants(line):
            if new != line:
                yield Rewrite(path, start + row, line, new)


def _variants(line: str) -> Iterator[str]:
    """Lines to try; some are no Python, which whoever tries them finds out at once."""
    if line.lstrip().startswith(("def ", "class ", "@")):
        return
    for text, begin, end in _tokens(line):
        others = _SWAPS.get(text, ())
        if re.fullmatch(r"\d+", text):
            others = (str(int(text) + 1), str(int(text) - 1))
        for other in others:
            yield line[:begin] + other + line[end:]
    if "is not" in line:
        yield line.replace("is not", "is", 1)
    if "not in" in line:
        yield line.replace("not in", "in", 1)
    if condition := _CONDITION.match(line):
        yield f"{condition[1]}not ({condition[2]}){condition[3]}"


def _tokens(line: str) -> Iterator[tuple[str, int, int]]:
    """Operators, names and numbers of one line that may be part of a longer statement."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(line.lstrip()).readline):
            if token.type in {tokenize.OP, tokenize.NAME, tokenize.NUMBER}:
                shift = len(line) - len(line.lstrip())
                yield token.string, token.start[1] + shift, token.end[1] + shift
    except (tokenize.TokenError, IndentationError):
        return
