"""A model for one rollout's agent, over an engine of token ids: no text is tokenised twice.

The agent's loop speaks messages; the dialogue behind this keeps the ids. Only messages that the
loop added are encoded, and the loop's own copy of an answer is never looked at.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import UsageError
from regreen.core.trajectory import Usage
from regreen.inference.completion import Completion
from regreen.inference.engine.base import Sampled, Stops, TokenEngine
from regreen.inference.messages import Message, MessageList
from regreen.templates.message import ParsedMessage
from regreen.templates.tokens.dialogue import Dialogue
from regreen.templates.tokens.renderer import Renderer

__all__ = ["TokenModel"]


class TokenModel:
    """Answers one conversation, which only grows; see ``Model`` of the agents.

    Args:
        engine: who samples.
        renderer: the format and the vocabulary.
        seed: of the draws.
        max_tokens: longest completion.
        show_tools: render the tools' definitions into the prompt; a policy that only ever sees one
            set of tools needs none, and then its calls' arguments are read without their schema.
    """

    def __init__(
        self,
        engine: TokenEngine,
        renderer: Renderer,
        *,
        seed: int,
        max_tokens: int,
        show_tools: bool = True,
    ) -> None:
        self.renderer = renderer
        self.parsed: list[ParsedMessage] = []
        """What was read from each completion."""
        self.sampled: list[Sampled] = []
        """What the engine returned for each."""
        self.dialogue: Dialogue | None = None
        """The conversation's ids; None before the first question."""
        self._max_tokens = max_tokens
        self._show_tools = show_tools
        self._stream = engine.open(seed=seed, stops=Stops(renderer.stop_ids, renderer.stop_texts))
        self._sent = 0
        self._seen: list[Message] = []
        self._answers = 0

    async def complete(
        self,
        messages: MessageList,
        tools: Sequence[Message],
        *,
        seed: int | None = None,
        max_tokens: int | None = None,
    ) -> Completion:
        """The next assistant message; ``seed`` is the stream's own.

        Raises:
            ContextOverflow: the conversation leaves no room.
            ModelError: the engine failed.
            UsageError: a message that stood was changed or taken away.
        """
        begin = time.monotonic()
        dialogue = self._follow(messages, tools)
        forced = dialogue.new_ids
        limit = self._max_tokens if max_tokens is None else min(self._max_tokens, max_tokens)
        found = await self._stream.extend(forced, max_tokens=limit)
        prompt_len = self._sent + len(forced)
        parsed = dialogue.sampled(found.ids, found.finish_reason, found.logprobs)
        self._sent = prompt_len + len(found.ids)
        self.parsed.append(parsed)
        self.sampled.append(found)
        return Completion(
            message=_message(dialogue.messages[-1]),
            finish_reason="tool_calls" if parsed.tool_calls else found.finish_reason,
            usage=Usage(prompt_tokens=prompt_len, completion_tokens=len(found.ids)),
            prompt_len=prompt_len,
            completion_ids=found.ids,
            logprobs=found.logprobs,
            seconds=time.monotonic() - begin,
        )

    def experts(self) -> NDArray[np.int16] | None:
        """(L, T - 1, K) the experts of all tokens but the last; None when they are not recorded."""
        return self._stream.experts()

    async def close(self) -> None:
        """Let the engine forget the conversation."""
        await self._stream.close()

    def _follow(self, messages: MessageList, tools: Sequence[Message]) -> Dialogue:
        """The dialogue with all that is new in ``messages``."""
        if self.dialogue is None:
            self.dialogue = Dialogue(self.renderer, tools if self._show_tools else None)
        stands = zip(self._seen, messages, strict=False)
        if len(messages) < len(self._seen) or any(a is not b and a != b for a, b in stands):
            what = f"one of the first {len(self._seen)} messages was changed or taken away"
            raise UsageError(what, mend="open another model for a history that was rewritten")
        for place in range(len(self._seen), len(messages)):
            message = messages[place]
            if message["role"] == "assistant" and self._answers < len(self.sampled):
                self._answers += 1
            else:
                self.dialogue.append(message)
            self._seen.append(message)
        if self._answers != len(self.sampled):
            what = "an answer is missing from the conversation"
            raise UsageError(what, mend="add every completion to the messages, in order")
        return self.dialogue


def _message(message: Message) -> Message:
    """A copy in the shape a loop keeps; arguments are JSON text there."""
    made = dict(message)
    if calls := message.get("tool_calls"):
        made["tool_calls"] = [
            {
                **call,
                "function": {
                    "name": call["function"]["name"],
                    "arguments": json.dumps(call["function"]["arguments"], ensure_ascii=False),
                },
            }
            for call in calls
        ]
    return made
