r"""From a piece of text to characters of a message, and from those to the tokens a model sampled.

A call's arguments are JSON, so ``\n`` in them is two characters of the message and one of the
command; and a model may have sampled the call in quite another notation. The first is undone
exactly; for the second the same text is searched in the completion, and the whole completion is
named where it cannot be found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from regreen.core.trajectory import Incident, Trajectory

__all__ = ["find_span", "message_text", "token_spans"]

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)
_UNIT = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.", re.S
)


def find_span(raw: str, piece: str, *, is_json: bool) -> tuple[int, int] | None:
    """Where ``piece`` stands in ``raw``.

    Args:
        raw: a message's text, or the JSON of a call's arguments.
        piece: plain text; in JSON it is looked for in the decoded strings.
        is_json: whether ``raw`` is JSON.
    """
    if not piece:
        return None
    if not is_json:
        start = raw.find(piece)
        return (start, start + len(piece)) if start >= 0 else None
    for text, offsets in _strings(raw):
        start = text.find(piece)
        if start >= 0:
            return offsets[start], offsets[start + len(piece)]
    return None


@lru_cache(maxsize=32)
def _strings(raw: str) -> tuple[tuple[str, list[int]], ...]:
    """Each JSON string decoded, with the place of every character of it and of its end."""
    return tuple(_decoded(raw))


def _decoded(raw: str) -> Iterator[tuple[str, list[int]]]:
    for found in _STRING.finditer(raw):
        text, offsets = [], []
        for unit in _UNIT.finditer(raw, found.start() + 1, found.end() - 1):
            try:
                decoded = json.loads(f'"{unit[0]}"') if unit[0][0] == "\\" else unit[0]
            except ValueError:
                decoded = unit[0]
            text.append(decoded)
            offsets += [unit.start()] * len(decoded)
        yield "".join(text), [*offsets, found.end() - 1]


def message_text(message: dict[str, Any], call_id: str) -> str:
    """What a span counts characters of: the arguments of the named call, else the text."""
    for call in message.get("tool_calls") or ():
        if call_id and call.get("id") == call_id:
            arguments = (call.get("function") or {}).get("arguments")
            return arguments if isinstance(arguments, str) else json.dumps(arguments)
    content = message.get("content")
    return content if isinstance(content, str) else ""


def token_spans(
    trajectory: Trajectory,
    incident: Incident,
    pieces: Callable[[Sequence[int]], Sequence[bytes]] | None = None,
) -> tuple[tuple[int, int], ...]:
    """Half-open ranges of the turn's ``completion_ids`` that an incident's penalty falls on.

    Args:
        trajectory: where it happened.
        incident: what happened.
        pieces: the bytes of each token, as a tokenizer's vocabulary gives them; without it, the
            whole completion is meant.

    Returns:
        Nothing without a turn or without ids; the whole completion where the text cannot be found.
    """
    if incident.turn is None or not 0 <= incident.turn < len(trajectory.turns):
        return ()
    turn = trajectory.turns[incident.turn]
    ids = turn.completion_ids
    if not ids:
        return ()
    whole = ((0, len(ids)),)
    if incident.span is None or pieces is None:
        return whole
    message = trajectory.messages[turn.start]
    raw = message_text(message, incident.call_id)
    tokens = pieces(ids)
    start, end = incident.span
    before = _before(message, incident.call_id)
    found = _find_bytes(b"".join(tokens), raw, start, end, before)
    return (_tokens(tokens, *found),) if found else whole


def _before(message: dict[str, Any], call_id: str) -> str:
    """What the model wrote before the text that a span is about."""
    parts = [str(message.get("reasoning_content") or "")]
    if call_id:
        parts.append(str(message.get("content") or ""))
        for call in message.get("tool_calls") or ():
            if call.get("id") == call_id:
                break
            parts.append(_plain(message_text(message, str(call.get("id", "")))))
    return "\n".join(parts)


def _plain(raw: str) -> str:
    strings = [text for text, _ in _strings(raw)]
    return "\n".join(strings) if strings else raw


def _find_bytes(
    completion: bytes, raw: str, start: int, end: int, before: str
) -> tuple[int, int] | None:
    """The bytes of a completion that hold ``raw[start:end]``, as it stands or decoded."""
    piece = raw[start:end]
    decoded = piece
    if raw.lstrip().startswith("{"):
        for text, offsets in _strings(raw):
            if offsets[0] <= start and end <= offsets[-1] and text:
                decoded = text[offsets.index(start) : offsets.index(end)]
                before += "\n" + text[: offsets.index(start)]
    else:
        before += raw[:start]
    for wanted in dict.fromkeys((decoded, piece)):
        needle = wanted.encode("utf-8", "surrogatepass")
        place = -1
        for _ in range(before.count(wanted) + 1):
            following = completion.find(needle, place + 1)
            place = following if following >= 0 else place
        if needle and place >= 0:
            return place, place + len(needle)
    return None


def _tokens(tokens: Sequence[bytes], start: int, end: int) -> tuple[int, int]:
    first, last, place = len(tokens), 0, 0
    for index, token in enumerate(tokens):
        if place < end and place + len(token) > start:
            first, last = min(first, index), index + 1
        place += len(token)
    return first, last
