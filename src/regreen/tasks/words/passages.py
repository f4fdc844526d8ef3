"""A foreign text in passages, prose and code, so that each is cleaned by its own rules.

Code is what stands in fences, in indented blocks, at prompts, and in tracebacks: there a path or a
long number is evidence, where in prose it would be a pointer to the fix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

__all__ = ["Passage", "join", "map_units", "passages", "sentences", "tidy"]

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})\s*([\w+.-]*)[^`]*$")
_TRACEBACK = re.compile(r"^\s*(?:>\s*)?Traceback \(most recent call last\):\s*$")
_PROMPT = re.compile(r"^\s*(?:>>>|In \[\d+\]:|Out\[\d+\]:)(?:\s|$)")
_ITEM = re.compile(r"^\s*(?:[-*+•]|\d{1,2}[.)])\s+")
_HEADING = re.compile(r"^\s{0,3}#{1,6}\s")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[`*_]*[A-Z0-9`])")
_SHORT_FORM = re.compile(r"\b(?:e\.g|i\.e|etc|cf|vs|resp|approx|v\d|no|fig)\.$", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """Consecutive lines of one kind."""

    code: bool
    """Whether it is code or output rather than prose."""
    lines: tuple[str, ...]
    """What stands in it, without the fence."""
    fence: str = ""
    """The line that opens its fence; empty when it has none."""


def passages(text: str) -> list[Passage]:
    """Divide a text; :func:`join` puts it together again."""
    found: list[Passage] = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    index = 0
    while index < len(lines):
        code, fence, taken, used = _next(lines, index)
        if found and not code and not found[-1].code:
            found[-1] = replace(found[-1], lines=(*found[-1].lines, *taken))
        else:
            found.append(Passage(code=code, lines=tuple(taken), fence=fence))
        index += used
    return found


def _next(lines: list[str], index: int) -> tuple[bool, str, list[str], int]:
    """Whether the passage here is code, its fence, its lines, and how many lines it takes."""
    line = lines[index]
    if opened := _FENCE.match(line):
        mark = opened[1]
        close = re.compile(rf"^ {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}\s*$")
        ends = (i for i in range(index + 1, len(lines)) if close.match(lines[i]))
        end = next(ends, len(lines))
        return True, line.strip(), lines[index + 1 : end], end + 1 - index
    for length in (_traceback(lines, index), _console(lines, index), _indented(lines, index)):
        if length:
            return True, "", lines[index : index + length], length
    return False, "", [line], 1


def _traceback(lines: list[str], index: int) -> int:
    """Lines of the traceback that begins here: its frames, then the error."""
    if not _TRACEBACK.match(lines[index]):
        return 0
    margin = len(lines[index]) - len(lines[index].lstrip())
    end = index + 1
    while end < len(lines) and (
        len(lines[end]) - len(lines[end].lstrip()) > margin and lines[end].strip()
    ):
        end += 1
    return min(end + 1, len(lines)) - index


def _console(lines: list[str], index: int) -> int:
    """Lines of the session that begins here: prompts and what they print, up to an empty line."""
    if not _PROMPT.match(lines[index]):
        return 0
    return _until_blank(lines, index)


def _indented(lines: list[str], index: int) -> int:
    """Lines of the indented block that begins here, after an empty line and no list item."""
    line = lines[index]
    blank = not index or not lines[index - 1].strip()
    if not (blank and line.strip() and line.startswith(("    ", "\t"))):
        return 0
    before = next((line for line in reversed(lines[:index]) if line.strip()), "")
    if _ITEM.match(before) or _ITEM.match(lines[index]):
        return 0
    end = index
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith(("    ", "\t"))):
        end += 1
    while not lines[end - 1].strip():
        end -= 1
    return end - index


def _until_blank(lines: list[str], index: int) -> int:
    ends = (i for i in range(index, len(lines)) if not lines[i].strip() or _FENCE.match(lines[i]))
    return next(ends, len(lines)) - index


def join(parts: Iterable[Passage]) -> str:
    """The text of passages; fences are closed."""
    rows: list[str] = []
    for part in parts:
        if part.fence:
            mark = re.match(r"`+|~+", part.fence)
            rows += [part.fence, *part.lines, mark[0] if mark else "```"]
        else:
            rows += part.lines
    return "\n".join(rows)


def map_units(lines: Iterable[str], change: Callable[[str], str]) -> tuple[str, ...]:
    """Prose with every unit (paragraph, list item or heading) changed as a whole.

    A unit whose text ``change`` empties goes away with its bullet.
    """
    rows: list[str] = []
    for unit in _units(lines):
        if not unit[0].strip():
            rows += unit
            continue
        mark = _ITEM.match(unit[0]) or _HEADING.match(unit[0])
        lead = mark[0] if mark else ""
        changed = change("\n".join([unit[0][len(lead) :], *unit[1:]]))
        if changed.strip():
            rows += (lead + changed).split("\n")
    return tuple(rows)


def _units(lines: Iterable[str]) -> Iterator[list[str]]:
    unit: list[str] = []
    for line in lines:
        starts = not line.strip() or _ITEM.match(line) or _HEADING.match(line)
        after = unit and (not unit[0].strip() or _HEADING.match(unit[0]))
        if unit and (starts or after):
            yield unit
            unit = []
        unit.append(line)
    if unit:
        yield unit


def sentences(text: str) -> list[str]:
    """The sentences of a unit, each with the space that follows it."""
    cuts = [0]
    cuts += [
        found.end()
        for found in _SENTENCE_END.finditer(text)
        if not _SHORT_FORM.search(text[: found.start()])
    ]
    cuts.append(len(text))
    return [text[a:b] for a, b in pairwise(cuts) if a < b]


def tidy(text: str) -> str:
    """Without trailing space, without headings that lead to nothing, blank lines single."""
    rows = [line.rstrip() for line in text.split("\n")]
    kept: list[str] = []
    for index, line in enumerate(rows):
        if _HEADING.match(line + " "):
            rest = (row for row in rows[index + 1 :] if row.strip())
            after = next(rest, "")
            if not after or (_HEADING.match(after + " ") and _level(after) <= _level(line)):
                continue
        if line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).strip("\n")


def _level(heading: str) -> int:
    return len(heading.strip()) - len(heading.strip().lstrip("#"))
