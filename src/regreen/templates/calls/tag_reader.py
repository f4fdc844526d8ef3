"""Reading calls written as tags around raw values.

Raw values have no escapes, so whether a tag inside a value is real can only be judged by what
surrounds it. The rules stand in docs/decisions/0004-tool-formats.md; in short: a closing tag is
real when the tags that must follow it do, unless the value opened all that it closes; text held in
doubt is given out as soon as the doubt is gone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from json.encoder import encode_basestring

from regreen.templates.calls.tag_spec import TagSpec, Tokens
from regreen.templates.calls.tag_value import ValueReader
from regreen.templates.schema import TEXT, ParamType
from regreen.templates.source import Source, Steps, hold
from regreen.templates.tools import ToolTable

__all__ = ["TagReader"]

_LONGEST = 256


@dataclass(slots=True)
class _Call:
    name: str
    index: int
    keys: set[str] = field(default_factory=set)
    whole: bool = True
    """Whether the last value had its own closing tag."""


class TagReader:
    """Reads the calls of one completion; see ``CallReader``.

    Args:
        syntax: the tags.
        tools: the tools offered.
    """

    def __init__(self, syntax: TagSpec, tools: ToolTable) -> None:
        self.syntax = syntax
        self.tools = tools
        self._outside = syntax.tokens(tools)
        self._closers = "c" if syntax.call[1] else "w"
        self.opener, self.stems = syntax.opener(tools)
        self._unclosed_behind = -1  # characters at the end that no call of any name is closed in

    # -- finding a call ---------------------------------------------------------------------

    def read(self, source: Source, at: int, *, sure: bool) -> Steps[bool]:
        """Read the calls that begin at ``at``; see ``CallReader``."""
        found = yield from self._begin(source, at, sure)
        if found is None:
            return False
        name, end, wrapped = found
        if not wrapped and self.syntax.wrap[0]:
            source.emit("fault", "a call without its opening wrapper", 0)
        source.drop(end)
        again = yield from self._call(source, name, wrapped)
        while again is not None:
            source.drop(again.end())
            again = yield from self._call(source, again["name"], wrapped)
        return True

    def _begin(self, source: Source, at: int, sure: bool) -> Steps[tuple[str, int, bool] | None]:
        opening = self.syntax.wrap[0].strip()
        sure = sure or not self.syntax.lead
        if not sure and not (opening and source.text.startswith(opening, at)):
            return None
        match = yield from self.token(source, at, self._outside)
        wrapped = match is not None and match.lastgroup == "W"
        if match is not None and wrapped:
            place = yield from source.word(match.end())
            match = yield from self.token(source, place, self._outside)
        if match is None or match.lastgroup != "C":
            return None
        name, end = match["name"].strip(), match.end()
        place = yield from source.word(end)
        inner = self.syntax.tokens(self.tools, name)
        behind = yield from self.token(source, place, inner)
        known = self.tools.offers(name) and (bool(self.tools.tools) or not self.syntax.named)
        if place == len(source.text):
            return (name, end, wrapped) if known else None
        if behind is None or behind.lastgroup not in {"P", *self._closers}:
            return None
        if not known and not (yield from self._closed(source, end, inner)):
            return None
        return name, end, wrapped

    def _closed(self, source: Source, at: int, tokens: Tokens) -> Steps[bool]:
        """Whether a call of an unknown tool is ever closed; until then it may be an example."""
        left = len(source.text) - at
        if source.ended and left <= self._unclosed_behind:
            return False
        while True:
            match = self.find(source, at, tokens)
            if match is not None:
                if str(match.lastgroup) in self._closers:
                    return True
                at = match.end()
                continue
            if source.ended:
                if not self.syntax.named:
                    self._unclosed_behind = max(left, self._unclosed_behind)
                return False
            at = self.keep(source.text, at, tokens)
            yield from source.until(tokens.chars)

    def token(self, source: Source, at: int, tokens: Tokens) -> Steps[re.Match[str] | None]:
        """The tag at ``at``, waiting while it may still be growing."""
        while True:
            match = tokens.pattern.match(source.text, at)
            if match is None and source.ended and self._stopped(source, at):
                source.text = source.text[:at] + self.syntax.call[1]
                continue
            if match is not None and not self._unsure(source, match):
                return match
            if match is None and (source.ended or not _growing(source.text, at, tokens)):
                return None
            yield

    def find(self, source: Source, at: int, tokens: Tokens) -> re.Match[str] | None:
        """The next tag from ``at`` on that is certainly one."""
        match = tokens.pattern.search(source.text, at)
        return None if match is not None and self._unsure(source, match) else match

    def _unsure(self, source: Source, match: re.Match[str]) -> bool:
        if not self.syntax.open_ended or source.ended:
            return False
        return match.end() == len(source.text)

    def _stopped(self, source: Source, at: int) -> bool:
        """Whether the text ends with a stop word that a closing tag begins with."""
        stop = self.syntax.stop
        return bool(stop) and not source.truncated and source.text[at:].strip() == stop

    def keep(self, text: str, start: int, tokens: Tokens) -> int:
        """Up to where ``text`` cannot become part of a tag any more."""
        if not any(char in text for char in tokens.chars):
            return len(text)
        keep = hold(text, start, tokens.stems)
        low = max(start, len(text) - _LONGEST)
        for stem in tokens.open_stems:
            at = text.find(stem, low)
            while 0 <= at < keep:
                if _growing(text, at, tokens):
                    return at
                at = text.find(stem, at + 1)
        return keep

    # -- one call ---------------------------------------------------------------------------

    def _call(self, source: Source, name: str, wrapped: bool) -> Steps[re.Match[str] | None]:
        """Read a call from behind its opening tag.

        Returns:
            The opening tag of the next call of the same wrapper, not yet dropped.
        """
        call = _Call(name, source.calls)
        source.calls += 1
        source.emit("call", name, call.index)
        tokens = self.syntax.tokens(self.tools, name)
        while True:
            place = yield from source.word(0)
            tag = yield from self.token(source, place, tokens)
            if place == len(source.text):
                self._ended(source, call, wrapped)
                return None
            if tag is None:
                yield from self._stray_text(source, place, tokens)
            elif tag.lastgroup == "P":
                source.drop(tag.end())
                yield from self._param(source, call, tag)
            elif tag.lastgroup == "p":
                source.drop(tag.end())
                source.emit("fault", "a closing tag without a parameter", 0)
            elif tag.lastgroup == self._closers:
                if tag.lastgroup == "c":
                    source.drop(tag.end())
                return (yield from self._finish(source, call, wrapped, tokens))
            else:
                return (yield from self._unclosed(source, call, tag))

    def _ended(self, source: Source, call: _Call, wrapped: bool) -> None:
        """The text ends behind a parameter: one closing tag is missing, or the text was cut."""
        syntax = self.syntax
        required = self.tools.required(call.name)
        unmarked = syntax.stop or not syntax.call[1]  # the format has texts that end like this
        alone = source.truncated is False and not syntax.wrap[1]
        told = source.truncated is False or (source.truncated is None and bool(required))
        if call.whole and ((unmarked and told) or alone):
            if wrapped or not unmarked:
                source.emit("fault", "a call without its last closing tag", 0)
            self._complete(source, call, mended=True)
        else:
            self._give_up(source, call, "the text ends inside the call")

    def _stray_text(self, source: Source, at: int, tokens: Tokens) -> Steps[None]:
        source.emit("fault", "text between the parameters of a call", 0)
        while True:
            match = self.find(source, at, tokens)
            if match is not None or source.ended:
                source.drop(match.start() if match else len(source.text))
                return
            at = self.keep(source.text, at, tokens)
            yield

    def _finish(
        self, source: Source, call: _Call, wrapped: bool, tokens: Tokens
    ) -> Steps[re.Match[str] | None]:
        """Behind the closing tag of a call: its wrapper, or the next call of the wrapper."""
        closing = bool(self.syntax.wrap[1])
        closed = not closing
        while True:
            place = yield from source.word(0)
            tag = yield from self.token(source, place, tokens)
            kind = tag.lastgroup if tag else ""
            if tag is not None and kind == "C" and self.syntax.grouped:
                self._complete(source, call)
                return tag
            if tag is None or kind not in {"c", "w"} or (kind == "w" and not closing):
                break
            if kind == "c" or closed:
                source.emit("fault", "a closing tag twice", 0)
            closed = closed or kind == "w"
            source.drop(tag.end())
        cut = source.truncated and place == len(source.text)
        if (call.whole or (closed and closing)) and not cut:
            if not closed and wrapped:
                source.emit("fault", "a call without its closing wrapper", 0)
            self._complete(source, call, mended=not call.whole or (wrapped and not closed))
        else:
            self._give_up(source, call, "the text ends where the call does" if cut else _TAGS)
        return None

    def _unclosed(
        self, source: Source, call: _Call, tag: re.Match[str]
    ) -> Steps[re.Match[str] | None]:
        """A wrapper's end, or another call, in place of the call's closing tag."""
        cut = False
        if tag.lastgroup == "w":
            source.drop(tag.end())
            place = yield from source.word(0)
            cut = bool(source.truncated) and place == len(source.text)
        if not call.whole or cut:
            self._give_up(source, call, "the text ends where the call does" if cut else _TAGS)
        else:
            source.emit("fault", "a call without its closing tag", 0)
            self._complete(source, call, mended=True)
        return tag if tag.lastgroup == "C" and self.syntax.grouped else None

    def satisfied(self, name: str, keys: set[str]) -> bool:
        """Whether a call has every argument that its tool requires."""
        return self.tools.required(name) <= keys

    def _complete(self, source: Source, call: _Call, *, mended: bool = False) -> None:
        """End a call; one that was mended and lacks arguments may well have lost them."""
        if mended and not self.satisfied(call.name, call.keys):
            self._give_up(source, call, "a closing tag and required arguments are missing")
            return
        source.emit("arguments", "}" if call.keys else "{}", call.index)
        source.emit("end", "", call.index)

    def _give_up(self, source: Source, call: _Call, reason: str) -> None:
        source.emit("incomplete", reason, call.index)

    def key_of(self, name: str, tag: re.Match[str]) -> str:
        """The parameter that a tag opens; white space counts only where it is declared."""
        key = tag["key"]
        return key if key in self.tools.keys(name) else key.strip()

    # -- one value --------------------------------------------------------------------------

    def _param(self, source: Source, call: _Call, tag: re.Match[str]) -> Steps[None]:
        key = self.key_of(call.name, tag)
        kind = self.tools.type_of(call.name, key)
        if "{string}" in self.syntax.param[0]:
            kind = TEXT if tag["string"] != "false" else _JSON
        source.emit("arguments", ", " if call.keys else "{", call.index)
        call.keys.add(key)
        source.emit("arguments", encode_basestring(key) + ": ", call.index)
        if self.syntax.framed[0]:
            while not source.text and not source.ended:
                yield
            if source.text.startswith("\n"):
                source.drop(1)
        value = ValueReader(
            self, source, name=call.name, key=key, index=call.index, kind=kind, used=call.keys
        )
        call.whole = yield from value.read()
        if not call.whole and source.text and self.syntax.call[1]:
            source.emit("fault", "a parameter without its closing tag", 0)


_TAGS = "two closing tags of the call are missing"
_JSON = ParamType(frozenset({"object", "array", "integer", "number", "boolean", "null"}))


def _growing(text: str, at: int, tokens: Tokens) -> bool:
    """Whether the text from ``at`` to its end may become a tag."""
    rest = text[at : at + _LONGEST]
    if len(rest) == _LONGEST:
        return False
    for stem in tokens.stems:
        if stem.startswith(rest):
            return True
    if not any(rest.startswith(stem) for stem in tokens.open_stems):
        return False
    return bool(tokens.growing.fullmatch(rest))
