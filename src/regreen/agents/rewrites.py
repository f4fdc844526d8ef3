"""Small textual rewrites that undo common slips: one place of one line at a time."""

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
_DEFINITIONS = ("def ", "class ", "@")
_OPERANDS = re.compile(r"([\w.]+)( (?:[-/<>+*%]|//|<=|>=) )([\w.]+)")
_CONDITION = re.compile(r"^(\s*(?:if|elif|while) )(.+)(:\s*)$")


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One line of a file, and what to try in its place."""

    path: str
    line: int
    old: str
    new: str
    is_guess: bool = False
    """Swaps one name for another: of these there are many, and more pass by accident."""


def rewrites(path: str, start: int, lines: list[str]) -> Iterator[Rewrite]:
    """Every rewrite of a function.

    Args:
        path: its file.
        start: number of its first line.
        lines: its source.
    """
    names = _locals(lines)
    for row, line in enumerate(lines):
        for new in dict.fromkeys(_variants(line)):
            if new != line:
                yield Rewrite(path, start + row, line, new)
        for new in _renamed(line, names):
            yield Rewrite(path, start + row, line, new, is_guess=True)


def _locals(lines: list[str]) -> list[str]:
    """Parameters and variables of a function, as its text shows them."""
    header = " ".join(lines[:3]).partition("(")[2].partition(")")[0]
    bound = re.findall(r"(\w+)\s*(?:[:=,]|$)", header)
    bound += re.findall(r"^\s*(\w+)\s*[-+*/]?=[^=]|\bfor (\w+)", "\n".join(lines), re.MULTILINE)
    flat = [name for item in bound for name in (item if isinstance(item, tuple) else (item,))]
    return [name for name in dict.fromkeys(flat) if name.isidentifier() and name != "self"]


def _variants(line: str) -> Iterator[str]:
    """Lines to try; some are no Python, which whoever tries them finds out at once."""
    if line.lstrip().startswith(_DEFINITIONS):
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
    if swapped := _OPERANDS.search(line):
        a, operator, b = swapped.groups()
        yield f"{line[: swapped.start()]}{b}{operator}{a}{line[swapped.end() :]}"
    if condition := _CONDITION.match(line):
        yield f"{condition[1]}not ({condition[2]}){condition[3]}"


def _renamed(line: str, names: list[str]) -> Iterator[str]:
    """One variable of a line replaced by another of the function."""
    if line.lstrip().startswith(_DEFINITIONS):
        return
    for text, begin, end in _tokens(line):
        if text in names:
            yield from (line[:begin] + name + line[end:] for name in names if name != text)


def _tokens(line: str) -> Iterator[tuple[str, int, int]]:
    """Operators, names and numbers of one line that may be part of a longer statement."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(line.lstrip()).readline):
            if token.type in {tokenize.OP, tokenize.NAME, tokenize.NUMBER}:
                shift = len(line) - len(line.lstrip())
                yield token.string, token.start[1] + shift, token.end[1] + shift
    except (tokenize.TokenError, IndentationError):
        return
