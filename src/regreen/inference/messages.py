"""A growing conversation that keeps the JSON of every message it holds.

Each message is serialised once, when it is added: a request is then a join of byte strings and a
log line a copy. Serialising the whole history at each turn made both grow with its length.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["Message", "MessageList", "encode"]

Message = dict[str, Any]
"""One message in OpenAI chat shape."""


def encode(value: Any) -> bytes:  # JSON edge
    """Compact JSON; unpaired surrogates, which no UTF-8 holds, become replacement characters."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


class MessageList:
    """Messages in order; append only, so a kept encoding never goes stale."""

    def __init__(self, messages: Iterable[Message] = ()) -> None:
        self._messages: list[Message] = []
        self._encoded = bytearray(b"[")
        for message in messages:
            self.append(message)

    def append(self, message: Message) -> bytes:
        """Add a message, which must not change afterwards, and return its JSON."""
        encoded = encode(message)
        if self._messages:
            self._encoded += b","
        self._encoded += encoded
        self._messages.append(message)
        return encoded

    def encoded(self, before: bytes = b"", after: bytes = b"") -> bytes:
        """The JSON array of all messages, set between two pieces in a single copy."""
        return b"".join((before, self._encoded, b"]", after))

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages)

    def __getitem__(self, index: int) -> Message:
        return self._messages[index]
