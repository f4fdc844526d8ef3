"""The program in a completion: its last fenced block, or why there is none.

The last block counts because a model thinks aloud in earlier ones. A fence that was never closed is
no block: a cut answer must not be graded as if it were whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Answer", "Fault", "read_answer"]

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


def read_answer(text: str) -> Answer:
    """Find the program.

    Fences are those of CommonMark 0.31, section 4.5: at least three backticks or tildes, indented
    by at most three spaces, closed by at least as many of the same.
    """
    if not text.strip():
        return Answer("", "empty")
    found: tuple[str, str] | None = None
    fence, language, lines = "", "", list[str]()
    for line in text.splitlines(keepends=True):
        mark, info = _fence(line)
        if fence and mark.startswith(fence) and not info:
            found, fence = (language, "".join(lines)), ""
        elif fence:
            lines.append(line)
        elif mark:
            fence, language, lines = mark, info.split()[0].lower() if info else "", []
    if fence:
        return Answer("", "open_block")
    if found is None:
        return Answer("", "no_block")
    if found[0] not in _PYTHON:
        return Answer("", "other_language")
    return Answer(found[1]) if found[1].strip() else Answer("", "empty_block")


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
