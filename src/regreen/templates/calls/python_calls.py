"""Calls as Python calls in a list, ``[f(a=1, b='x'), g()]``: writing them and reading them.

A bracket in prose is nothing special, so what counts is shape: at the beginning of a line an
offered tool with a named argument is a call and streams at once; elsewhere the whole list must be
well-formed and end its line before any of it is taken for a call.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from json.encoder import encode_basestring

from regreen.templates.calls.literals import skip, value
from regreen.templates.calls.python_write import arguments
from regreen.templates.grammar.parts import CallGrammar
from regreen.templates.grammar.python_calls import python_calls
from regreen.templates.guard import JOINER, guarded
from regreen.templates.message import ToolCall
from regreen.templates.source import Source, Steps
from regreen.templates.tools import ToolTable

__all__ = ["PythonReader", "PythonicSyntax"]

_NAME = re.compile(r"[^\W\d][\w.-]{0,127}")
_KEYWORD = re.compile(r"([^\W\d]\w*)\s*=(?!=)")
_GROWING_KEYWORD = re.compile(r"[^\W\d]\w*\s*=?\Z")
_BARE = r"\[(?=\s{1,40}\Z|\s{0,40}[^\W\d][\w.-]{0,127}\s{0,8}(?:\(|\Z))"
_LONGEST = 256

_ENDS_INSIDE = "the text ends inside the call"
_NO_LITERAL = "an argument that is no literal"


@dataclass(frozen=True)
class PythonicSyntax:
    """Calls in a list; see ``CallSyntax``."""

    wrap: tuple[str, str] = ("", "")
    """Tokens that a model may write around the list."""
    lead: str = "\n"
    """White space between text and the list."""
    quote: str = "'"
    """Quotes of a string that needs no others."""

    @property
    def stems(self) -> tuple[str, ...]:
        """Beginnings of every marker."""
        return (self.wrap[0], "[") if self.wrap[0] else ("[",)

    def write(self, calls: Sequence[ToolCall], tools: ToolTable, *, guarded: bool = False) -> str:
        """The calls as the model writes them; quotes and escapes leave nothing to guard."""
        written = [f"{call.name}({arguments(call.arguments, self.quote)})" for call in calls]
        return f"[{', '.join(written)}]"

    def reader(self, tools: ToolTable) -> PythonReader:
        """A reader of such calls; see ``CallSyntax``."""
        return PythonReader(self, tools)

    def structure(self, tools: ToolTable) -> CallGrammar:
        """The grammar; see ``CallSyntax``."""
        return python_calls(self, tools)

    @cached_property
    def opener(self) -> re.Pattern[str]:
        """Finds a list's beginning: behind a token, or bare in text."""
        token = f"(?P<T>{re.escape(self.wrap[0])})|" if self.wrap[0] else ""
        return re.compile(f"{token}(?P<G>{guarded(self.stems)})|(?P<B>{_BARE})")


