"""One raw value between tags: where it ends, and giving it out as it comes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import TYPE_CHECKING

from regreen.templates.guard import JOINER
from regreen.templates.source import Source, Steps

if TYPE_CHECKING:
    from regreen.templates.calls.tag_reader import TagReader
    from regreen.templates.schema import ParamType

__all__ = ["ValueReader"]

_UNDECIDED = 4_400
"""Characters after which a value that may still be of another type is not asked again."""
_FOREIGN = frozenset({"string", "array", "object"})


@dataclass(slots=True)
class _Chain:
    """Closing tags in a row and what comes behind them."""

    first: re.Match[str]
    kinds: str
    end: int
    follow: str
    """``end``, ``text``, or the kind of the tag that follows."""
    next: re.Match[str] | None = None


class ValueReader:
    """Reads one value from behind the opening tag of its parameter.

    Args:
        reader: the reader of the calls.
        source: its text begins with the value.
        name: the call's tool.
        key: the parameter.
        index: the call's index.
        kind: the parameter's type.
        used: parameters of the call so far, this one included.
    """

    def __init__(
        self,
        reader: TagReader,
        source: Source,
        *,
        name: str,
        key: str,
        index: int,
        kind: ParamType,
        used: set[str],
    ) -> None:
        self.reader = reader
        self.source = source
        self.name = name
        self.index = index
        self.kind = kind
        self.used = used
        self.key = key
        self.tokens = reader.syntax.tokens(reader.tools, name, key)
        self._open: list[str] = []  # tags that the value itself has opened
        self._whole: list[str] = []  # the value so far, when it is not given out as it comes
        self._lines = False
        self._line_start = True  # of the first character of ``source.text``
        self._row: tuple[str, int] | None = None  # closing tags in a row that are none of ours
        self._literal = False  # a joiner in front: text, whatever it looks like
        self._given = 0  # characters of the value that are no longer in the source
        self._opened_at = -1  # where the value's last opening tag of a parameter ends

    def read(self) -> Steps[bool]:
        """Read to the closing tag and give the value out.

        Returns:
            Whether the value had a closing tag of its own; the source begins behind it, or at
            the tag that closes more than the value.
        """
        source, search = self.source, self.tokens.pattern.search
        yield from self._begin()
        scan, loose = 0, self.reader.syntax.open_ended
        while True:
            tag = search(source.text, scan)
            if tag is None:
                if source.ended:
                    self._give(len(source.text))
                    return False
                scan = self._give(self.reader.keep(source.text, scan, self.tokens))
                yield
            elif loose and tag.end() == len(source.text) and not source.ended:
                scan = self._give(tag.start())
                yield
            elif tag.lastgroup == "G":
                self._give(tag.start() + 1, keep_newline=False)
                source.drop(1)
                self._given += 1
                scan = tag.end() - tag.start() - 2
            elif tag.lastgroup in {"W", "C", "P"}:
                if tag.lastgroup == "P" and (yield from self._lost_closer(tag)):
                    self._close(self._before_separator(tag.start()))
                    source.emit("fault", "a parameter without its closing tag", 0)
                    return True
                if self._starts_line(tag) and not self._foreign(tag):
                    self._open.append(tag.lastgroup)
                    self._opened_at = self._given + tag.end()
                scan = tag.end()
            elif (yield from self._real(tag)):
                own = tag.lastgroup == "p"
                behind = tag.end() - tag.start() if own else 0
                self._close(tag.start())
                source.drop(behind)
                return own
            else:
                scan = self._step_over(tag)

    # -- giving out -------------------------------------------------------------------------

    def _begin(self) -> Steps[None]:
        source = self.source
        while not source.text and not source.ended:
            yield
        if source.text.startswith(JOINER):
            source.drop(1)
            self._literal = True
        if self._streams:
            source.emit("arguments", '"', self.index)

    @property
    def _streams(self) -> bool:
        return self.kind.text or self._literal

    def _give(self, end: int, *, keep_newline: bool = True) -> int:
        """Give out the text before ``end``; returns how much of it stays in the source."""
        text = self.source.text
        if keep_newline and self.reader.syntax.framed[1] and end and text[end - 1] == "\n":
            end -= 1
        piece = text[:end]
        if piece:
            self._lines = self._lines or "\n" in piece
            shown = piece.rstrip(" \t")
            self._line_start = shown.endswith("\n") if shown else self._line_start
            if self._streams:
                self.source.emit("arguments", encode_basestring(piece)[1:-1], self.index)
            else:
                self._hold(piece)
            self.source.drop(end)
            self._given += end
        return 0

    def _hold(self, piece: str) -> None:
        """Keep a piece until the value's type is known: from then on, text is given out."""
        self._whole.append(piece)
        if self._given > _UNDECIDED:
            return
        head = "".join(self._whole)
        if not self.kind.undecided(head):
            self._literal = True
            self.source.emit("arguments", '"' + encode_basestring(head)[1:-1], self.index)

    def _close(self, end: int) -> None:
        framed = self.reader.syntax.framed[1]
        newline = framed and end > 0 and self.source.text[end - 1] == "\n"
        rest = end - (1 if newline else 0)
        self._give(rest, keep_newline=False)
        self.source.drop(end - rest)
        if self._streams:
            self.source.emit("arguments", '"', self.index)
        else:
            value = self.kind.value("".join(self._whole))
            self.source.emit("arguments", json.dumps(value, ensure_ascii=False), self.index)

    def _before_separator(self, end: int) -> int:
        """Index in front of the newline that stands between two parameters."""
        syntax = self.reader.syntax
        apart = syntax.param[1].endswith("\n") and not syntax.framed[1]
        return end - 1 if apart and self.source.text[:end].endswith("\n") else end

    # -- judging a tag ----------------------------------------------------------------------

    def _starts_line(self, tag: re.Match[str]) -> bool:
        if self.reader.syntax.flat:
            return True
        at, text = tag.start() - 1, self.source.text
        while at >= 0 and text[at] in " \t":
            at -= 1
        return text[at] == "\n" if at >= 0 else self._line_start

    def _foreign(self, tag: re.Match[str]) -> bool:
        """Whether an opening tag would be closed by another closing tag than ours."""
        template = self.reader.syntax.param[1]
        return tag.lastgroup == "P" and "{key}" in template and tag["key"] != self.key

    def _step_over(self, tag: re.Match[str]) -> int:
        """Take a closing tag for the value's, with those behind it that are judged alike.

        Returns:
            The index behind them.
        """
        kinds, end = self._row or (str(tag.lastgroup), tag.end())
        self._row = None
        for kind in kinds:
            self._pop(kind)
        return end

    def _pop(self, kind: str) -> None:
        opener = kind.upper()
        if opener in self._open:
            while self._open.pop() != opener:
                pass

    def _nested(self, kinds: str) -> bool:
        """Whether the value itself opened all that these tags close."""
        left = list(self._open)
        for kind in kinds.upper():
            if kind not in left:
                return False
            while left.pop() != kind:
                pass
        return True

    def _real(self, tag: re.Match[str]) -> Steps[bool]:
        """Whether a closing tag ends the value."""
        chain = yield from self._chain(tag)
        kinds, follow = chain.kinds, chain.follow
        self._drop_unfilled(tag)
        settled = self._settled(chain)
        if settled is not None:
            return settled
        if self._nested(kinds) or (kinds.startswith("pp") and "P" in self._open):
            lone = follow == "P" and set(self._open) == {"P"} and self._unused(chain.next)
            return lone and (yield from self._goes_on(chain))
        if kinds.startswith("pp") and self._last_of_many(tag):
            return False
        return follow == "end" or (yield from self._real_before(chain))

    def _settled(self, chain: _Chain) -> bool | None:
        """What needs no look at the tags that the value has opened; None when it does."""
        kinds, follow = chain.kinds, chain.follow
        if not self.kind.kinds & _FOREIGN and not self._literal:
            return kinds[0] == "p" or follow != "text"
        if follow in {"p", "c", "w"}:  # no order of closing tags, wherever in the row one looks
            self._row = kinds, chain.end
            return False
        ended = follow == "end" and self.source.truncated is False
        return True if ended and self._whole_chain(kinds) else None

    def _drop_unfilled(self, tag: re.Match[str]) -> None:
        """Forget an opening tag right in front: a parameter without a value has two newlines."""
        unfilled = self._given + tag.start() == self._opened_at + 1
        if unfilled and all(self.reader.syntax.framed) and self._open[-1:] == ["P"]:
            self._open.pop()

    def _last_of_many(self, tag: re.Match[str]) -> bool:
        """Whether the first of several closing tags of a parameter is the value's own text."""
        syntax = self.reader.syntax
        if all(syntax.framed) and not syntax.inline and not self._starts_line(tag):
            return True
        return syntax.named and self._seen_lines(tag)

    def _whole_chain(self, kinds: str) -> bool:
        """Whether these are all the closing tags that a call needs, each once."""
        syntax = self.reader.syntax
        needed = zip("pcw", (syntax.param[1], syntax.call[1], syntax.wrap[1]), strict=True)
        return kinds == "".join(kind for kind, tag in needed if tag)

    def _real_before(self, chain: _Chain) -> Steps[bool]:
        """Whether a closing tag ends the value, judged by what comes behind it."""
        kinds, follow = chain.kinds, chain.follow
        own = set(kinds) == {"p"}
        if follow in {"W", "C"} and (yield from self._offered(chain.next)):
            return kinds[0] == "p" or len(set(kinds)) > 1 or not self.reader.syntax.wrap[1]
        if follow == "P":
            return own and (yield from self._fits(chain))
        if own or not self._enough(chain):
            return False
        if kinds[0] != "p" and not self._starts_line(chain.first):
            return False
        return (yield from self._text_behind(chain.end))

    def _enough(self, chain: _Chain) -> bool:
        """Whether at most one of the closing tags that a call needs is missing."""
        kinds = chain.kinds
        if not self.reader.syntax.call[1]:
            return len(set(kinds)) > 1
        needed = 3 if self.reader.syntax.wrap[1] and not self.reader.syntax.grouped else 2
        if len(set(kinds)) > 1:
            return True
        return needed == 2 and self._seen_lines(chain.first)

    def _fits(self, chain: _Chain) -> Steps[bool]:
        """Whether an opening tag behind our closing tag can be the next parameter."""
        tag = chain.next
        if tag is None or "P" in self._open:
            return False
        if self._unused(tag):
            return True
        again = self.reader.key_of(self.name, tag) in self.used
        if self._open or (again and self._seen_lines(chain.first)):
            return False
        fits = yield from self._goes_on(chain)
        if fits and again:
            self.source.emit("fault", "a parameter twice", 0)
        return fits

    def _unused(self, tag: re.Match[str] | None) -> bool:
        """Whether an opening tag is of a declared parameter that the call does not have yet."""
        if tag is None:
            return False
        key, keys = self.reader.key_of(self.name, tag), self.reader.tools.keys(self.name)
        return key not in self.used and (not keys or key in keys)

    def _goes_on(self, chain: _Chain) -> Steps[bool]:
        """Whether the parameters that follow go on to the end of the call.

        Asked where the value has opened a parameter, but no call around it: were the closing tag
        that one's, ours would still have to come before the call is closed.
        """
        at = chain.next.end() if chain.next else chain.end
        while True:
            found = yield from self._next_closer(at)
            if found is None:
                return False
            inner = yield from self._chain(found)
            if set(inner.kinds) != {"p"}:
                return True
            if inner.next is None or inner.follow != "P":
                return False
            at = inner.next.end()

    def _next_closer(self, at: int) -> Steps[re.Match[str] | None]:
        """The next tag that closes a parameter or a call; None when none comes."""
        while True:
            found = self.reader.find(self.source, at, self.tokens)
            if found is not None and found.lastgroup in {"p", "c"}:
                return found
            if found is not None:
                at = found.end()
            elif self.source.ended:
                return None
            else:
                at = self.reader.keep(self.source.text, at, self.tokens)
                yield from self.source.until(self.tokens.chars)

    def _seen_lines(self, tag: re.Match[str]) -> bool:
        """Whether the value has several lines."""
        if self._lines:
            return True
        newline = self.source.text.find("\n", 0, tag.start())
        return newline >= 0 and not (self._framed and newline == tag.start() - 1)

    @property
    def _framed(self) -> bool:
        return self.reader.syntax.framed[1]

    def _chain(self, tag: re.Match[str]) -> Steps[_Chain]:
        source, order = self.source, "pcw"
        kinds, end = str(tag.lastgroup), tag.end()
        while True:
            place = yield from source.word(end)
            while place < len(source.text) and not source.ended and source.ending(place):
                yield
            if place >= len(source.text):
                return _Chain(tag, kinds, end, "end")
            found = yield from self.reader.token(source, place, self.tokens)
            if found is None:
                return _Chain(tag, kinds, end, "text")
            kind = str(found.lastgroup)
            if kind not in order or order.index(kind) < order.index(kinds[-1]):
                return _Chain(tag, kinds, end, kind, found)
            kinds, end = kinds + kind, found.end()

    def _offered(self, tag: re.Match[str] | None) -> Steps[bool]:
        """Whether an opening tag begins a call of a tool that is offered."""
        if tag is not None and tag.lastgroup == "W":
            place = yield from self.source.word(tag.end())
            tag = yield from self.reader.token(self.source, place, self.tokens)
        if tag is None or tag.lastgroup != "C":
            return False
        return self.reader.tools.offers(tag["name"].strip())

    def _lost_closer(self, tag: re.Match[str]) -> Steps[bool]:
        """Whether a parameter that opens inside the value shows that our closing tag is missing."""
        keys = self.reader.tools.keys(self.name)
        key = self.reader.key_of(self.name, tag)
        if self._open or key in self.used or key not in keys or not self._starts_line(tag):
            return False
        found = yield from self._next_closer(tag.end())
        if found is None:
            return True
        chain = yield from self._chain(found)
        return chain.kinds != "p" * len(chain.kinds) or chain.follow in {"P", "end"}

    def _text_behind(self, at: int) -> Steps[bool]:
        """Whether text behind a whole chain of closing tags is the message's, not the value's.

        It is the value's when another chain comes that nothing in between has opened, and may be
        when the text was cut.
        """
        opened: list[str] = []
        while True:
            found = self.reader.find(self.source, at, self.tokens)
            if found is None:
                keep = self.reader.keep(self.source.text, at, self.tokens)
                if self.source.ended:
                    return self._message_goes_on(keep)
                at = keep
                yield from self.source.until(self.tokens.chars)
                continue
            at, kind = found.end(), str(found.lastgroup)
            if kind in {"W", "C"} and self._starts_line(found):
                if (yield from self._offered(found)):
                    return True
                opened.append(kind)
            elif kind == "P":
                opened.append(kind)
            elif kind.upper() in opened:
                opened.remove(kind.upper())
            elif self._starts_line(found):
                return False

    def _message_goes_on(self, keep: int) -> bool:
        """Whether text up to the end, behind a whole chain, is the message's."""
        if self.source.truncated is None:
            whole = keep == len(self.source.text)  # else the text ends in half a tag
            return whole and self.reader.satisfied(self.name, self.used)
        return not self.source.truncated
