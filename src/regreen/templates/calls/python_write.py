"""JSON values as Python literals that stay readable: the quoting is chosen by what the text holds.

Text of one line takes the quotes that need no escape; text of several lines stands between three
quotes with its lines as they are, so that code looks like code and costs few tokens.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["arguments", "literal"]

_ODD = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_SHORT = {"\t": "\\t", "\r": "\\r"}


def literal(value: Any, quote: str = "'") -> str:
    """A JSON value as Python writes it.

    Args:
        value: anything that JSON holds.
        quote: the quotes to take where the text does not decide.
    """
    if isinstance(value, str):
        return _string(value, quote)
    if isinstance(value, dict):
        items = (f"{_string(key, quote)}: {literal(item, quote)}" for key, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(literal(item, quote) for item in value)}]"
    return repr(value)


def arguments(values: dict[str, Any], quote: str = "'") -> str:
    """Arguments of a call; keys that are no names are passed in a dictionary of their own."""
    parts: list[str] = []
    for key, value in values.items():
        if key.isidentifier():
            parts.append(f"{key}={literal(value, quote)}")
        else:
            parts.append(f"**{{{_string(key, quote)}: {literal(value, quote)}}}")
    return ", ".join(parts)


def _string(text: str, quote: str) -> str:
    other = "'" if quote == '"' else '"'
    escaped = text.replace("\\", "\\\\")
    if "\n" not in text:
        chosen = other if quote in text and other not in text else quote
        escaped = escaped.replace(chosen, "\\" + chosen).replace("\t", "\\t")
        return chosen + _plain(escaped) + chosen
    chosen = other if quote * 3 in text or text.endswith(quote) else quote
    closing = re.compile(f"{chosen}{{3,}}|{chosen}+\\Z")
    escaped = closing.sub(lambda match: ("\\" + chosen) * len(match[0]), escaped)
    return chosen * 3 + _plain(escaped) + chosen * 3


def _plain(text: str) -> str:
    return _ODD.sub(_escape, text) if _ODD.search(text) else text


def _escape(match: re.Match[str]) -> str:
    char = match[0]
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
