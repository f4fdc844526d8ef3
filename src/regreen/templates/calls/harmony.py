"""Harmony, gpt-oss's messages: reasoning, text and calls are channels of one kind of message.

A turn is a row of messages ``<|start|>assistant<|channel|>NAME to=RECIPIENT<|message|>BODY`` with a
mark behind each. The recipient may stand before the channel or behind it, and what says that the
body is JSON may be missing. JSON says itself where it ends, so marks inside a string are text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from regreen.templates.calls.literals import unwrapped, value
from regreen.templates.grammar.parts import CallGrammar
from regreen.templates.grammar.tokens import harmony_calls
from regreen.templates.guard import JOINER, guard, guarded
from regreen.templates.message import ToolCall
from regreen.templates.parser import StreamParser
from regreen.templates.source import Source, Steps, hold
from regreen.templates.write import Piece

if TYPE_CHECKING:
    from regreen.templates.conversation import Message
    from regreen.templates.tools import ToolTable

__all__ = ["MARKS", "HarmonyChannels", "HarmonyParser", "HarmonySyntax"]

MARKS = (
    *("<|start|>", "<|channel|>", "<|message|>", "<|constrain|>"),
    *("<|end|>", "<|call|>", "<|return|>"),
)
"""Every mark of the format; each is one token of gpt-oss's vocabulary."""

_ENDS = ("<|end|>", "<|call|>", "<|return|>")
_STOP = re.compile(r"<\|(?:end|call|return|start|channel)\|>|(?P<G>" + guarded(MARKS) + ")")
_GROWING = re.compile(rf"<{JOINER}+\|?[a-z]*\|?\Z")
_RECIPIENT = re.compile(r"\bto=([^\s<]+)")
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w*)")
_ROLE = re.compile(r"<\|start\|>\s*(\w*)")
_OPENINGS = ("<|start|>", "<|channel|>", "<|message|>", "to=")
_LONGEST = 400  # of a header
_NEXT = "<|start|>assistant"
_FUNCTIONS = "functions."


class _Marks:
    """Where a message may begin; the parser reads it."""

    opener: re.Pattern[str] = re.compile(r"<\|(?:start|channel)\|>|(?P<G>" + guarded(MARKS) + ")")
    stems: tuple[str, ...] = (*MARKS, "<" + JOINER)

    def read(self, source: Source, at: int, *, sure: bool) -> Steps[bool]:
        """No call by itself: what a mark means depends on its message."""
        return False
        yield


@dataclass(frozen=True)
class HarmonySyntax:
    """Calls as messages to a recipient; see ``CallSyntax``."""

    lead: str = ""
    """Nothing: a message of its own holds the text."""
    stems: tuple[str, ...] = MARKS
    """Every mark."""

    def write(self, calls: Sequence[ToolCall], tools: ToolTable, *, guarded: bool = False) -> str:
        """The calls as the model writes them, up to the last one's mark; see ``CallSyntax``."""
        return f"<|call|>{_NEXT}".join(_written(call, guarded) for call in calls)

    def reader(self, tools: ToolTable) -> _Marks:
        """Finds messages; ``HarmonyParser`` reads them."""
        return _Marks()

    def structure(self, tools: ToolTable) -> CallGrammar:
        """The grammar; see ``CallSyntax``."""
        return harmony_calls(MARKS, tools)


def _written(call: ToolCall, guarding: bool) -> str:
    body = json.dumps(call.arguments, ensure_ascii=False)
    if guarding:  # an escape instead: in JSON there is one
        body = body.replace("<|", "\\u003c|")
    return f"<|channel|>commentary to={_FUNCTIONS}{call.name} <|constrain|>json<|message|>{body}"


class HarmonyChannels:
    """Whole messages of harmony; see ``Channels``."""

    def write(
        self, message: Message, tools: ToolTable, index: int, *, guarded: bool
    ) -> list[Piece]:
        """A message, without its opening and without the mark that ends it."""
        out = []
        content, reasoning = message.content, message.reasoning
        if guarded:
            content, reasoning = guard(content, MARKS), guard(reasoning, MARKS)
        if reasoning:
            text = f"<|channel|>analysis<|message|>{reasoning}<|end|>{_NEXT}"
            out.append(Piece(text, "assistant", "reasoning", index, True))
        if message.calls:
            if content:
                text = f"<|channel|>commentary<|message|>{content}<|end|>{_NEXT}"
                out.append(Piece(text, "assistant", "text", index, True))
            calls = HarmonySyntax().write(message.calls, tools, guarded=guarded)
            out.append(Piece(calls, "assistant", "calls", index, True))
        else:
            text = f"<|channel|>final<|message|>{content}"
            out.append(Piece(text, "assistant", "text", index, True))
        return out

    def parser(self, tools: ToolTable, *, in_reasoning: bool) -> HarmonyParser:
        """A parser of one completion."""
        return HarmonyParser(in_reasoning=in_reasoning)


