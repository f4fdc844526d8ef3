"""What an endpoint answered: a chat completion reduced to the parts a trajectory keeps.

Servers differ in the fringes, so reading is lenient about extras (they are dropped) and strict
about the core: a choice with an assistant message, and calls that name a function.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from regreen.core.trajectory import Usage
from regreen.inference.errors import MalformedAnswer
from regreen.inference.messages import Message

__all__ = ["Completion", "read_completion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer of the model."""

    message: Message
    """The assistant's message: ``content``, ``tool_calls`` and ``reasoning_content`` only."""
    finish_reason: str = ""
    """``stop``, ``tool_calls``, ``length`` … as the endpoint said."""
    usage: Usage = field(default_factory=Usage)
    """Tokens as the endpoint counts them; estimated at four bytes each when it does not."""
    prompt_len: int | None = None
    """Length of the prompt in tokens, when the endpoint returns its ids."""
    completion_ids: tuple[int, ...] | None = None
    """Ids of the sampled tokens, when the endpoint returns them."""
    logprobs: tuple[float, ...] | None = None
    """Log-probability of each sampled token, when the endpoint returns them."""
    cost: float = 0.0
    """Money for this call, when the endpoint reports it."""
    seconds: float = 0.0
    """Wall seconds of the call, retries included."""


def _malformed(cause: Exception, body: bytes) -> MalformedAnswer:
    why = f"{type(cause).__name__}: {cause}"
    start = body[:200].decode("utf-8", "replace")
    return MalformedAnswer(
        f"the endpoint's answer is not a chat completion: {why}",
        where=f"body starts with {start!r}",
        mend="check that base_url ends in /v1 and belongs to an OpenAI-compatible server",
    )


def _tool_call(raw: Any, position: int) -> Message:  # JSON edge
    function = raw["function"]
    arguments = function.get("arguments") or "{}"
    if not isinstance(arguments, str):  # some servers send the object itself
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {
        "id": str(raw.get("id") or f"call_{position}"),
        "type": "function",
        "function": {"name": str(function["name"]), "arguments": arguments},
    }


def _message(raw: Any) -> Message:  # JSON edge
    message: Message = {"role": "assistant", "content": raw.get("content")}
    reasoning = raw.get("reasoning_content") or raw.get("reasoning")
    if isinstance(reasoning, str):
        message["reasoning_content"] = reasoning
    calls = [_tool_call(call, i) for i, call in enumerate(raw.get("tool_calls") or ())]
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None:
        message["content"] = ""
    return message


def _logprobs(choice: Any) -> tuple[float, ...] | None:  # JSON edge
    content = (choice.get("logprobs") or {}).get("content")
    return tuple(float(entry["logprob"]) for entry in content) if content else None


def _usage(raw: Any, prompt_bytes: int, answer_bytes: int) -> Usage:  # JSON edge
    if not raw:
        return Usage(prompt_tokens=prompt_bytes // 4, completion_tokens=answer_bytes // 4)
    return Usage(
        prompt_tokens=int(raw.get("prompt_tokens") or 0),
        completion_tokens=int(raw.get("completion_tokens") or 0),
    )


def read_completion(body: bytes, *, prompt_bytes: int = 0, seconds: float = 0.0) -> Completion:
    """Read the body of a ``/chat/completions`` answer.

    Token ids are read where vLLM puts them: ``choices[0].token_ids`` and ``prompt_token_ids``.

    Args:
        body: the answer as received.
        prompt_bytes: size of the request, for the estimate when no usage is reported.
        seconds: wall seconds to record.

    Raises:
        MalformedAnswer: it is not JSON, or not a chat completion.
    """
    try:
        answer = json.loads(body)
        choice = answer["choices"][0]
        message = _message(choice["message"])
        ids = choice.get("token_ids")
        prompt_ids = answer.get("prompt_token_ids")
        usage = answer.get("usage") or {}
        return Completion(
            message=message,
            finish_reason=str(choice.get("finish_reason") or ""),
            usage=_usage(usage, prompt_bytes, len(body)),
            prompt_len=None if prompt_ids is None else len(prompt_ids),
            completion_ids=None if ids is None else tuple(int(i) for i in ids),
            logprobs=_logprobs(choice),
            cost=float(usage.get("cost") or 0.0),
            seconds=seconds,
        )
    except (LookupError, TypeError, AttributeError, ValueError) as exc:
        raise _malformed(exc, body) from exc
