"""A conversation that grows by sampling: sampled ids stay as they are, only new turns are encoded.

Text that is decoded and encoded again need not give the ids that were sampled, so nothing a model
sampled is ever encoded. What comes between two samples (the rest of the closed turn, results, new
messages, the next opening) is encoded when the next prompt is asked for, in one go, so results may
arrive one by one and still share a turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from regreen.core.errors import UsageError
from regreen.templates.conversation import Message, normalise, numbered
from regreen.templates.format import Tools
from regreen.templates.message import ParsedMessage
from regreen.templates.tokens.renderer import Renderer
from regreen.templates.tools import tool_table
from regreen.templates.write import Piece, write

if TYPE_CHECKING:
    from regreen.core.trajectory import Turn

__all__ = ["Dialogue", "Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a model sampled in one turn."""

    message: int
    """Index of the assistant's message."""
    prompt_len: int
    """Tokens in front of it."""
    ids: tuple[int, ...]
    """The sampled ids, the end mark included if it was sampled."""
    finish_reason: str = ""
    """As the engine said."""
    logprobs: tuple[float, ...] | None = None
    """Log-probability of each id under the policy that sampled it."""


class Dialogue:
    """One rollout's conversation.

    The prompt of every turn begins with the prompt of the turn before and the ids sampled in it.

    Args:
        renderer: the format and the vocabulary.
        tools: the tools offered, in OpenAI shape.
        messages: the conversation so far, in OpenAI shape; its assistant's messages were not
            sampled here and are not trained on.
    """

    def __init__(
        self, renderer: Renderer, tools: Tools = None, messages: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self.renderer = renderer
        self.tools = tool_table(tools)
        self.messages: list[dict[str, Any]] = []
        """All messages in OpenAI shape, those sampled as they were read."""
        self.samples: list[Sample] = []
        """One per sampled turn."""
        self._rows: list[Message] = []
        self._names: dict[str, str] = {}
        self._own_ids: set[str] = set()
        self._ids: list[int] = []
        self._settled = 0  # messages whose tokens stand for good
        self._closing: list[Piece] = []  # framing owed to the turn sampled last
        self._end_mark = ""  # the mark it was sampled with
        self._tail: list[int] | None = None
        self._in_reasoning = False
        self.append(*messages)

    @property
    def prompt_ids(self) -> list[int]:
        """Everything in front of the next completion."""
        return self._ids + self._next()

    @property
    def new_ids(self) -> list[int]:
        """The part of ``prompt_ids`` behind ``ids``: what an engine with a cache still needs."""
        return list(self._next())

    @property
    def ids(self) -> list[int]:
        """Tokens that stand for good: up to the last one sampled."""
        return list(self._ids)

    @property
    def loss_mask(self) -> list[int]:
        """1 for each of ``ids`` that was sampled, 0 for the others."""
        mask = [0] * len(self._ids)
        for sample in self.samples:
            mask[sample.prompt_len : sample.prompt_len + len(sample.ids)] = [1] * len(sample.ids)
        return mask

    def append(self, *messages: Mapping[str, Any]) -> None:
        """Add messages behind what stands.

        Raises:
            UsageError: a message that no conversation knows.
        """
        for message, row in zip(messages, normalise(messages), strict=True):
            known = row.name or self._names.get(row.call_id, "")
            self._rows.append(replace(row, name=known) if known else row)
            self._names.update({call.id: call.name for call in row.calls if call.id})
            self.messages.append(dict(message))
        self._tail = None

    def sampled(
        self,
        ids: Sequence[int],
        finish_reason: str = "stop",
        logprobs: Sequence[float] | None = None,
    ) -> ParsedMessage:
        """Add what the model sampled behind ``prompt_ids``, and read it.

        A turn that the model did not end is closed in the next prompt, by tokens that are not
        trained on. ``messages`` gets what was read: content, reasoning and complete calls.

        Args:
            ids: every sampled id, unchanged.
            finish_reason: as the engine said; ``length`` makes a call at the end incomplete.
            logprobs: one per id.

        Raises:
            UsageError: as many log-probabilities as ids are needed.
        """
        parsed = self._read(ids, finish_reason)
        self._settle(self._message(parsed), ids, finish_reason, logprobs)
        return parsed

    def turns(self) -> list[Turn]:
        """The sampled turns as a trajectory records them; ids of new tokens only."""
        from regreen.core.trajectory import Turn

        ends = [sample.message for sample in self.samples[1:]] + [len(self.messages)]
        return [
            Turn(
                start=sample.message,
                end=end,
                finish_reason=sample.finish_reason,
                prompt_len=sample.prompt_len,
                completion_ids=sample.ids,
                logprobs=sample.logprobs,
            )
            for sample, end in zip(self.samples, ends, strict=True)
        ]

    @classmethod
    def replay(
        cls,
        renderer: Renderer,
        tools: Tools,
        messages: Sequence[Mapping[str, Any]],
        turns: Sequence[Turn],
    ) -> Dialogue:
        """The dialogue that a trajectory recorded.

        Raises:
            UsageError: a turn without ids, or one whose prompt had another length: it was sampled
                with another format or vocabulary.
        """
        found, done = cls(renderer, tools), 0
        for place, turn in enumerate(turns):
            found.append(*messages[done : turn.start])
            where, mend = f"turn {place}", "use the format and vocabulary it was sampled with"
            if turn.completion_ids is None:
                what = "the turn was recorded without ids"
                raise UsageError(what, where=where, mend="record with an engine that returns them")
            length = len(found._ids) + len(found._next())
            if turn.prompt_len not in {None, length}:
                what = f"its prompt had {turn.prompt_len} tokens, here it has {length}"
                raise UsageError(what, where=where, mend=mend)
            message = messages[turn.start]
            found._read(turn.completion_ids, turn.finish_reason)
            found._settle(message, turn.completion_ids, turn.finish_reason, turn.logprobs)
            done = turn.start + 1
        found.append(*messages[done:])
        return found

    # -- inside -----------------------------------------------------------------------------

    def _next(self) -> list[int]:
        """Tokens between what stands and the next completion."""
        if self._tail is None:
            form = self.renderer.form
            rendered = self.renderer.encode_rows(
                self._numbered(),
                self.tools,
                generation=True,
                begin=self._settled,
                lead=self._closing,
                standing=self._end_mark,
            )
            self._tail = rendered.ids
            opening = form.reasoning.open.strip() if form.reasoning is not None else ""
            end = self.renderer.tokenizer.decode(rendered.ids[-64:]).rstrip()
            self._in_reasoning = bool(opening) and end.endswith(opening)
        return self._tail

    def _read(self, ids: Sequence[int], finish_reason: str) -> ParsedMessage:
        """What was sampled; ids of calls that the model wrote itself are kept from then on."""
        self._next()
        parsed = self.renderer.parse(
            ids, self.tools, truncated=finish_reason == "length", in_reasoning=self._in_reasoning
        )
        self._own_ids.update(call.id for call in parsed.tool_calls if call.id)
        return parsed

    def _numbered(self) -> Sequence[Message]:
        """The messages with the format's ids; a result keeps the id that was sampled."""
        rows = numbered(self._rows, self.renderer.form.call_id)
        if rows is self._rows or not self._own_ids:
            return rows
        return [
            replace(row, call_id=own.call_id) if own.call_id in self._own_ids else row
            for row, own in zip(rows, self._rows, strict=True)
        ]

    def _settle(
        self,
        message: Mapping[str, Any],
        ids: Sequence[int],
        finish_reason: str,
        logprobs: Sequence[float] | None,
    ) -> None:
        if logprobs is not None and len(logprobs) != len(ids):
            what = f"there are {len(logprobs)} log-probabilities for {len(ids)} ids"
            raise UsageError(what, mend="give one for each id, or none")
        index = len(self._rows)
        self._ids += self._next()
        kept = None if logprobs is None else tuple(logprobs)
        sample = Sample(index, len(self._ids), tuple(ids), finish_reason, kept)
        self.append(message)
        self.samples.append(sample)
        self._ids += ids
        self._settled = index + 1
        self._end_mark = self.renderer.end_mark(ids)
        self._closing = self._owed(index)

    def _owed(self, index: int) -> list[Piece]:
        """What stands behind a completion until its turn is closed, none of it trained on.

        A turn ends in the mark its template writes, or in any other special token that the format
        names as a stop; a stop that is mere text (``Observation:``) leaves the turn open.
        """
        form, mark = self.renderer.form, self._end_mark
        calls = self._rows[index].calls[:1]
        rows = [*self._rows[:index], Message("assistant", calls=calls)]
        pieces = write(form, rows, self.tools, False, index)
        own = [piece for piece in pieces if piece.role == "assistant" and piece.message == index]
        last = max((at for at, p in enumerate(own) if p.trained and p.kind != "end"), default=0)
        return [
            piece._replace(trained=False)
            for piece in own[last + 1 :]
            if piece.kind != "end" or not (mark == piece.text or mark in form.chat.specials)
        ]

    def _message(self, parsed: ParsedMessage) -> dict[str, Any]:
        """A completion in OpenAI shape; calls without an id get one that no other has."""
        message: dict[str, Any] = {"role": "assistant", "content": parsed.content}
        if parsed.reasoning:
            message["reasoning_content"] = parsed.reasoning
        calls: list[dict[str, Any]] = []
        for call in parsed.tool_calls:
            call_id = call.id or f"call_{len(self.messages)}_{len(calls)}"
            function = {"name": call.name, "arguments": call.arguments}
            calls.append({"id": call_id, "type": "function", "function": function})
        if calls:
            message["tool_calls"] = calls
        return message
