"""Lenient JSON or Python literals in, strict JSON text out, as it comes.

One reader for both dialects, because models mix them: what is wrong but clear is mended and
reported, what is not clear is refused. Nothing is built: pieces of the value's strict JSON text
are handed on as soon as they are certain, so a long string streams at a flat cost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from regreen.templates.calls.literal_text import StringStyle, escape, fits, scalar, string_style
from regreen.templates.source import Source, Steps

__all__ = ["DEEPEST", "Dialect", "skip", "strict", "unwrapped", "value"]

Dialect = Literal["json", "python"]
"""What is well-formed; each dialect's forms are read in the other too, as faults."""

DEEPEST = 200
"""Containers inside one another; a deeper value is refused."""

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[\w.+$-]*")
_PREFIXED = re.compile(r"([rbufRBUF]{0,2})(['\"])")
_MAYBE_PREFIXED = re.compile(r"[rbufRBUF]{0,2}\Z")
_OPENERS = {"{": "}", "[": "]", "(": ")"}


def value(
    source: Source,
    out: Callable[[str], None],
    *,
    dialect: Dialect = "json",
    fault: Callable[[str], None] | None = None,
) -> Steps[bool]:
    """Read one value at the start of ``source.text``, after white space, and drop it.

    A scalar ends at the next character that cannot belong to it. A Python string waits for what
    follows, which may be another string to join.

    Args:
        source: the text; what has been read is dropped from it.
        out: gets pieces of the value's strict JSON text; they are never empty.
        dialect: what is well-formed.
        fault: gets each kind of departure that was mended, once.

    Returns:
        False when the text ends inside the value or is no value; what ``out`` got is then a
        beginning of strict JSON text, and the source begins somewhere inside the value, or is
        empty if its end is the only fault.
    """
    reader = _Reader(source, out, fault or _ignore, dialect == "python")
    done = yield from reader.read()
    reader.flush()
    return done


def skip(source: Source, at: int, *, dialect: Dialect = "json") -> Steps[int]:
    """Look past one value at index ``at``, after white space, without dropping anything.

    Meant for text that may be no value at all, so a string between single Python quotes that does
    not end on its line is refused at once, not mended.

    Returns:
        The index behind the value; -1 when there is none, or when the text ends inside it.
    """
    reader = _Reader(source, _ignore, _ignore, dialect == "python", at, keep=True)
    return reader.at if (yield from reader.read()) else -1


def strict(text: str, *, dialect: Dialect = "json") -> str | None:
    """Strict JSON text of a text that is one value and nothing else; None for any other."""
    source = Source()
    source.text = text
    source.end()
    pieces: list[str] = []
    steps = value(source, pieces.append, dialect=dialect)
    try:
        next(steps)
    except StopIteration as stop:
        return "".join(pieces) if stop.value and not source.text.strip() else None
    return None


def unwrapped(text: str) -> str | None:
    """Strict JSON text of the object that a string of JSON holds.

    Args:
        text: strict JSON text of a value, complete.

    Returns:
        None when the value is no string, or a string that holds no object.
    """
    if not text.startswith('"'):
        return None
    inner = strict(json.loads(text))
    return inner if inner is not None and inner.startswith("{") else None


def _ignore(_text: str) -> None:
    pass


@dataclass(slots=True)
class _Open:
    """A container being read."""

    closer: str
    items: int = 0
    undecided: list[str] | None = None
    """For a bracket that may be a tuple's or only group: the pieces in front of it."""


