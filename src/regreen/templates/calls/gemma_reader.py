"""Reading calls in Gemma's notation, as they come.

Inside a call everything but quoted text is structure. A quote token that is followed by nothing
that may follow a text is part of the text: models copy what they see.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from json.encoder import encode_basestring

from regreen.templates.calls.literal_text import fits, scalar
from regreen.templates.calls.literals import DEEPEST, value
from regreen.templates.guard import JOINER, guarded, unguard
from regreen.templates.source import Source, Steps, hold
from regreen.templates.tools import ToolTable

__all__ = ["GemmaReader"]

_QUOTE = '<|"|>'
_NAME = re.compile(r"(?:call:\s*)?([^\s{}<>:,\"']{1,128})\s*\{")
_GROWING_NAME = re.compile(r"(?:call:?\s*)?[^\s{}<>:,\"']{0,128}\s{0,8}\Z")
_BARE = re.compile(r"[^,\]}<]*")
_RAW_KEY = re.compile(r"[^:{}\[\],<>\n]{0,256}")
_GUARDED = re.compile(guarded((_QUOTE,)))
_CLOSERS = {"{": "}", "[": "]"}
_ENDS_INSIDE = "the text ends inside the call"
_NOT_READ = "an argument that cannot be read"


class GemmaReader:
    """Reads the calls of one completion; see ``CallReader``.

    Args:
        marks: opening and closing of a call.
        tools: the tools offered.
    """

    def __init__(self, marks: tuple[str, str], tools: ToolTable) -> None:
        self.opening, self.closing = marks
        self.tools = tools
        token, both = re.escape(self.opening), guarded(marks)
        self.opener = re.compile(f"(?P<T>{token})|(?P<G>{both})")
        self.stems: tuple[str, ...] = marks

    def read(self, source: Source, at: int, *, sure: bool) -> Steps[bool]:
        """Read the call that begins at ``at``; see ``CallReader``."""
        begin = yield from source.word(at + len(self.opening))
        while True:
            match = _NAME.match(source.text, begin)
            if match or source.ended or not _GROWING_NAME.match(source.text, begin):
                break
            yield
        if match is None or not (match[0].startswith("call:") or self.tools.offers(match[1])):
            return False
        index = source.calls
        source.calls += 1
        source.emit("call", match[1], index)
        source.drop(match.end() - 1)
        reason = (yield from _Arguments(source, index).read()) or (yield from self._close(source))
        source.emit("incomplete" if reason else "end", reason, index)
        return True

    def _close(self, source: Source) -> Steps[str]:
        """Drop the closing token; returns why the call is incomplete, empty when it is not."""
        at = yield from source.word(0)
        while self.closing.startswith(source.text[at:]) and not source.ended:
            if source.text[at:] == self.closing:
                break
            yield
        if source.text.startswith(self.closing, at):
            source.drop(at + len(self.closing))
            return ""
        if source.truncated and self.closing.startswith(source.text[at:]):
            source.drop(len(source.text))
            return _ENDS_INSIDE
        source.emit("fault", "a call without its closing token", 0)
        return ""


@dataclass(slots=True)
class _Open:
    closer: str
    items: int = 0


class _Arguments:
    """Reads the arguments of one call; the source begins with their bracket."""

    def __init__(self, source: Source, index: int) -> None:
        self.source = source
        self.index = index
        self.stack: list[_Open] = []

    def read(self) -> Steps[str]:
        """Read up to the closing bracket; returns why not, empty when all went well."""
        while True:
            state = yield from self._item()
            while state == "done" and self.stack:
                mark = yield from self._next()
                if mark == ",":
                    self.source.drop(1)
                    break
                if not mark or mark != self.stack[-1].closer:
                    return _NOT_READ if mark else _ENDS_INSIDE
                self._shut()
            else:
                if state == "done":
                    return ""
                if state != "opened":
                    return state

    def _out(self, text: str) -> None:
        self.source.emit("arguments", text, self.index)

    def _fault(self, what: str) -> None:
        self.source.emit("fault", what, 0)

    def _next(self) -> Steps[str]:
        """Drop white space; returns the next character, empty at the end."""
        at = yield from self.source.word(0)
        self.source.drop(at)
        return self.source.text[:1]

    def _shut(self) -> None:
        self._out(self.stack.pop().closer)
        self.source.drop(1)

    def _item(self) -> Steps[str]:
        """Read an item: ``opened`` for a container, ``done``, or why it cannot be read."""
        mark = yield from self._next()
        if self.stack:
            top = self.stack[-1]
            if mark == top.closer:
                self._shut()
                return "done"
            if not mark:
                return _ENDS_INSIDE
            if top.items:
                self._out(", ")
            top.items += 1
            if top.closer == "}":
                reason = yield from self._key()
                if reason:
                    return reason
                mark = yield from self._next()
        if mark in _CLOSERS and mark:
            if len(self.stack) == DEEPEST:
                return _NOT_READ
            self.stack.append(_Open(_CLOSERS[mark]))
            self._out(mark)
            self.source.drop(1)
            return "opened"
        return (yield from self._leaf(mark))

    def _key(self) -> Steps[str]:
        if (yield from self._quoted()):
            if not (yield from self._text(":")):
                return _ENDS_INSIDE
        elif self.source.text.startswith('"'):
            if not (yield from value(self.source, self._out, fault=self._fault)):
                return _NOT_READ
        else:
            key = yield from self._bare(_RAW_KEY)
            if not key:
                return _NOT_READ if self.source.text else _ENDS_INSIDE
            self._out(encode_basestring(key))
        mark = yield from self._next()
        if mark != ":":
            return _NOT_READ if mark else _ENDS_INSIDE
        self._out(": ")
        self.source.drop(1)
        return ""

    def _leaf(self, mark: str) -> Steps[str]:
        if (yield from self._quoted()):
            return "done" if (yield from self._text(",]}")) else _ENDS_INSIDE
        if mark in {'"', "'"}:
            self._fault("a text in quotes of another kind")
            done = yield from value(self.source, self._out)
            return "done" if done else _NOT_READ
        word = yield from self._bare(_BARE)
        if not word:
            return _NOT_READ if self.source.text else _ENDS_INSIDE
        text = scalar(word, False, self._fault)
        if not text:
            self._fault("a text without quotes")
            text = encode_basestring(word)
        self._out(text)
        return "done"

    def _bare(self, pattern: re.Pattern[str]) -> Steps[str]:
        """A word without quotes, when its end is certain; empty when there is none."""
        while True:
            match = pattern.match(self.source.text)
            end = match.end() if match else 0
            if end < len(self.source.text):
                word = self.source.text[:end].strip()
                self.source.drop(end)
                return word
            if self.source.ended:
                self.source.drop(end)
                return ""
            if not fits(end):
                return ""
            yield

    # -- text -------------------------------------------------------------------------------

    def _quoted(self) -> Steps[bool]:
        """Drop a quote token, if one is next."""
        source = self.source
        while _QUOTE.startswith(source.text) and source.text != _QUOTE and not source.ended:
            yield
        if not source.text.startswith(_QUOTE):
            return False
        source.drop(len(_QUOTE))
        return True

    def _text(self, behind: str) -> Steps[bool]:
        """Read a text and its closing quote token, which one of ``behind`` must follow."""
        source = self.source
        self._out('"')
        scan = 0
        while True:
            end = source.text.find(_QUOTE, scan)
            if end >= 0:
                place = yield from source.word(end + len(_QUOTE))
                if place == len(source.text) or source.text[place] in behind:
                    self._give(end)
                    source.drop(len(_QUOTE))
                    self._out('"')
                    return True
                self._fault("a quote token inside a text")
                scan = end + len(_QUOTE)
                continue
            keep = len(source.text) if source.ended else self._keep(source.text)
            self._give(keep)
            if source.ended:
                return False
            scan = 0
            yield

    def _keep(self, text: str) -> int:
        """Up to where ``text`` can become no quote token, guarded or not."""
        keep = hold(text, 0, (_QUOTE,))
        at = text.rfind("<" + JOINER)
        if at >= 0 and _GROWING_GUARD.match(text, at):
            keep = min(keep, at)
        return keep

    def _give(self, end: int) -> None:
        text = self.source.text[:end]
        if JOINER in text:
            text = unguard(text, (_QUOTE,))
        self._out(encode_basestring(text)[1:-1])
        self.source.drop(end)


_GROWING_GUARD = re.compile(rf'<{JOINER}+(?:\|(?:"(?:\|)?)?)?\Z')
