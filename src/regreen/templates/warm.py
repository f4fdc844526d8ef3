"""Conversations rendered before, so that one that has grown costs its growth.

A server renders the same conversation with every request, one turn longer each time. What was
rendered is found by comparing the messages themselves, not by a key or an identity, so a changed
message is never taken for the old one.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from regreen.templates.conversation import Message, normalise, numbered
from regreen.templates.tools import ToolTable
from regreen.templates.write import Piece, turns

if TYPE_CHECKING:
    from regreen.templates.format import ToolFormat

__all__ = ["Warm"]

_KEPT = 8


@dataclass(frozen=True, slots=True)
class _Rendered:
    """A conversation and its text, without a generation prompt."""

    messages: list[Any]
    """A copy of the messages as they came."""
    numbers: dict[int, bytes]
    """Messages with numbers in them, marshalled: ``1 == True == 1.0``, but not as text."""
    tools: ToolTable
    rows: list[Message]
    text: str
    starts: dict[int, int]
    """Where the turn of a message begins in the text; results have none, they share turns."""


class Warm:
    """The last conversations of one format.

    Args:
        form: the format.
    """

    def __init__(self, form: ToolFormat) -> None:
        self._form = form
        self._kept: list[_Rendered] = []

    def render(
        self, messages: Sequence[Mapping[str, Any]], tools: ToolTable, *, generation: bool
    ) -> str:
        """The conversation's text; see ``ToolFormat.render``."""
        given = list(messages)
        found = self._whole(given, tools)
        if found is None:
            found = self._render(given, tools)
        if not generation:
            return found.text
        return found.text + "".join(
            piece.text for piece in self._pieces(found.rows, tools, len(given), generation=True)
        )

    def _whole(self, given: list[Any], tools: ToolTable) -> _Rendered | None:
        """The same conversation, when it was rendered before."""
        for each in self._kept:
            if each.tools is tools and each.messages == given and _same_numbers(each, given):
                return each
        return None

    def _longest(self, given: list[Any], tools: ToolTable) -> tuple[_Rendered | None, int]:
        """The conversation that begins most like this one, and up to which turn we can use it."""
        best, most = None, 0
        for each in self._kept:
            if each.tools is not tools:
                continue
            count = len(each.messages)
            if each.messages == given[:count] and _same_numbers(each, given):
                common = count
            else:
                common = _common(each, given)
            while common and common not in each.starts and not _ends(each, given, common):
                common -= 1
            if common > most:
                best, most = each, common
        return best, most

    def _render(self, given: list[Any], tools: ToolTable) -> _Rendered:
        known, done = self._longest(given, tools)
        if known is None:
            text, rows, starts = "", normalise(given), {}
        else:
            text = known.text[: known.starts.get(done)]
            rows = normalise(given, known.rows[:done])
            starts = {index: at for index, at in known.starts.items() if index < done}
        pieces = self._pieces(rows, tools, done) if done < len(given) or not given else []
        at = len(text)
        for piece in pieces:
            if 0 <= piece.message < len(rows) and rows[piece.message].role != "tool":
                starts.setdefault(piece.message, at)
            at += len(piece.text)
        text += "".join([piece.text for piece in pieces])
        found = _Rendered(given, {}, tools, rows, text, starts)
        return self._keep(found, known, done) if pieces and given else found

    def _pieces(
        self, rows: Sequence[Message], tools: ToolTable, begin: int, *, generation: bool = False
    ) -> list[Piece]:
        return turns(self._form, numbered(rows, self._form.call_id), tools, generation, begin)

    def _keep(self, found: _Rendered, known: _Rendered | None, done: int) -> _Rendered:
        """Remember a rendering; it takes the place of the one it continues, or of the oldest."""
        try:
            copies = [_copy(message) for message in found.messages[done:]]
        except TypeError:
            return found  # not plain JSON data: nothing to compare with later
        numbers = {
            index: marshal.dumps(message, 2)
            for index, message in enumerate(copies, done)
            if _has_number(message)
        }
        if known is not None:
            copies = known.messages[:done] + copies
            numbers |= {index: form for index, form in known.numbers.items() if index < done}
        kept = replace(found, messages=copies, numbers=numbers)
        grown = known is not None and done == len(known.messages)
        rest = [each for each in self._kept if not (grown and each is known)]
        self._kept = [kept, *rest][:_KEPT]
        return kept


def _common(kept: _Rendered, given: list[Any]) -> int:
    """How many messages are the same from the first on."""
    for index, (ours, theirs) in enumerate(zip(kept.messages, given, strict=False)):
        if ours != theirs or not _same_number(kept, index, theirs):
            return index
    return min(len(kept.messages), len(given))


def _ends(kept: _Rendered, given: list[Any], common: int) -> bool:
    """Whether the kept conversation ends there and what comes begins a turn of its own."""
    if common != len(kept.messages):
        return False
    return (
        common == len(given) or kept.rows[-1].role != "tool" or given[common].get("role") != "tool"
    )


def _same_number(kept: _Rendered, index: int, message: Any) -> bool:
    return index not in kept.numbers or marshal.dumps(message, 2) == kept.numbers[index]


def _same_numbers(kept: _Rendered, given: list[Any]) -> bool:
    return all(_same_number(kept, index, given[index]) for index in kept.numbers)


def _copy(value: Any) -> Any:
    """A copy of JSON data.

    Raises:
        TypeError: something else.
    """
    if isinstance(value, str) or value is None:
        return value
    if type(value) is dict:
        return {key: _copy(each) for key, each in value.items()}
    if type(value) is list:
        return [_copy(each) for each in value]
    if type(value) in {bool, int, float}:
        return value
    raise TypeError


def _has_number(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_number(each) for each in value.values())
    if isinstance(value, list):
        return any(_has_number(each) for each in value)
    return not isinstance(value, str) and value is not None
