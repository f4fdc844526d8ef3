"""The text of one scalar or one stretch of a string, from a literal's form to strict JSON.

Strict JSON has no NaN and no infinity: they become the strings "NaN", "Infinity" and
"-Infinity". An escape that its dialect does not know keeps its backslash, because code is full of
them; only a quote loses it.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from json.encoder import encode_basestring

__all__ = ["StringStyle", "escape", "fits", "scalar", "string_style"]

_LONGEST = 4300  # digits of an integer that Python's own reader takes
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LOOSE = re.compile(r"([0-9]*)(\.?)([0-9]*)([eE][+-]?[0-9]+)?")
_BASED = re.compile(r"0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+")
_UNDERSCORE = re.compile(r"(?<=[0-9a-fA-FxXoObB])_(?=[0-9a-fA-F])")
_WORDS = {
    "true": ("true", "json"),
    "false": ("false", "json"),
    "null": ("null", "json"),
    "True": ("true", "python"),
    "False": ("false", "python"),
    "None": ("null", "python"),
    "undefined": ("null", ""),
    "NaN": ('"NaN"', ""),
    "nan": ('"NaN"', ""),
    "Infinity": ('"Infinity"', ""),
    "+Infinity": ('"Infinity"', ""),
    "-Infinity": ('"-Infinity"', ""),
    "inf": ('"Infinity"', ""),
    "-inf": ('"-Infinity"', ""),
}

_HEX = "[0-9a-fA-F]"
_ODD = re.compile(r"[\x00-\x1f\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f]")
_GROWING_JSON = re.compile(rf"\\(?:u{_HEX}{{0,3}})?\Z")
_GROWING = re.compile(
    rf"\\(?:x{_HEX}?|[0-7]{{1,2}}|u{_HEX}{{0,3}}|U{_HEX}{{0,7}}|N(?:\{{[^{{}}\n]{{0,100}})?|\r)?\Z"
)
_ESCAPE = re.compile(
    rf"\\(?:x(?P<x>{_HEX}{{2}})|(?P<octal>[0-7]{{1,3}})|U(?P<U>{_HEX}{{8}})"
    r"|N\{(?P<name>[^{}\n]{1,100})\}|(?P<line>\r?\n)|(?P<one>['\"av]))"
)

Fault = Callable[[str], None]


def fits(length: int) -> bool:
    """Whether a word of this length may still be a scalar."""
    return length <= _LONGEST + 100


def scalar(word: str, python: bool, fault: Fault) -> str:
    """Strict JSON text of a number or a name; empty when it is neither."""
    found = _NUMBER.fullmatch(word)
    if found is not None:
        whole = word.isdigit() or word[1:].isdigit()
        fits = len(word.lstrip("-")) <= _LONGEST if whole else math.isfinite(float(word))
        return word if fits else ""
    if word in _WORDS:
        text, dialect = _WORDS[word]
        if dialect != ("python" if python else "json"):
            fault(f"{word}, which is no {'Python' if python else 'JSON'}")
        return text
    text = _number(word)
    if text and not (python and not re.match(r"[+-]?0[0-9]", word)):
        fault("a number in a form of its own")
    return text


def _number(word: str) -> str:
    """Text of a number with a plus, underscores, a base, zeros in front, or a bare point."""
    sign = "-" if word.startswith("-") else ""
    body = _UNDERSCORE.sub("", word[1:] if word[:1] in {"+", "-"} else word)
    if len(body) > _LONGEST // 2:
        return ""
    if _BASED.fullmatch(body):
        return sign + str(int(body, 0))
    parts = _LOOSE.fullmatch(body)
    if parts is None or not (parts[1] or parts[3]):
        return ""
    fraction = f".{parts[3] or '0'}" if parts[2] else ""
    return f"{sign}{parts[1].lstrip('0') or '0'}{fraction}{parts[4] or ''}"


@dataclass(frozen=True, slots=True)
class StringStyle:
    """How one kind of string literal is read."""

    quote: str
    """What closes it."""
    raw: bool
    """Whether a backslash stands for itself."""
    python: bool
    """Whether escapes are Python's."""
    run: re.Pattern[str]
    """Matches content as far as it needs no mending of single characters."""
    growing: re.Pattern[str]
    """Matches what stands at the end of the text and may become an escape or the closing quote."""

    def bare_line(self, text: str, start: int, end: int) -> bool:
        """Whether a string of one line goes on in another one between two indices."""
        return len(self.quote) == 1 and text.find("\n", start, end) >= 0

    def strict(self, text: str, fault: Fault) -> str:
        """A run of content as JSON writes it."""
        if self.raw:
            text = encode_basestring(text)[1:-1]
        elif self.quote != '"':
            text = text.replace('"', '\\"')
            if self.quote == "'":  # which stands here only behind a backslash of its own
                text = text.replace("\\'", "'")
        if _ODD.search(text):
            if len(self.quote) == 1 and _CONTROL.search(text):
                fault("a bare control character in a string")
            text = text.replace("\n", "\\n").replace("\t", "\\t")
            text = _ODD.sub(lambda match: json.dumps(match[0])[1:-1], text)
        return text


@lru_cache(maxsize=32)
def string_style(quote: str, *, raw: bool, python: bool) -> StringStyle:
    """The style of strings in these quotes."""
    one = quote[0]
    plain = rf"[^{one}\\]"
    if raw:
        known = r"\\(?s:.)"
    else:
        kept = r"\\bfnrt" if python else r"\\/bfnrt"
        kept += quote if len(quote) == 1 else ""
        known = rf"\\(?:[{kept}]|u{_HEX}{{4}})"
    inner = known if len(quote) == 1 else rf"(?:{known}|{one}{{1,2}}(?=[^{one}]))"
    growing = _GROWING if python and not raw else _GROWING_JSON
    ends = growing.pattern if len(quote) == 1 else rf"{growing.pattern}|{one}{{1,2}}\Z"
    run = re.compile(rf"{plain}*+(?:{inner}{plain}*+)*+")
    return StringStyle(quote, raw, python, run, re.compile(ends))


def escape(text: str, at: int, style: StringStyle, fault: Fault) -> tuple[int, str]:
    """Length and strict JSON text of the escape at ``at`` that JSON does not know."""
    if not style.python:
        fault("an escape that JSON does not know")
        return (2, "'") if text.startswith("\\'", at) else (1, "\\\\")
    found = _ESCAPE.match(text, at)
    if found is None:
        return 1, "\\\\"
    char = _character(found)
    if char is None:
        return 1, "\\\\"
    return found.end() - at, json.dumps(char)[1:-1]


def _character(found: re.Match[str]) -> str | None:
    kind, text = found.lastgroup, found[found.lastgroup or 0]
    if kind == "line":
        return ""
    if kind == "one":
        return {"a": "\a", "v": "\v"}.get(text, text)
    try:
        if kind == "name":
            return unicodedata.lookup(text)
        return chr(int(text, 8 if kind == "octal" else 16))
    except (KeyError, ValueError, OverflowError):
        return None
