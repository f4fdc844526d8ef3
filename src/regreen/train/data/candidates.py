"""Rows with an answer that can be judged: read from a file, kept as they were.

A row is any JSON object with ``messages`` in OpenAI shape that end with an assistant's; whatever
else it holds goes through untouched. ``files`` (path to text), where a row has them, are what a
simulated user finds in the box.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from regreen.inference.messages import Message
from regreen.store.jsonl import read_jsonl
from regreen.templates.conversation import text_of

__all__ = ["Candidate", "as_text", "read_candidates"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Candidate:
    """One row."""

    name: str
    """File and line."""
    row: Row
    """As it was read."""

    @property
    def prompt(self) -> Sequence[Message]:
        """The conversation in front of the answer."""
        messages: list[Message] = self.row["messages"]
        return messages[:-1]

    @property
    def answer(self) -> Message:
        """The last message."""
        found: Message = self.row["messages"][-1]
        return found

    @property
    def files(self) -> dict[str, str]:
        """What the box of a simulated user holds."""
        found: dict[str, str] = self.row.get("files") or {}
        return found


def read_candidates(path: Path, refused: Counter[str]) -> Iterator[Candidate]:
    """The rows of a file.

    Args:
        path: JSON lines.
        refused: takes the reasons of rows that cannot be judged, with their number.

    Raises:
        UsageError: the file cannot be read.
    """
    for number, row in read_jsonl(path):
        reason = _unfit(row)
        if reason:
            refused[reason] += 1
        else:
            yield Candidate(f"{path.name}:{number}", row)


def _unfit(row: Row) -> str:
    messages = row.get("messages")
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        return "a row has no messages"
    if not messages or messages[-1].get("role") != "assistant":
        return "a row does not end with an answer"
    if not said(messages[-1]):
        return "the answer of a row is empty"
    if not any(one.get("role") == "user" for one in messages):
        return "nobody asks anything in a row"
    files = row.get("files") or {}
    if not isinstance(files, dict) or not all(_is_file(*one) for one in files.items()):
        return "the files of a row are no texts by path"
    return ""


def _is_file(path: Any, text: Any) -> bool:
    parts = PurePosixPath(path).parts if isinstance(path, str) and path else ("/",)
    return isinstance(text, str) and parts[0] != "/" and ".." not in parts


def said(message: Message) -> str:
    """What a message says: its text, then its calls as JSON."""
    text = text_of(message.get("content")).strip()
    calls = message.get("tool_calls")
    if not calls:
        return text
    return f"{text}\n{json.dumps(calls, ensure_ascii=False, indent=1)}".strip()


def as_text(messages: Sequence[Message]) -> str:
    """A conversation for a judge to read: each message under its role."""
    return "\n\n".join(f"[{one.get('role')}]\n{said(one)}" for one in messages)
