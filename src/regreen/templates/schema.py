"""What a parameter's JSON schema says about raw text: its types, and text to value and back.

Formats that write values raw carry no types; the schema decides. The rules stand in
docs/decisions/0004-tool-formats.md; every failure degrades to the text itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["TEXT", "ParamType", "param_types"]


@dataclass(frozen=True, slots=True)
class ParamType:
    """What one parameter can hold."""

    kinds: frozenset[str]
    """JSON types it admits, of null, integer, number, boolean, object, array, string."""

    @property
    def text(self) -> bool:
        """Whether it can only be a string, so that its text is its value and can be streamed."""
        return self.kinds == {"string"}

    def value(self, text: str) -> Any:
        """The value that ``text`` stands for; the text itself when it fits no type."""
        if self.text:
            return text
        try:
            return json.loads(text)
        except ValueError:
            return text

    def write(self, value: Any) -> str:
        """The text of a value: strings as they are, all else as JSON."""
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


TEXT = ParamType(frozenset({"string"}))
"""The type of a parameter nothing is known of."""


def param_types(schema: Mapping[str, Any]) -> Mapping[str, ParamType]:
    """Type of each property of an object schema."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {key: _type(value) for key, value in properties.items()}


def _type(schema: Any) -> ParamType:
    kinds = schema.get("type", "string") if isinstance(schema, Mapping) else "string"
    return ParamType(frozenset([kinds] if isinstance(kinds, str) else kinds))
