"""Where the middle is cut out of a file: along its syntax, or anywhere.

Editors ask for whole statements and bodies more often than for any stretch of characters, but also
in the middle of a word; so both are drawn, in shares of the settings. A file is a string of
characters here and the three parts are slices of it, so their sum is the file, byte for byte.
"""

from __future__ import annotations

import ast
import random
import re
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from regreen.train.data.files import SourceFile
from regreen.train.data.licenses import is_license
from regreen.train.data.settings import TextsConfig

__all__ = ["Hole", "holes"]

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")
_MOST_LINES = 20


class Hole(NamedTuple):
    """A middle to be written."""

    start: int
    """Its first character."""
    end: int
    """One past its last."""
    kind: str
    """``function``, ``statement``, ``lines`` or ``characters``."""


def holes(file: SourceFile, seed: str, config: TextsConfig) -> list[Hole]:
    """Draw distinct holes; fewer than asked where the file has no more places.

    The text of a licence gets none.

    Args:
        file: the file.
        seed: decides the draw.
        config: how many, how long, of which kinds.
    """
    if is_license(file.path):  # a file that nobody completes or edits
        return []
    chance = random.Random(seed)
    kinds = _by_syntax(file, config.middle_characters) if config.syntax_share else {}
    found: dict[tuple[int, int], Hole] = {}
    for _ in range(4 * config.holes):  # a draw may repeat an earlier one
        if len(found) == config.holes:
            break
        if kinds and chance.random() < config.syntax_share:
            kind = chance.choice(sorted(kinds))
            start, end = chance.choice(kinds[kind])
        else:
            kind = "characters"
            start = chance.randrange(len(file.text))
            most = min(config.middle_characters, len(file.text) - start)
            end = start + chance.randint(1, most)
        found.setdefault((start, end), Hole(start, end, kind))
    return sorted(found.values())


def _by_syntax(file: SourceFile, most: int) -> dict[str, list[tuple[int, int]]]:
    """Places by kind; kinds without a place are left out."""
    found: dict[str, list[tuple[int, int]]] = {}
    if file.language.name == "python":
        for kind, start, end in _python(file.text):
            if 0 < end - start <= most:
                found.setdefault(kind, []).append((start, end))
    if not found:
        lines = [spot for spot in _lines(file.text, most)]
        found = {"lines": lines} if lines else {}
    return found


def _lines(text: str, most: int) -> Iterator[tuple[int, int]]:
    """Runs of whole lines, of every length up to a limit; blank ones are no place to begin."""
    spans = [match.span() for match in _LINE.finditer(text) if match.group()]
    for first, (start, after) in enumerate(spans):
        if text[start:after].strip():
            for _, end in spans[first : first + _MOST_LINES]:
                if end - start > most:
                    break
                yield start, end


def _python(text: str) -> Iterator[tuple[str, int, int]]:
    """Bodies of functions, and statements; nothing where the file cannot be parsed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in other people's strings
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    lines = [match.span() for match in _LINE.finditer(text)]
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt):
            start = _place(text, lines, node.lineno, node.col_offset)
            end = _place(text, lines, node.end_lineno or 0, node.end_col_offset or 0)
            yield "statement", start, end
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0]
                yield "function", _place(text, lines, first.lineno, first.col_offset), end


def _place(text: str, lines: list[tuple[int, int]], line: int, column: int) -> int:
    """The character at a line and a column in UTF-8 bytes, as the syntax tree counts."""
    start, end = lines[line - 1]
    return start + len(text[start:end].encode()[:column].decode())
