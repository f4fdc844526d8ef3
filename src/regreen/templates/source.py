"""The text of a stream as a reader sees it: a buffer that grows while the reader waits.

Readers are generators: one that needs more text yields, and goes on when it is there. So a
grammar is written as for a whole text, and streaming equals parsing because it is the same code.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from functools import lru_cache
from typing import TypeVar

from regreen.templates.message import Delta, Kind

__all__ = ["Source", "Steps", "hold"]

T = TypeVar("T")
Steps = Generator[None, None, T]
"""A reader that yields when it needs more text and returns a ``T``."""


class Source:
    """Text not yet read, and the deltas made of what was.

    Indices into ``text`` stay valid while a reader waits; ``drop`` alone moves them.
    """

    __slots__ = (
        "_held",
        "_wanted",
        "calls",
        "ended",
        "fenced",
        "out",
        "stops",
        "text",
        "truncated",
    )

    def __init__(self) -> None:
        self.text = ""
        self.ended = False
        self.truncated: bool | None = None
        self.fenced = False  # whether a code fence of the text is open
        self.stops: tuple[str, ...] = ()  # marks that end the turn
        self.out: list[Delta] = []
        self.calls = 0
        self._wanted = ""
        self._held: list[str] = []

    def feed(self, piece: str) -> bool:
        """Add text; whether the waiting reader has any use for it yet."""
        if self._wanted:
            self._held.append(piece)
            if not any(char in piece for char in self._wanted):
                return False
            piece = "".join(self._held)
            self._held.clear()
            self._wanted = ""
        self.text += piece
        return True

    def end(self) -> None:
        """No more text will come."""
        self.text += "".join(self._held)
        self._held.clear()
        self._wanted = ""
        self.ended = True

    def drop(self, count: int) -> None:
        """Forget the first ``count`` characters."""
        self.text = self.text[count:]

    def emit(self, kind: Kind, text: str = "", index: int = -1, call_id: str = "") -> None:
        """Add a delta; empty text of a message is none."""
        if text or index >= 0:
            self.out.append(Delta(kind, text, index, call_id))

    def until(self, chars: str) -> Steps[None]:
        """Wait until one of ``chars`` arrives, at a cost that does not grow with what is held."""
        self._wanted = chars
        yield

    def ending(self, at: int) -> bool:
        """Whether the text from ``at`` on may be nothing but marks that end the turn."""
        rest = self.text[at : at + 256]
        while rest:
            if any(stop.startswith(rest) for stop in self.stops):
                return True
            mark = next((stop for stop in self.stops if rest.startswith(stop)), "")
            if not mark:
                return False
            rest = rest[len(mark) :].lstrip()
        return True

    def word(self, at: int) -> Steps[int]:
        """Index of the first character from ``at`` on that is no white space; the end if none."""
        while True:
            rest = self.text[at : at + 64]
            found = at + len(rest) - len(rest.lstrip())
            if found < len(self.text) and not self.text[found].isspace():
                return found
            if found >= len(self.text):
                if self.ended:
                    return found
                yield
            at = found


def hold(text: str, start: int, stems: Iterable[str]) -> int:
    """Where text must be held back because it may be the beginning of one of ``stems``."""
    marks = tuple(stems)
    firsts, longest = _firsts(marks)
    found = firsts.search(text, max(start, len(text) - longest + 1))
    while found is not None:
        rest = text[found.start() :]
        if any(stem != rest and stem.startswith(rest) for stem in marks):
            return found.start()
        found = firsts.search(text, found.end())
    return len(text)


@lru_cache(maxsize=256)
def _firsts(stems: tuple[str, ...]) -> tuple[re.Pattern[str], int]:
    """What finds their first characters, and the length of the longest."""
    chars = "|".join(re.escape(char) for char in dict.fromkeys(stem[0] for stem in stems))
    return re.compile(chars or "(?!)"), max(map(len, stems), default=1)
