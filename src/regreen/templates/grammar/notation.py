"""JSON values in a notation that is not JSON, as rules of a grammar made from their schema.

The rules are EBNF as xgrammar reads it. Layout is exact, members come in declared order, required
ones always; types, enumerations, item counts and further keys are kept, bounds and patterns not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from regreen.templates.grammar.parts import Format
from regreen.templates.grammar.schema import Property, Schema, branches

__all__ = ["Notation", "Rules", "quoted"]

_NUMBERS = (
    'integer ::= "-"? ("0" | [1-9] [0-9]*)',
    'number ::= integer ("." [0-9]+)? ([eE] [+-]? [0-9] [0-9]?)?',
)


@dataclass(frozen=True)
class Notation:
    """How values are spelled."""

    strings: tuple[str, ...]
    """Rules that define ``string``, and ``key`` for keys that are not declared."""
    words: tuple[str, str, str]
    """True, false and null."""
    key: Callable[[str], str]
    """A declared key as it is written."""
    spell: Callable[[Any], str]
    """A whole value as it is written."""
    between: str = ", "
    """Between two items."""
    colon: str = ": "
    """Between a key and its value."""
    ordered: bool = False
    """Whether keys are sorted, without regard to case, and do not stand as declared."""

    def order(self, listed: Iterable[Property]) -> list[Property]:
        """Properties in the order in which they are written."""
        return sorted(listed, key=lambda row: row[0].lower()) if self.ordered else list(listed)


class Rules:
    """Rules of one grammar, added as they are needed."""

    def __init__(self, notation: Notation) -> None:
        self.notation = notation
        self.texts: dict[str, str] = {}
        yes, no, null = (quoted(word) for word in notation.words)
        self.texts["boolean"] = f"{yes} | {no}"
        self.texts["null"] = null
        between, colon = quoted(notation.between), quoted(notation.colon)
        self.texts["array"] = f'"[" (any ({between} any)*)? "]"'
        self.texts["object"] = f'"{{" (member ({between} member)*)? "}}"'
        self.texts["member"] = f"key {colon} any"
        self.texts["any"] = "null | boolean | number | string | array | object"

    def grammar(self, root: str) -> Format:
        """The grammar with this rule as its root."""
        rules = [f"root ::= {root}", *(f"{name} ::= {text}" for name, text in self.texts.items())]
        return {
            "type": "grammar",
            "grammar": "\n".join([*rules, *self.notation.strings, *_NUMBERS]) + "\n",
        }

    def add(self, text: str) -> str:
        """A new rule; returns its name."""
        name = f"r{len(self.texts)}"
        self.texts[name] = text
        return name

    def value(self, schema: Schema) -> str:
        """An expression for the values of a schema (see ``grammar.schema``)."""
        return self._value(schema, schema.get("$defs", {}), {})

    def _value(self, schema: Schema, known: Mapping[str, Schema], made: dict[str, str]) -> str:
        if "$ref" in schema:
            name = str(schema["$ref"]).removeprefix("#/$defs/")
            if name not in made:
                made[name] = self.add("")
                self.texts[made[name]] = self._value(known[name], known, made)
            return made[name]
        if "enum" in schema:
            return _either(quoted(self.notation.spell(value)) for value in schema["enum"])
        if "anyOf" in schema:
            return _either(self._value(branch, known, made) for branch in schema["anyOf"])
        return _either(self._typed(branch, known, made) for branch in branches(schema))

    def _typed(self, schema: Schema, known: Mapping[str, Schema], made: dict[str, str]) -> str:
        kind = str(schema.get("type", "any"))
        if kind == "array" and ({"items", "prefixItems", "minItems", "maxItems"} & schema.keys()):
            return self._array(schema, known, made)
        if kind == "object" and ({"properties", "additionalProperties"} & schema.keys()):
            needed = schema.get("required", ())
            declared = schema.get("properties", {}).items()
            rows = self.notation.order((key, value, key in needed) for key, value in declared)
            parts = [
                (f"{self._head(key)} ({self._value(value, known, made)})", required)
                for key, value, required in rows
            ]
            free = schema.get("additionalProperties")
            more = "" if free in (None, False) else "member"
            if isinstance(free, dict) and free:
                more = self.add(
                    f"key {quoted(self.notation.colon)} ({self._value(free, known, made)})"
                )
            return self.add(f'"{{" {self.members(parts, more)} "}}"')
        return kind

    def _head(self, key: str) -> str:
        return quoted(self.notation.key(key) + self.notation.colon)

    def object(self, listed: Iterable[Property]) -> str:
        """An expression for an object of these properties and no others."""
        rows = self.notation.order(listed)
        parts = [(f"{self._head(key)} ({self.value(value)})", need) for key, value, need in rows]
        return f'"{{" {self.members(parts)} "}}"'

    def _array(self, schema: Schema, known: Mapping[str, Schema], made: dict[str, str]) -> str:
        between = quoted(self.notation.between)
        fixed = [self._value(part, known, made) for part in schema.get("prefixItems", ())]
        if fixed:
            return self.add(f'"[" {f" {between} ".join(f"({part})" for part in fixed)} "]"')
        item = f"({self._value(schema.get('items', {}), known, made)})"
        low, high = schema.get("minItems", 0), schema.get("maxItems")
        if high == 0:
            return '"[]"'
        last = "" if high is None else str(max(high, low) - 1)
        some = f"{item} ({between} {item}){{{max(low - 1, 0)},{last}}}"
        return self.add(f'"[" {some} "]"' if low else f'"[" ({some})? "]"')

    def members(self, parts: list[tuple[str, bool]], more: str = "") -> str:
        """An expression for members in order, those that are not required left out or not.

        Args:
            parts: an expression for each, and whether it is required.
            more: an expression for any number of further ones; empty for none.
        """
        between = quoted(self.notation.between)
        tail = f"({between} {more})*" if more else '""'
        behind, first = self.add(tail), self.add(f"({more} {tail})?" if more else '""')
        for part, required in reversed(parts):
            skipped = ("", "") if required else (f" | {behind}", f" | {first}")
            behind, first = (
                self.add(f"{between} {part} {behind}{skipped[0]}"),
                self.add(f"{part} {behind}{skipped[1]}"),
            )
        return first


def quoted(text: str) -> str:
    """A literal of the grammar."""
    return json.dumps(text, ensure_ascii=False)


def _either(parts: Iterable[str]) -> str:
    found = list(dict.fromkeys(parts))
    return found[0] if len(found) == 1 else f"({' | '.join(found)})"