@dataclass(slots=True)
class _Reader:
    source: Source
    out: Callable[[str], None]
    fault: Callable[[str], None]
    python: bool
    at: int = 0
    """Index of the next character of ``source.text``."""
    keep: bool = False
    """Whether what has been read stays in the source."""
    stack: list[_Open] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    """Where pieces go: ``ready``, or a list of their own while a round bracket is undecided."""
    faults: set[str] = field(default_factory=set)

    def read(self) -> Steps[bool]:
        self.pieces = self.ready
        while True:
            state = yield from self._item()
            if state == "failed":
                return False
            if state == "opened":
                continue
            while self.stack:
                char = yield from self._peek()
                if char == ",":
                    self.at += 1
                    self._decide(self.stack[-1])
                    break
                if not self._close(char):
                    return False
            else:
                return True

    def flush(self) -> None:
        """Hand on what is certain and forget what was read."""
        if self.ready:
            self.out("".join(self.ready))
            self.ready.clear()
        if self.at and not self.keep:
            self.source.drop(self.at)
            self.at = 0

    def _wait(self) -> Steps[None]:
        self.flush()
        yield

    def _peek(self) -> Steps[str]:
        """The next character that is no white space; empty at the end."""
        while True:
            text = self.source.text
            self.at = _end(_SPACE, text, self.at)
            if self.at < len(text):
                return text[self.at]
            if self.source.ended:
                return ""
            yield from self._wait()

    def _mended(self, what: str) -> None:
        if what and what not in self.faults:
            self.faults.add(what)
            self.fault(what)

    # -- containers -------------------------------------------------------------------------

    def _item(self) -> Steps[str]:
        """Read an item up to its end or, of a container, its beginning; or the closer instead."""
        char = yield from self._peek()
        if self.stack:
            top = self.stack[-1]
            if char == top.closer:
                if top.items and not self.python:
                    self._mended("a comma behind the last item")
                self._close(char)
                return "closed"
            if top.items:
                self.pieces.append(", ")
            top.items += 1
            if top.closer == "}":
                if not (yield from self._key(char)):
                    return "failed"
                char = yield from self._peek()
        if char in _OPENERS and char:
            return self._open(char)
        if (yield from self._quoted()):
            return "closed" if (yield from self._strings()) else "failed"
        word = yield from self._word()
        text = scalar(word, self.python, self._mended)
        self.pieces.append(text)
        return "closed" if text else "failed"

    def _open(self, char: str) -> str:
        if len(self.stack) == DEEPEST:
            return "failed"
        self.at += 1
        top = _Open(_OPENERS[char])
        self.stack.append(top)
        if char == "(":
            if not self.python:
                self._mended("a tuple")
            top.undecided, self.pieces = self.pieces, []
        else:
            self.pieces.append(char)
        return "opened"

    def _decide(self, top: _Open) -> None:
        """A comma makes a tuple of a round bracket."""
        if top.undecided is not None:
            top.undecided.append("[")
            self._join(top)

    def _join(self, top: _Open) -> None:
        if top.undecided is not None:
            top.undecided.extend(self.pieces)
            self.pieces, top.undecided = top.undecided, None

    def _close(self, char: str) -> bool:
        top = self.stack[-1]
        if char != top.closer:
            return False
        self.at += 1
        self.stack.pop()
        if top.undecided is None:
            self.pieces.append("]" if char == ")" else char)
        elif top.items:
            self._join(top)
        else:
            self.pieces.append("[]")
            self._join(top)
        return True

    def _key(self, char: str) -> Steps[bool]:
        """Read a key and its colon."""
        if (yield from self._quoted()):
            if not (yield from self._strings()):
                return False
        else:
            word = yield from self._word()
            text = scalar(word, True, _ignore)
            if not text and not word.isidentifier():
                return False
            self._mended("a key that is no string")
            self.pieces.append(text if text.startswith('"') else f'"{text or word}"')
        char = yield from self._peek()
        if char != ":":
            return False
        self.at += 1
        self.pieces.append(": ")
        return True

    def _word(self) -> Steps[str]:
        """The word at the next character, when its end is certain; empty when there is none."""
        while True:
            text = self.source.text
            end = _end(_WORD, text, self.at)
            if end < len(text) or (self.source.ended and not self.stack):
                word = text[self.at : end]
                self.at = end
                return word
            if self.source.ended or not fits(end - self.at):
                self.at = end if self.source.ended else self.at
                return ""
            yield from self._wait()

    # -- strings ----------------------------------------------------------------------------

    def _quoted(self) -> Steps[bool]:
        """Whether the next character begins a string, with its prefix."""
        text, at = self.source.text, self.at
        if text[at : at + 1] in {'"', "'"}:
            return True
        while not self.source.ended and _MAYBE_PREFIXED.match(self.source.text, self.at):
            yield from self._wait()
        return _PREFIXED.match(self.source.text, self.at) is not None

    def _strings(self) -> Steps[bool]:
        """Read a string and, in Python, those that follow to be joined to it."""
        self.pieces.append('"')
        while True:
            style = yield from self._string_style()
            if not (yield from self._string(style)):
                return False
            if not self.python or not (yield from self._adjacent()):
                self.pieces.append('"')
                return True

    def _adjacent(self) -> Steps[bool]:
        """Whether another string follows; if so it is next."""
        while True:
            text = self.source.text
            at = _end(_SPACE, text, self.at)
            if _MAYBE_PREFIXED.match(text, at) and not self.source.ended:
                yield from self._wait()
            elif _PREFIXED.match(text, at):
                self.at = at
                return True
            else:
                return False

    def _string_style(self) -> Steps[StringStyle]:
        """Step over the opening of a string; says how to read on."""
        while True:
            text = self.source.text
            match = _PREFIXED.match(text, self.at)
            assert match is not None
            prefix, quote, end = match[1].lower(), match[2], match.end()
            growing = text[end:] in {"", quote} and not self.source.ended
            if self.python and growing:
                yield from self._wait()
                continue
            three = self.python and text.startswith(quote * 2, end)
            self.at = end + (2 if three else 0)
            if not self.python:
                self._mended("a string as Python writes it" if prefix or quote == "'" else "")
            if "f" in prefix or "b" in prefix:
                self._mended("a string of bytes or with fields, read as plain text")
            plain = self.python or quote == "'"
            return string_style(quote * 3 if three else quote, raw="r" in prefix, python=plain)

    def _string(self, style: StringStyle) -> Steps[bool]:
        """Read a string's content and step over its closing quote."""
        source, quote, run = self.source, style.quote, style.run
        while True:
            text = source.text
            end = _end(run, text, self.at)
            if end > self.at:
                if self.keep and self.python and style.bare_line(text, self.at, end):
                    return False
                self.pieces.append(style.strict(text[self.at : end], self._mended))
                self.at = end
            if text.startswith(quote, end):
                self.at = end + len(quote)
                return True
            if end == len(text) or style.growing.match(text, end):
                if source.ended:
                    self.at = len(text)
                    return False
                yield from self._wait()
                continue
            if text[end] != "\\":
                return False
            length, piece = escape(text, end, style, self._mended)
            if piece:
                self.pieces.append(piece)
            self.at = end + length


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Where what ``pattern`` finds at ``at`` ends; the pattern matches the empty text too."""
    match = pattern.match(text, at)
    return match.end() if match else at
