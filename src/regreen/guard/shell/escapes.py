"""Backslash escapes of ``$'...'``, ``printf`` and ``echo -e``."""

from __future__ import annotations

import re

from regreen.guard.shell.scope import HOLE

__all__ = ["unescape"]

_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]{1,2})|([0-7]{1,3})|u([0-9a-fA-F]{1,4})|U([0-9a-fA-F]{1,8})|c(.)|(.))",
    re.DOTALL,
)
_NAMED = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "v": "\v"}


def unescape(text: str) -> str:
    """Decode backslash escapes as ``$'...'``, ``printf`` and ``echo -e`` do."""
    return _ESCAPE.sub(_unescaped, text)


def _unescaped(found: re.Match[str]) -> str:
    hexadecimal, octal, short, long, control, other = found.groups()
    digits = hexadecimal or short or long
    if digits:
        code = int(digits, 16)
        return chr(code) if code < 0xD800 or 0xE000 <= code <= 0x10FFFF else HOLE
    if octal:
        return chr(int(octal, 8) & 0xFF)
    if control:
        return chr(ord(control) & 0x1F)
    return _NAMED.get(other, other if other in "\\'\"?" else "\\" + other)
