"""Fenced blocks: opening lines, closing lines, and text with fences in it.

Fences count at the start of a line only. A fence of four backticks or more follows CommonMark to
the letter: the next bare fence at least as long closes it. One of three, which models write
without thinking of fences inside, follows it with two exceptions, so that a command that writes a
Markdown file is not cut in the middle: a fence with a word behind it opens a nested block, which
the next bare fence closes, and fences inside a here-document are text. A bare fence with nothing
behind it up to the end of the message closes the block in any case. We write three backticks
where these exceptions cannot matter, and a longer fence elsewhere.
"""

from __future__ import annotations

import re
from json.encoder import encode_basestring
from typing import NamedTuple

from regreen.templates.source import Source, Steps, hold

__all__ = ["TICKS", "FenceLine", "LineText", "fence_for", "fence_line", "read_block"]

TICKS = "```"
"""The shortest fence."""

_LINE = re.compile(r"(`{3,})[ \t]*+((?:[^\s`](?:[^\n`]{0,198}[^\s`])?)?)[ \t\r]*+(?=\n|\Z)")
_TICKS = re.compile(r"`*")
_GROWING = re.compile(r"`*[^\n`]{0,200}\Z")
_RUNS = re.compile(r"^`{3,}", re.MULTILINE)
_WORD = re.compile(r"[^\s`]+")
_HERE = re.compile(
    r"(?<!<)<<(?P<dash>-?)[ \t]*"
    r"(?:(?P<quote>['\"])(?P<quoted>[^'\"\n]+)(?P=quote)|\\?(?P<bare>[A-Z_][A-Z0-9_]+))"
)


class FenceLine(NamedTuple):
    """A line that is a fence."""

    run: int
    """Number of backticks."""
    info: str
    """What stands behind them; empty for a bare fence."""
    end: int
    """Index behind the line, of its newline if it has one."""


def fence_line(source: Source, at: int) -> Steps[FenceLine | None]:
    """The fence at index ``at``, where a line begins, once the line is whole."""
    while True:
        text = source.text
        run = _TICKS.match(text, at)
        behind = run.end() if run else len(text)
        if not source.ended and behind < len(text) and source.ending(behind):
            yield  # perhaps the mark that ends the turn, and no info
            continue
        if text.find("\n", at) >= 0 or source.ended:
            match = _LINE.match(text, at)
            return FenceLine(len(match[1]), match[2], match.end()) if match else None
        if not _GROWING.match(text, at):
            return None
        yield


def fence_for(text: str, *, shell: bool = False) -> str:
    """The backticks to put around ``text`` so that it is read back whole.

    Args:
        text: what the block will hold.
        shell: whether the block is read as a shell's commands, see ``read_block``.
    """
    longest = max((len(run) for run in _RUNS.findall(text)), default=0)
    if longest >= len(TICKS):
        return "`" * (longest + 1)
    here = _HereDocuments()
    if shell and "<<" in text:
        here.read(text)
    return TICKS + "`" * bool(here.waiting)


class LineText:
    """Text of a value, given out as it comes, up to lines that begin with a mark.

    The source begins with the newline that ends the line in front of the value; it is framing, and
    so is the newline in front of the mark that ends the value.

    Args:
        source: the text.
        index: the call.
        marks: what the lines to stop at begin with.
        framed: whether the newline in front is still to be dropped.
    """

    def __init__(
        self, source: Source, index: int, marks: tuple[str, ...], *, framed: bool = True
    ) -> None:
        self.source = source
        self._index = index
        self._framed = framed
        self._stems = tuple(f"\n{mark}" for mark in marks)
        self._search = re.compile("|".join(map(re.escape, self._stems))).search
        self._given: list[str] = []

    def next(self) -> Steps[bool]:
        """Give out text up to the next line that begins with a mark.

        Returns:
            Whether there is one; the source then begins with the newline in front of it.
        """
        source = self.source
        while True:
            found = self._search(source.text)
            if found is not None:
                self.give(found.start())
                return True
            if source.ended:
                self.give(len(source.text))
                return False
            self.give(hold(source.text, 0, self._stems))
            yield

    def give(self, end: int) -> None:
        """Give out the text before ``end`` as part of the value."""
        piece = self.source.text[:end]
        if not piece:
            return
        self.source.drop(end)
        self._given.append(piece)
        if self._framed:
            self._framed, piece = False, piece[1:]
        if piece:
            self.source.emit("arguments", encode_basestring(piece)[1:-1], self._index)

    def given(self) -> str:
        """What was given out since this was last asked."""
        text = "".join(self._given)
        self._given.clear()
        return text


class _HereDocuments:
    """The here-documents that are open in a shell's commands."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, bool]] = []

    def read(self, text: str) -> None:
        """Go on with whole lines."""
        for line in text.split("\n"):
            if self.waiting:
                word, tabs = self.waiting[0]
                if (line.lstrip("\t") if tabs else line) == word:
                    self.waiting.pop(0)
            elif "<<" in line:
                for match in _HERE.finditer(line):
                    self.waiting.append((match["quoted"] or match["bare"], bool(match["dash"])))


def read_block(value: LineText, run: int, *, shell: bool = False, own: str = "") -> Steps[str]:
    """Read the text of a block and drop its closing fence.

    Args:
        value: the text behind the opening line.
        run: number of backticks of the opening line.
        shell: whether the text is a shell's, whose here-documents hide fences.
        own: info of the blocks that are calls: such a line inside shows that this block was left
            open.

    Returns:
        Why the block is incomplete; empty when it is closed.
    """
    source, nested, here = value.source, 0, _HereDocuments()
    while (yield from value.next()):
        line = yield from fence_line(source, 1)
        if line is None or line.run < run or (line.info and run > len(TICKS)):
            value.give(1 + len(TICKS))
            continue
        if shell and run == len(TICKS):
            here.read(value.given())
        hidden = bool(here.waiting)
        if not line.info and (hidden or nested):
            place = yield from source.word(line.end)
            if place == len(source.text):
                source.emit("fault", "a block that ends inside a nested one", 0)
                source.drop(line.end)
                return ""
            nested -= not hidden
        elif not line.info:
            source.drop(line.end)
            return ""
        elif line.info == own and not hidden and not nested:
            return "another block begins before this one is closed"
        elif _WORD.fullmatch(line.info) and not hidden:
            nested += 1
        value.give(line.end)
    return "the block is not closed"