class HarmonyParser(StreamParser):
    """Reads one completion, from behind ``<|start|>assistant``; see ``StreamParser``.

    Args:
        in_reasoning: whether the prompt has opened the channel of reasoning.
    """

    def __init__(self, *, in_reasoning: bool = False) -> None:
        self._opened = in_reasoning
        self._said: set[str] = set()
        super().__init__(_Marks(), lead="", stops=())

    def _message(self) -> Steps[None]:
        if self._opened:
            yield from self._body("reasoning")
        while True:
            header = yield from self._header()
            if header is None:
                return
            yield from self._one(header)

    def _one(self, header: str) -> Steps[None]:
        """One message, from behind its header."""
        role, channel = _ROLE.search(header), _CHANNEL.search(header)
        recipient = _RECIPIENT.search(header)
        if role is not None and role[1] not in {"assistant", ""}:
            self._source.emit("fault", "a message of another role", 0)
            yield from self._body("")
        elif recipient is not None and recipient[1] not in {"assistant", "user", "all"}:
            yield from self._call_of(recipient[1].removeprefix(_FUNCTIONS))
        elif channel is not None and channel[1] == "analysis":
            yield from self._body("reasoning")
        else:
            if channel is None or channel[1] not in {"commentary", "final"}:
                self._source.emit("fault", "a message without a channel", 0)
            yield from self._body("content")

    # -- headers ----------------------------------------------------------------------------

    def _header(self) -> Steps[str | None]:
        """The header of the next message, dropped; empty for bare text, None at the end."""
        source = self._source
        while True:
            at = yield from source.word(0)
            if at == len(source.text):
                return None
            rest = source.text[at : at + _LONGEST]
            ended = next((mark for mark in _ENDS if rest.startswith(mark)), None)
            if ended:
                source.drop(at + len(ended))
            elif rest.startswith(_OPENINGS):
                break
            elif source.ended or not any(o.startswith(rest) for o in (*_OPENINGS, *_ENDS)):
                return ""
            else:
                yield
        while True:
            found = source.text.find("<|message|>", at, at + _LONGEST)
            if found >= 0:
                header = source.text[at:found]
                source.drop(found + len("<|message|>"))
                return header
            if source.ended or len(source.text) > at + _LONGEST:
                return self._broken(at)
            yield

    def _broken(self, at: int) -> str | None:
        """What begins like a header and is none: text, or nothing when the text ends in it."""
        source = self._source
        if len(source.text) > at + _LONGEST:
            stop = _STOP.search(source.text, at + 1)
            source.emit("fault", "a header that does not end", 0)
            source.emit("content", source.text[at : stop.start() if stop else at + 1])
            source.drop(stop.start() if stop else at + 1)
            return ""
        source.drop(len(source.text))
        return None

    # -- bodies -----------------------------------------------------------------------------

    def _body(self, kind: str) -> Steps[None]:
        """Give out text up to the mark that ends it."""
        source, first, scan = self._source, True, 0
        while True:
            found = _STOP.search(source.text, scan)
            guard_found = found is not None and found.lastgroup == "G"
            if found is not None:
                end = found.start() + 1 if guard_found else found.start()
            else:
                end = len(source.text) if source.ended else self._certain(source.text)
            if end and first:
                self._separate(kind)
                first = False
            if kind in {"content", "reasoning"}:
                source.emit("content" if kind == "content" else "reasoning", source.text[:end])
            if guard_found and found is not None:
                source.drop(end + 1)
                scan = found.end() - end - 1
                continue
            source.drop(end)
            if found is not None:
                source.drop(len(found[0]) if found[0] in _ENDS else 0)
                return
            if source.ended:
                return
            scan = 0
            yield

    def _separate(self, kind: str) -> None:
        """Keep texts of several messages apart."""
        if kind in self._said and kind:
            self._source.emit("content" if kind == "content" else "reasoning", "\n\n")
        self._said.add(kind)

    def _certain(self, text: str) -> int:
        keep = hold(text, 0, MARKS)
        growing = _GROWING.search(text) if JOINER in text else None
        return min(keep, growing.start()) if growing else keep

    def _call_of(self, name: str) -> Steps[None]:
        """A call: its arguments stream from the moment they are seen to be an object."""
        source = self._source
        index = source.calls
        source.calls += 1
        source.emit("call", name, index)
        at = yield from source.word(0)
        while not source.ended and any(e.startswith(source.text[at : at + 10]) for e in _ENDS):
            if source.text.startswith(_ENDS, at):
                break
            yield
        done, empty = False, source.text.startswith(_ENDS, at) or at == len(source.text)
        if source.text.startswith("{", at):
            give = partial(source.emit, "arguments", index=index)
            done = yield from value(source, give, fault=partial(source.emit, "fault", index=0))
        elif source.text.startswith('"', at):
            done = yield from self._encoded(index)
        elif empty and not (source.ended and source.truncated):
            source.emit("fault", "a call without arguments", 0)
            source.emit("arguments", "{}", index)
            done = True
        closed = yield from self._behind(done)
        if not done:
            source.emit("incomplete", "the arguments are no complete JSON object", index)
        elif not closed and source.truncated:
            source.emit("incomplete", "the text ends where the call does", index)
        else:
            source.emit("end", "", index)

    def _encoded(self, index: int) -> Steps[bool]:
        """Arguments that are a string of JSON."""
        source, pieces = self._source, list[str]()
        done = yield from value(source, pieces.append)
        inner = unwrapped("".join(pieces)) if done else None
        source.emit("arguments", inner or "".join(pieces), index)
        if inner:
            source.emit("fault", "arguments that are JSON inside a string", 0)
        return inner is not None

    def _behind(self, done: bool) -> Steps[bool]:
        """Drop what stands behind arguments; whether the call's mark was seen."""
        source = self._source
        while True:
            found = _STOP.search(source.text)
            end = found.start() if found else len(source.text)
            if done and source.text[:end].strip() and (found or source.ended):
                source.emit("fault", "text behind the arguments of a call", 0)
            if found is not None and found.lastgroup != "G":
                source.drop(found.end() if found[0] in _ENDS else end)
                return True
            if found is not None:
                source.drop(found.end())
            elif source.ended:
                source.drop(len(source.text))
                return False
            else:
                yield from source.until(">")
