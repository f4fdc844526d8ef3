"""Reading calls whose arguments are JSON.

JSON says itself where it ends, so a mark inside a string is never mistaken for the real one. A
call is given out from the moment its name is known to be offered; weaker evidence (an unknown
name, a lost opening mark) must show the whole call first. The arguments pass through
``literals``, which mends what is clear. The rules stand in docs/decisions/0004-tool-formats.md.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import partial

from regreen.templates.calls.json_marks import Patterns
from regreen.templates.calls.literals import skip, strict, unwrapped, value
from regreen.templates.source import Source, Steps, hold
from regreen.templates.tools import ToolTable

__all__ = ["JsonReader"]

_LONGEST = 300  # of a header
_NAMES = ("name", "tool_name", "function")
_ARGUMENTS = ("arguments", "parameters", "args")
_FIRST = (*_NAMES, *_ARGUMENTS, "type", "id")

_CUT = "the text ends inside the call"
_END = "the text ends where the call does"
_JSON = "the arguments are no JSON"
_OBJECT = "the arguments are no object"
_MARK = "the call's closing mark is missing"


_OPENINGS = 8
"""Opening marks in a row that are read as one."""


@dataclass(slots=True)
class _Run:
    """Calls of one opening."""

    weak: bool
    """Whether no mark of the format opened it."""
    closing: bool = False
    """Whether a closing is to come."""
    array: bool = False
    """Whether a bracket is open around the calls."""


@dataclass(slots=True)
class _Head:
    """The beginning of a call."""

    name: str
    value: int
    """Where its arguments begin; of a call without any, where its object ends."""
    whole: bool = True
    """Whether the text goes on behind it."""
    id: str = ""
    framed: bool = True
    """Whether the arguments stand in an object of the call."""


class JsonReader:
    """Reads the calls of one completion; see ``CallReader``.

    Args:
        found: what finds the format's marks.
        tools: the tools offered.
    """

    def __init__(self, found: Patterns, tools: ToolTable) -> None:
        self.found = found
        self.tools = tools
        self.opener = found.opener
        self.stems = found.stems

    def read(self, source: Source, at: int, *, sure: bool) -> Steps[bool]:
        """Read the calls that begin at ``at``; see ``CallReader``."""
        mark = self.opener.match(source.text, at)
        kind = mark.lastgroup if mark else None
        if kind is None or (kind in "BF" and not sure):
            return False
        run = _Run(weak=kind in "BF")
        place = yield from self._openings(source, at, run)
        head = yield from self._head(source, place, run)
        if head is None:
            return False
        if kind == "B" and source.fenced and not (yield from _open_for_good(source, at)):
            return False
        if kind == "B" and not self.found.bare:
            source.emit("fault", "a call without its opening mark", 0)
        while head is not None:
            head = yield from self._call(source, head, run)
        return True

    def _openings(self, source: Source, at: int, run: _Run) -> Steps[int]:
        """Step over opening marks, a few at most; returns where a call must begin."""
        for _ in range(_OPENINGS):
            at = yield from source.word(at)
            mark = yield from self._token(source, at)
            if mark is not None and mark.lastgroup == "o":
                run.closing = run.closing or mark[0] in self.found.closable
                at = mark.end()
            elif source.text.startswith("[", at) and not run.array:
                run.array = run.closing = True
                at += 1
            else:
                return at
        return at

    def _token(self, source: Source, at: int) -> Steps[re.Match[str] | None]:
        """The mark at ``at``, waiting while it may still be growing."""
        if self.found.tokens is None:
            return None
        while True:
            rest = source.text[at : at + 64]
            growing = any(mark != rest and mark.startswith(rest) for mark in self.found.marks)
            if source.ended or not growing:
                return self.found.tokens.match(source.text, at)
            yield

    # -- the beginning of a call ------------------------------------------------------------

    def _head(self, source: Source, at: int, run: _Run) -> Steps[_Head | None]:
        """The call at ``at``, if it is one; nothing is dropped."""
        if source.text.startswith("{", at):
            head = yield from self._object(source, at, run)
            end = at
        else:
            head = yield from self._header(source, at)
            end = head.value if head else at
        if head is None or (head.name and self.tools.offers(head.name) and not self._lost(run)):
            return head
        if not head.name or (run.weak and not self.tools.offers(head.name)):
            return None
        end = yield from skip(source, end)
        closed = end >= 0 and (yield from self._closed(source, end, run))
        return head if closed else None

    def _lost(self, run: _Run) -> bool:
        """Whether a call without any mark stands where the format demands one."""
        return run.weak and not run.closing and not self.found.bare and bool(self.found.closable)

    def _closed(self, source: Source, at: int, run: _Run) -> Steps[bool]:
        """Whether a closing, or another call, follows at ``at``."""
        while True:
            at = yield from source.word(at)
            mark = yield from self._token(source, at)
            if mark is None or mark.lastgroup != "f":
                break
            at = mark.end()
        if mark is not None:
            return mark[0] in self.found.closers if self._lost(run) else True
        if self._lost(run):
            return False
        return not run.closing or source.text[at : at + 1] in {"{", ",", "]"}

    def _header(self, source: Source, at: int) -> Steps[_Head | None]:
        """A name in front of the arguments."""
        pattern = self.found.header
        while pattern is not None:
            match = pattern.match(source.text, at)
            if match is not None:
                call_id = match.groupdict().get("id") or ""
                return _Head(match["name"].strip(), match.end(), id=call_id, framed=False)
            if source.ended or len(source.text) - at > _LONGEST:
                return None
            yield
        return None

    def _object(self, source: Source, at: int, run: _Run) -> Steps[_Head | None]:
        """The name in a call's object, and where its arguments begin.

        Arguments in front of the name are looked over; the text from the object's beginning is
        kept until the name is known.
        """
        name, held, at, first = "", -1, at + 1, True
        while True:
            at = yield from source.word(at)
            char, item = source.text[at : at + 1], at
            if char == "}":
                bare = run.weak and held < 0
                return None if bare or not name else _Head(name, held if held >= 0 else at)
            if char == ",":
                at += 1
                continue
            key, at = yield from self._key(source, at)
            if at >= 0 and run.weak and first and key not in _FIRST:
                return None
            first = False
            if at >= 0:
                at = yield from source.word(at)
            if at >= 0 and key in _ARGUMENTS and held < 0:
                held = at
                if name and self.tools.offers(name):
                    return _Head(name, held)
            start = at
            at = (yield from skip(source, at)) if at >= 0 else at
            if at >= 0 and key in _NAMES and not name:
                name = _text(source.text[start:at])
                if run.weak and not self.tools.offers(name):
                    return None
            if at < 0:
                known = name and self.tools.offers(name) and not run.weak
                return _Head(name, item, whole=False) if known else None

    def _key(self, source: Source, at: int) -> Steps[tuple[str, int]]:
        """A key and the index behind its colon; -1 when there is none."""
        end = yield from skip(source, at)
        if end < 0 or source.text[at : at + 1] not in {'"', "'"}:
            return "", -1
        key = _text(source.text[at:end])
        place = yield from source.word(end)
        return key, place + 1 if source.text.startswith(":", place) else -1

    # -- one call ---------------------------------------------------------------------------

    def _call(self, source: Source, head: _Head, run: _Run) -> Steps[_Head | None]:
        """Read a call from its beginning; returns that of the next call of the same opening."""
        index = source.calls
        source.calls += 1
        source.emit("call", head.name, index, head.id)
        source.drop(head.value)
        reason = _CUT
        if head.whole:
            reason = yield from self._arguments(source, index)
        if not reason and head.framed and not (yield from self._rest(source)):
            reason = self._broken(source)
        if not reason:
            return (yield from self._behind(source, index, run))
        source.emit("incomplete", reason, index)
        yield from self._abandon(source)
        return None

    def _arguments(self, source: Source, index: int) -> Steps[str]:
        """Read the arguments; returns why they are incomplete, if they are."""
        at = yield from source.word(0)
        emit, fault = partial(_piece, source, index), partial(_fault, source)
        char = source.text[at : at + 1]
        if char == "{":
            done = yield from value(source, emit, fault=fault)
            return "" if done else self._broken(source)
        if not char:
            return _CUT
        if char in "}," or (yield from self._token(source, at)) is not None:
            emit("{}")
            return ""
        pieces: list[str] = []
        if not (yield from value(source, pieces.append)):
            return self._broken(source)
        text = "".join(pieces)
        inner = "{}" if text in {"null", '""'} else unwrapped(text)
        if inner is not None:
            emit(inner)
            if text.startswith('"'):
                fault("arguments as a string")
        return _OBJECT if inner is None else ""

    def _broken(self, source: Source) -> str:
        return _CUT if source.ended and not source.text.strip() else _JSON

    def _rest(self, source: Source) -> Steps[bool]:
        """Read what stands behind the arguments in the call's object, which says nothing."""
        while True:
            at = yield from source.word(0)
            char = source.text[at : at + 1]
            if char in {"}", ","}:
                source.drop(at + 1)
                if char == "}":
                    return True
                continue
            mark = yield from self._token(source, at)
            if mark is not None and mark.lastgroup == "c":
                source.emit("fault", "a closing brace is missing", 0)
                return True
            _, at = yield from self._key(source, at)
            at = (yield from skip(source, at)) if at >= 0 else at
            if at < 0:
                return False
            source.drop(at)

    # -- behind a call ----------------------------------------------------------------------

    def _behind(self, source: Source, index: int, run: _Run) -> Steps[_Head | None]:
        """Read closings; says whether the call is complete, and finds the next of the same run."""
        seen: set[str] = set()
        closed = False
        while True:
            at = yield from source.word(0)
            char = source.text[at : at + 1]
            mark = yield from self._token(source, at)
            kind = mark.lastgroup if mark else ""
            if mark is not None and kind in {"c", "f"}:
                end = mark.end()
                if mark[0] in seen:
                    source.emit("fault", "a closing mark twice", 0)
                seen.add(mark[0])
            elif char == "]" and run.array:
                run.array, kind, end = False, "c", at + 1
            elif char == "}" and not closed:
                source.emit("fault", "a closing brace too many", 0)
                end = at + 1
            else:
                break
            source.drop(end)
            if kind == "c" and not closed:
                closed = True
                source.emit("end", "", index)
        if closed:
            return None
        return (yield from self._unclosed(source, index, run, at))

    def _unclosed(self, source: Source, index: int, run: _Run, at: int) -> Steps[_Head | None]:
        """Judge a call that no closing mark follows."""
        if at == len(source.text):
            done = not source.truncated
            source.emit("end" if done else "incomplete", "" if done else _END, index)
            return None
        mark = yield from self._token(source, at)
        head = None
        if mark is None:
            start = at
            if source.text[start] in ",;":
                start = yield from source.word(start + 1)
            if source.text.startswith("{", start):
                head = yield from self._head(source, start, run)
        if mark is not None or head is not None or not run.closing:
            if mark is not None and run.closing:
                source.emit("fault", "a call without its closing mark", 0)
            source.emit("end", "", index)
        else:
            source.emit("incomplete", _MARK, index)
        return head

    def _abandon(self, source: Source) -> Steps[None]:
        """Drop what is left of a call up to the next mark, or of its line where there is none."""
        tokens, marks = self.found.tokens, self.found.marks
        if tokens is None or not self.found.closable:
            while "\n" not in source.text and not source.ended:
                source.drop(len(source.text))
                yield
            source.drop(len(source.text.partition("\n")[0]))
            return
        while True:
            mark = tokens.search(source.text)
            if mark is not None:
                source.drop(mark.start())
                mark = yield from self._token(source, 0)
                break
            if source.ended:
                source.drop(len(source.text))
                return
            source.drop(hold(source.text, 0, marks))
            yield
        while mark is not None and mark.lastgroup != "o":
            source.drop(mark.end())
            mark = yield from self._token(source, (yield from source.word(0)))


def _open_for_good(source: Source, at: int) -> Steps[bool]:
    """Whether the code fence that is open is never closed behind ``at``."""
    while "\n```" not in source.text[at:]:
        if source.ended:
            return True
        yield from source.until("`")
    return False


def _piece(source: Source, index: int, text: str) -> None:
    source.emit("arguments", text, index)


def _fault(source: Source, text: str) -> None:
    source.emit("fault", text, 0)


def _text(literal: str) -> str:
    """The string that a literal stands for; empty for any other value."""
    found = strict(literal)
    return json.loads(found) if found is not None and found.startswith('"') else ""