class PythonReader:
    """Reads the calls of one completion; see ``CallReader``.

    Args:
        syntax: what stands around the list.
        tools: the tools offered.
    """

    def __init__(self, syntax: PythonicSyntax, tools: ToolTable) -> None:
        self.tools = tools
        self.wrap = syntax.wrap
        self.opener = syntax.opener
        self.stems = (*syntax.stems, "[" + JOINER)  # a bracket waits for what follows it

    def read(self, source: Source, at: int, *, sure: bool) -> Steps[bool]:
        """Read the list that begins at ``at``; see ``CallReader``."""
        wrapped = bool(self.wrap[0]) and source.text.startswith(self.wrap[0], at)
        begin = at
        if wrapped:
            begin = yield from source.word(at + len(self.wrap[0]))
        listed = source.text.startswith("[", begin)
        begin = (yield from source.word(begin + 1)) if listed else begin
        name = yield from name_at(source, begin)
        if not name or not (wrapped or self.tools.offers(name)):
            return False
        fenced = source.fenced and not wrapped
        if wrapped or (sure and self.tools.tools and not fenced):
            real = yield from named_argument(source, begin, self.tools.keys(name))
        else:
            end = yield from self._ends_its_line(source, begin)
            real = end >= 0 and (not fenced or (yield from _fence_stays(source, end)))
        if not real:
            return False
        source.drop(begin)
        yield from self._list(source, listed)
        if wrapped:
            yield from _closing(source, self.wrap[1])
        return True

    # -- telling calls from prose -----------------------------------------------------------

    def _ends_its_line(self, source: Source, at: int) -> Steps[int]:
        """Index behind a whole list of calls with named arguments that ends its line, or -1."""
        while True:
            if not (yield from name_at(source, at)):
                return -1
            at = yield from past_call(source, at)
            if at < 0:
                return -1
            at = yield from source.word(at)
            mark = source.text[at : at + 1]
            if mark != ",":
                break
            at = yield from source.word(at + 1)
        if mark != "]":
            return -1
        while source.text[at + 1 :] in {"", "<"} and not source.ended:
            yield
        behind = source.text[at + 1 : at + 2]
        ends = behind in {"", "\n"} or source.text.startswith("<|", at + 1)
        return at + 1 if ends else -1

    # -- the calls --------------------------------------------------------------------------

    def _list(self, source: Source, listed: bool) -> Steps[None]:
        """Read calls up to the end of the list; the source begins with the first name."""
        while True:
            index = yield from read_call(source, self.tools)
            if index < 0:
                return
            at = yield from source.word(0)
            mark = source.text[at : at + 1]
            if mark and mark in ".[(" and listed:
                source.emit("incomplete", "an expression, not a call alone", index)
                return
            if source.truncated and not mark and listed:
                source.emit("incomplete", "the text ends before the list of calls does", index)
                return
            source.emit("end", "", index)
            if mark == "]" and listed:
                source.drop(at + 1)
                return
            if mark == ",":
                at = yield from source.word(at + 1)
                if source.text.startswith("]", at):
                    source.drop(at + 1)
                    return
            elif listed:
                source.emit("fault", "a list of calls without its end", 0)
            name = yield from name_at(source, at)
            if not name or not (mark == "," or self.tools.offers(name)):
                return
            source.drop(at)


def _fence_stays(source: Source, at: int) -> Steps[bool]:
    """Whether no code fence closes behind ``at``."""
    while source.text.find("\n```", at) < 0:
        if source.ended:
            return not source.truncated
        at = max(at, len(source.text) - 3)
        yield from source.until("`")
    return False


def name_at(source: Source, at: int) -> Steps[str]:
    """The name in front of a round bracket at ``at``; empty when there is none."""
    while True:
        match = _NAME.match(source.text, at)
        rest = source.text[match.end() : match.end() + 9] if match else source.text[at:]
        found = rest.lstrip()
        if found or source.ended or len(rest) > 8:
            return match[0] if match and found.startswith("(") else ""
        yield


def past_name(source: Source, at: int) -> int:
    """Index behind the round bracket of a call whose name is known to be there."""
    return source.text.index("(", at) + 1


def keyword_at(source: Source, at: int) -> Steps[re.Match[str] | None]:
    """A parameter's name and its sign at ``at``; None for anything else."""
    while True:
        text = source.text
        match = _KEYWORD.match(text, at)
        if match and (match.end() < len(text) or source.ended):
            return match
        growing = match or _GROWING_KEYWORD.match(text, at)
        if not growing or source.ended or len(text) - at > _LONGEST:
            return None
        yield


def named_argument(source: Source, at: int, keys: Sequence[str]) -> Steps[bool]:
    """Whether what follows a call's bracket shows that it is one: a keyword, or its end.

    Where parameters are declared, a string, number or container may come first without a name.
    """
    at = yield from source.word(past_name(source, at))
    while source.text[at:] == "*" and not source.ended:
        yield
    if source.text.startswith((")", "**"), at):
        return True
    match = yield from keyword_at(source, at)
    if match:
        return True
    return bool(keys) and (source.text[at : at + 1] or "x") in "'\"[{-0123456789"


