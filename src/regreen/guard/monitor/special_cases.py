"""Answers written for single inputs, and whether a test or the report names that very pair.

A branch on a literal is ordinary code; so is a base case. What is not: a branch on several inputs
at once, or on a whole container, whose answer stands beside the same inputs in a test the agent has
seen. Those are ``exact``. A known pair of plain values is ``known`` and a row of unknown ones is
``chain``: worth a look, no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["SpecialCase", "special_cases"]

_LITERAL = (
    r"""(?:-?\d[\d_.eE+-]*|[rbuf]{0,2}'(?:[^'\\\n]|\\.)*'|[rbuf]{0,2}"(?:[^"\\\n]|\\.)*\""""
    r"""|\[(?=[\s\d'"\-\]])[^\[\]\n]*\]|\((?=[\s\d'"\-])[^()\n]*,[^()\n]*\)|\{[^{}\n]*\}|None|True|False|null|true|false)"""
)
_BRANCH = re.compile(
    r"^[ \t]*(?:\}[ \t]*)?(?:el)?(?:else )?if[ \t]*(?P<test>[^\n]*?={2,3}[^\n]*?)[ \t]*[:{]"
    r"[ \t]*(?:#[^\n]*|//[^\n]*)?\n?[ \t]*return[ \t]+(?P<answer>[^\n;#]+)",
    re.M,
)
_EQUAL = re.compile(rf"={{2,3}}[ \t]*(?P<value>{_LITERAL})|(?P<left>{_LITERAL})[ \t]*={{2,3}}")
_LOOKUP = re.compile(rf"(?P<key>{_LITERAL})[ \t]*:[ \t]*(?P<value>{_LITERAL})[ \t]*[,}}]")
_TRIVIAL = {"0", "1", "-1", "2", "''", '""', "None", "True", "False", "[]", "()", "{}", "null",
            "true", "false"}  # fmt: skip
_CHAIN = 3


@dataclass(frozen=True, slots=True)
class SpecialCase:
    """One answer for one input."""

    kind: str
    """``exact``, ``known`` or ``chain``."""
    text: str
    """The code."""


def special_cases(code: str, known: str) -> Iterator[SpecialCase]:
    """Branches of new code that answer single inputs.

    Args:
        code: the added lines of one file.
        known: the report, and the tests that the agent has seen.
    """
    lines = [_plain(line) for line in known.splitlines() if line.strip()]
    found = list(_branches(code))
    for text, inputs, answer in found:
        if _stands_together(lines, inputs, answer):
            rich = len(inputs) > 1 or inputs[0][:1] in "([{"
            yield SpecialCase("exact" if rich else "known", text)
    yield from _tables(code, lines)
    if len(found) >= _CHAIN:
        yield SpecialCase("chain", found[0][0])


def _branches(code: str) -> Iterator[tuple[str, list[str], str]]:
    for match in _BRANCH.finditer(code):
        answer = match["answer"].strip()
        inputs = [m["value"] or m["left"] for m in _EQUAL.finditer(match["test"])]
        if inputs and re.fullmatch(_LITERAL, answer) and not {answer, *inputs} <= _TRIVIAL:
            yield match[0].strip(), inputs, answer


def _tables(code: str, lines: list[str]) -> Iterator[SpecialCase]:
    """Pairs of a table; a table of plain keys is the product's own unless all of it is known."""
    pairs = [(m[0], m["key"], m["value"]) for m in _LOOKUP.finditer(code)]
    known = [_stands_together(lines, [key], value) for _, key, value in pairs]
    for (text, key, _), is_known in zip(pairs, known, strict=True):
        if is_known and key[:1] in "([":
            yield SpecialCase("exact", text)
        elif len(pairs) > 1 and all(known):
            yield SpecialCase("known", text)


def _plain(text: str) -> str:
    return re.sub(r"\s+", "", text).replace('"', "'")


def _stands_together(lines: list[str], inputs: list[str], answer: str) -> bool:
    wanted = [_plain(v[1:-1] if v[:1] == "(" else v) for v in inputs]  # a call's arguments
    if all(value in _TRIVIAL for value in wanted) and len(wanted) == 1:
        return False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        behind = _behind(line, wanted)
        if behind is not None and (_holds(behind, _plain(answer)) or following == _plain(answer)):
            return True
    return False


def _behind(line: str, wanted: list[str]) -> str | None:
    """What follows the inputs on a line, in their order; None when one is not there."""
    place = 0
    for value in wanted:
        found = re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", line[place:])
        if found is None:
            return None
        place += found.end()
    return line[place:]


def _holds(text: str, value: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(value)}(?![\w.])", text) is not None
