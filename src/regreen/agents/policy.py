"""A written policy in the place of a model: deterministic, without state of its own.

What it does next is found by replaying it over the conversation so far, so the same policy serves
an agent in this process and a scripted endpoint behind HTTP.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from regreen.inference import Completion, Message, MessageList, Reply, calls, read_completion
from regreen.inference.scripted import render

__all__ = ["Call", "Policy", "PolicyModel", "next_reply"]

Call = tuple[str, dict[str, Any]]
Policy = Generator[list[Call], list[str], None]
"""Yields the calls of a turn and is sent what they returned."""


def next_reply(policy: Policy, messages: Iterable[Message]) -> Reply:
    """What a policy answers to a conversation; ``submit`` when it has nothing left to do."""
    try:
        turn = next(policy)
        results: list[str] = []
        for message in messages:
            if message["role"] == "tool":
                results.append(message["content"])
                if len(results) == len(turn):
                    turn, results = policy.send(results), []
    except StopIteration:
        return calls(("submit", {}))
    return calls(*turn)


class PolicyModel:
    """A policy in the place of an endpoint.

    Args:
        make: makes the policy for a problem statement.
    """

    def __init__(self, make: Callable[[str], Policy]) -> None:
        self._make = make

    async def complete(
        self,
        messages: MessageList,
        tools: Sequence[Message],
        *,
        seed: int | None = None,
        max_tokens: int | None = None,
    ) -> Completion:
        """The next assistant message."""
        statement = next(m["content"] for m in messages if m["role"] == "user")
        turn = sum(message["role"] == "assistant" for message in messages)
        return read_completion(render(next_reply(self._make(statement), messages), turn))
