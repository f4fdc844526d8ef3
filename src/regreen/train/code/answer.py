"""The program in a completion: its last fenced block, or why there is none.

The last block counts because a model thinks aloud in earlier ones. A fence that was never closed is
no block: a cut answer must not be graded as if it were whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Answer", "Block", "Fault", "fenced_blocks", "read_answer"]

Fault = Literal["", "empty", "no_block", "open_block", "other_language", "empty_block"]
"""What is wrong with the form of a completion; empty when nothing is."""
_PYTHON = frozenset(("", "python", "python3", "py", "python3.11"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What was found."""

    program: str
    """Source; empty when ``fault`` is set."""
    fault: Fault = ""
    """Why there is no program."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    language: str
    """First word behind the opening fence, in lower case."""
    content: str
    """What stands between the fences."""
    closed: bool = True
    """Whether the closing fence is there."""


def read_answer(text: str) -> Answer:
    """Find the program.

    Fences are those of CommonMark 0.31, section 4.5: at least three backticks or tildes, indented
    by at most three spaces, closed by at least as many of the same.
    """
    if not text.strip():
        return Answer("", "empty")
    blocks = fenced_blocks(text)
    if not blocks:
        return Answer("", "no_block")
    last = blocks[-1]
    if not last.closed:
        return Answer("", "open_block")
    if last.language not in _PYTHON:
        return Answer("", "other_language")
    return Answer(last.content) if last.content.strip() else Answer("", "empty_block")


def fenced_blocks(text: str) -> list[Block]:
    """All fenced blocks, in order."""
    found: list[Block] = []
    fence, language, lines = "", "", list[str]()
    for line in text.splitlines(keepends=True):
        mark, info = _fence(line)
        if fence and mark.startswith(fence) and not info:
            found.append(Block(language, "".join(lines)))
            fence = ""
        elif fence:
            lines.append(line)
        elif mark:
            fence, language, lines = mark, info.split()[0].lower() if info else "", []
    if fence:
        found.append(Block(language, "".join(lines), closed=False))
    return found


def _fence(line: str) -> tuple[str, str]:
    """Mark and info string of a line that opens or closes a block; both empty for any other."""
    body = line.lstrip(" ")
    if len(line) - len(body) > 3 or body[:3] not in ("```", "~~~"):
        return "", ""
    rest = body.lstrip(body[0])
    info = rest.strip()
    if body[0] == "`" and "`" in info:
        return "", ""
    return body[: len(body) - len(rest)], info
