"""What a parameter's JSON schema says about raw text: its types, and text to value.

Formats that write values raw carry no types; the schema decides. Where it admits a string beside
other types, only the exact spelling of another type is read as one, so that text stays text
wherever it can. The rules stand in docs/decisions/0004-tool-formats.md; every failure degrades to
the text itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from regreen.templates.shapes import Shape, Shapes, kind_of
from regreen.templates.spelling import read_container, read_number

__all__ = ["TEXT", "ParamType", "param_types"]

_NULLS = frozenset({"null", "None"})
_BOOLEANS = {"true": True, "false": False, "True": True, "False": False}
_HEAD = 4400
"""Characters of a text that decide whether it can be anything but a string; the longest number."""


@dataclass(frozen=True, slots=True)
class ParamType:
    """What one parameter can hold."""

    kinds: frozenset[str]
    """JSON types it admits, of null, integer, number, boolean, object, array, string."""
    kept: frozenset[str] = frozenset()
    """Strings an enumeration lists that look like a value of another type it does not list."""
    text: bool = field(init=False, compare=False)
    """Whether it can only be a string, so that its text is its value and can be streamed."""
    _head: re.Pattern[str] | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.kinds == {"string"})
        object.__setattr__(self, "_head", _heads(self.kinds) if "string" in self.kinds else None)

    def undecided(self, prefix: str) -> bool:
        """Whether a text that begins with ``prefix`` may still be anything but a string.

        Once False it is False for every longer text, and ``value`` of each is the text itself, so
        it can be given out from there on. The cost does not grow with the text.
        """
        if self.text:
            return False
        return self._head is None or self._head.match(prefix, 0, _HEAD) is not None

    def value(self, text: str) -> Any:
        """The value that ``text`` stands for; the text itself when it fits no type."""
        if self.text or text in self.kept:
            return text
        exact = self._head is not None
        bare = text if exact else text.strip()
        if exact and not self.undecided(text):
            return text
        if bare:
            found = _read(bare, self.kinds, exact=exact)
            return text if found is _NOTHING else found
        if exact:
            return text
        return {} if "object" in self.kinds else [] if "array" in self.kinds else text

    def write(self, value: Any) -> str:
        """The text of a value: strings as they are, all else as JSON."""
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


_NOTHING = object()


def _read(text: str, kinds: frozenset[str], *, exact: bool) -> Any:
    """The value of the most specific type that ``text`` is a spelling of."""
    if "null" in kinds and text in _NULLS:
        return None
    if "boolean" in kinds:
        word = text if exact or len(text) > 5 else text.lower()
        if word in _BOOLEANS:
            return _BOOLEANS[word]
        if not exact and text in {"0", "1"} and not kinds & {"integer", "number"}:
            return text == "1"
    if kinds & {"integer", "number"}:
        number = read_number(text, whole="number" not in kinds, exact=exact)
        if number is not None:
            return number
    if kinds & {"object", "array"} and not (exact and text[-1] not in "}]"):
        found = read_container(text)
        if found is not None and ("object" if isinstance(found, dict) else "array") in kinds:
            return found
    return _NOTHING


@lru_cache(maxsize=256)
def _heads(kinds: frozenset[str]) -> re.Pattern[str]:
    """Matches the beginnings of every text that may be read as another type than a string."""
    words = [*_NULLS] if "null" in kinds else []
    words += _BOOLEANS if "boolean" in kinds else ()
    whole = [_beginnings(word) for word in words]
    if kinds & {"integer", "number"}:
        whole.append(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?)?")
    heads = [rf"(?:{'|'.join(whole)})\Z"] if whole else [r"\Z"]
    if "object" in kinds:
        heads.append(r"\{\s{0,64}(?:[\"'}]|\Z)")
    if "array" in kinds:
        words = [*_NULLS, *_BOOLEANS]
        names = "|".join(_beginnings(word) for word in words)
        heads.append(rf"\[\s{{0,64}}(?:[\"'\[{{(\]0-9-]|(?:{names})\Z|(?:{'|'.join(words)})\b|\Z)")
    return re.compile("|".join(heads))


def _beginnings(word: str) -> str:
    pattern = ""
    for char in reversed(word):
        pattern = f"(?:{char}{pattern})?"
    return pattern


TEXT = ParamType(frozenset({"string"}))
"""The type of a parameter nothing is known of."""


def param_types(schema: Mapping[str, Any]) -> Mapping[str, ParamType]:
    """Type of each property of an object schema; text for what the schema spoils."""
    shapes = Shapes(schema)
    return {str(key): _type(shapes.of(value)) for key, value in shapes.properties().items()}


def _type(shape: Shape) -> ParamType:
    if not shape:
        return TEXT
    plain = ParamType(frozenset(shape))
    listed = shape.get("string") or ()
    return ParamType(
        plain.kinds, frozenset(text for text in listed if _only_text(plain, text, shape))
    )


def _only_text(plain: ParamType, text: str, shape: Shape) -> bool:
    """Whether a listed string reads as a value of another type that is not listed."""
    value = plain.value(text)
    if isinstance(value, str):
        return False
    values = shape.get(kind_of(value))
    return values is not None and value not in values
