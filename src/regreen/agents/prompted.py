"""A model asked in a tool-calling format's own text, for endpoints that parse no calls.

The tools go into the system message and results into user turns, as a client that prompts the
format sends them. What the model answered is sent back as it was said, never re-rendered, so the
conversation only grows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from regreen.agents.base import Model
from regreen.inference.completion import Completion
from regreen.inference.messages import Message, MessageList
from regreen.templates import ParsedMessage, ToolCall, ToolFormat
from regreen.templates.conversation import text_of
from regreen.templates.conversion.prompted import joined_system, wrap, wrapped
from regreen.templates.tools import ToolTable, tool_table

__all__ = ["PromptedModel"]


class PromptedModel:
    """Stands in front of a model for one conversation.

    Args:
        model: who answers; it is offered no tools.
        form: the format to ask in.
    """

    def __init__(self, model: Model, form: ToolFormat) -> None:
        self._model = model
        self._form = form
        self._shown = MessageList()
        self._said: dict[int, str] = {}
        self._read = 0
        self._calls: list[ToolCall] = []

    async def complete(
        self,
        messages: MessageList,
        tools: Sequence[Message],
        *,
        seed: int | None = None,
        max_tokens: int | None = None,
    ) -> Completion:
        """The next assistant message, its calls read from its text; see ``Model``."""
        table = tool_table(tools)
        self._show(messages, table)
        found = await self._model.complete(self._shown, (), seed=seed, max_tokens=max_tokens)
        text = text_of(found.message.get("content"))
        read = self._form.parse(text, table, truncated=found.finish_reason == "length")
        self._said[len(messages)] = text
        return replace(found, message=self._message(read, found.message, len(messages)))

    def _show(self, messages: MessageList, tools: ToolTable) -> None:
        """Add what is new since the last question."""
        while self._read < len(messages):
            index = self._read
            message = messages[index]
            role, text = message["role"], text_of(message.get("content"))
            self._read += 1
            if index == 0:
                system = joined_system(text if role == "system" else "", self._form, tools)
                self._shown.append({"role": "system", "content": system})
            if role == "assistant":
                self._shown.append({"role": "assistant", "content": self._said.get(index, text)})
                self._calls = [_call(each) for each in message.get("tool_calls", ())]
            elif role == "tool":
                self._read = self._show_results(messages, index)
            elif role != "system" or index:
                self._shown.append({"role": role, "content": text})

    def _show_results(self, messages: MessageList, first: int) -> int:
        """Show the results that begin at ``first``; returns where the next message stands."""
        end = first
        while end < len(messages) and messages[end]["role"] == "tool":
            end += 1
        texts = [text_of(messages[index].get("content")) for index in range(first, end)]
        calls, results = self._calls[: len(texts)], self._form.results
        turns = wrapped(calls, texts, results) or [wrap(calls, texts, results)]
        for turn in turns:
            self._shown.append({"role": "user", "content": turn})
        return end

    def _message(self, read: ParsedMessage, found: Message, index: int) -> Message:
        message: Message = {"role": "assistant", "content": read.content}
        reasoning = text_of(found.get("reasoning_content")) + read.reasoning
        if reasoning:
            message["reasoning_content"] = reasoning
        calls = [
            {
                "id": f"call_{index}_{place}",
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for place, call in enumerate(read.tool_calls)
        ]
        if calls:
            message["tool_calls"] = calls
        return message


def _call(raw: Message) -> ToolCall:
    function = raw["function"]
    return ToolCall(function["name"], json.loads(function["arguments"]), raw["id"])