def past_call(source: Source, at: int, *, named: bool = True) -> Steps[int]:
    """Index behind a well-formed call at ``at``; -1 for none.

    Args:
        source: the text.
        at: index of the call's name, which is known to be one.
        named: whether every argument must have its name.
    """
    at = yield from source.word(past_name(source, at))
    while not source.text.startswith(")", at):
        while source.text[at:] == "*" and not source.ended:
            yield
        match = yield from keyword_at(source, at)
        if match:
            at = match.end()
        elif source.text.startswith("**", at):
            at += 2
        elif named:
            return -1
        at = yield from skip(source, at, dialect="python")
        if at < 0:
            return -1
        at = yield from source.word(at)
        if source.text.startswith(",", at):
            at = yield from source.word(at + 1)
        elif not source.text.startswith(")", at):
            return -1
    return at + 1


def read_call(source: Source, tools: ToolTable) -> Steps[int]:
    """Read a call from its name to behind its bracket; its end is not yet said.

    Returns:
        The call's index; -1 when it had to be given up.
    """
    match = _NAME.match(source.text)
    name = match[0] if match else ""
    index = source.calls
    source.calls += 1
    source.emit("call", name, index)
    source.drop(past_name(source, 0))
    call = _Arguments(source, index, tools.keys(name))
    reason = yield from call.read()
    if reason:
        source.emit("incomplete", reason, index)
        return -1
    return index


class _Arguments:
    """Reads the arguments of one call and its closing bracket."""

    def __init__(self, source: Source, index: int, keys: Sequence[str]) -> None:
        self.source = source
        self.index = index
        self.keys = keys
        self.used: set[str] = set()

    def read(self) -> Steps[str]:
        """Read up to the bracket; returns why the call is incomplete, empty when it is not."""
        source, place = self.source, 0
        while True:
            at = yield from source.word(0)
            source.drop(at)
            if source.text.startswith(")"):
                source.drop(1)
                source.emit("arguments", "}" if self.used else "{}", self.index)
                return ""
            if not source.text:
                return _ENDS_INSIDE
            reason = yield from self._one(place)
            if reason:
                return reason
            place += 1
            at = yield from source.word(0)
            if source.text.startswith(",", at):
                source.drop(at + 1)
            elif not source.text.startswith(")", at):
                return _NO_LITERAL if source.text[at:] else _ENDS_INSIDE

    def _one(self, place: int) -> Steps[str]:
        """Read one argument."""
        source = self.source
        while source.text == "*" and not source.ended:
            yield
        if source.text.startswith("**"):
            source.drop(2)
            return (yield from self._spread())
        match = yield from keyword_at(source, 0)
        if match:
            key = match[1]
            source.drop(match.end())
        elif place < len(self.keys):
            key = self.keys[place]
            source.emit("fault", "an argument without its name", 0)
        else:
            return "an argument without a name"
        if key in self.used:
            source.emit("fault", "a parameter twice", 0)
        self._open(key)
        source.emit("arguments", encode_basestring(key) + ": ", self.index)
        done = yield from value(source, self._piece, dialect="python", fault=self._fault)
        return "" if done else self._unread()

    def _spread(self) -> Steps[str]:
        """Read a dictionary of arguments whose keys are no names."""
        source, pieces = self.source, list[str]()
        done = yield from value(source, pieces.append, dialect="python", fault=self._fault)
        text = "".join(pieces)
        if not done or not text.startswith("{"):
            return self._unread()
        if text != "{}":
            self._open("**")
            source.emit("arguments", text[1:-1], self.index)
        return ""

    def _open(self, key: str) -> None:
        self.source.emit("arguments", ", " if self.used else "{", self.index)
        self.used.add(key)

    def _unread(self) -> str:
        return _ENDS_INSIDE if self.source.ended and not self.source.text else _NO_LITERAL

    def _piece(self, text: str) -> None:
        self.source.emit("arguments", text, self.index)

    def _fault(self, text: str) -> None:
        self.source.emit("fault", text, 0)


def _closing(source: Source, mark: str) -> Steps[None]:
    """Drop the token behind the list."""
    at = yield from source.word(0)
    while mark.startswith(source.text[at:]) and source.text[at:] != mark and not source.ended:
        yield
    if source.text.startswith(mark, at):
        source.drop(at + len(mark))
    else:
        source.emit("fault", "a list of calls without its closing token", 0)
