"""The grammar of calls written as tags around raw values.

Layout is exact, parameters come in declared order, required ones always. A raw value is any text up
to the first closing tag that holds no opening tag of the format: the reader could take a closing
tag behind one for the value's own. What is excluded can still be written guarded (``guard``), and
inside JSON with an escape. Values of other types are JSON by their schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regreen.templates.grammar.parts import (
    CallGrammar,
    Format,
    any_text,
    const,
    either,
    optional,
    regex,
    schema,
    seq,
    several,
)
from regreen.templates.grammar.schema import Schema, branches, properties
from regreen.templates.message import ToolCall

if TYPE_CHECKING:
    from regreen.templates.calls.tags import TagSyntax
    from regreen.templates.tools import Tool, ToolTable

__all__ = ["tag_calls"]


def tag_calls(syntax: TagSyntax, tools: ToolTable) -> CallGrammar:
    """The grammar of a tag format's calls."""
    bodies = either(_Call(syntax, tools, tool).grammar() for tool in tools.tools)
    opening, closing = (const(text) for text in syntax.wrap)
    one = seq(opening, bodies, closing)
    if syntax.grouped:
        many = seq(opening, several(bodies, syntax.between), closing)
    else:
        many = several(one, syntax.between)
    names = [tool.name for tool in tools.tools]
    bars = [*_stems(syntax.wrap[0]), *_stems(syntax.call[0], names)]
    if not syntax.call[0].startswith("<"):
        bars += _stems(syntax.param[0])
    return CallGrammar(one, many, tuple(bars), line=not syntax.wrap[0] and bool(syntax.lead))


@dataclass(frozen=True)
class _Call:
    """The calls of one tool."""

    syntax: TagSyntax
    tools: ToolTable
    tool: Tool

    def grammar(self) -> Format:
        opening, closing = (text.replace("{name}", self.tool.name) for text in self.syntax.call)
        parts = []
        for key, shape, required in properties(self.tool):
            part = self._parameter(key, shape)
            parts.append(part if required else optional(part))
        return seq(const(opening), *parts, const(closing))

    def _parameter(self, key: str, shape: Schema) -> Format:
        found = []
        barred = self._barred(key)
        for branch in branches(shape):
            if "enum" in branch:
                found += [const(self._written(key, value)) for value in branch["enum"]]
                continue
            is_text = branch.get("type", "string") == "string"
            value = self._text(branch, barred) if is_text else self._value(branch, barred)
            whole = self._around(key, value, is_text=is_text)
            if value["type"] == "any_text" and "{string}" not in self.syntax.param[0]:
                return whole  # it takes in every other branch
            found.append(whole)
        return either(found)

    def _around(self, key: str, value: Format, *, is_text: bool) -> Format:
        before, behind = (text.replace("{key}", key) for text in self.syntax.param)
        before = before.replace("{string}", "true" if is_text else "false")
        framed = seq(const(before), value, const(behind))
        if not self.syntax.inline:
            return framed
        if value["type"] == "any_text":
            value = any_text((*value["excludes"], "\n"))
        return either((seq(const(before.rstrip("\n")), value, const(behind.lstrip("\n"))), framed))

    def _text(self, shape: Schema, barred: Iterable[str]) -> Format:
        return regex(shape["pattern"]) if "pattern" in shape else any_text(barred)

    def _value(self, shape: Schema, barred: Iterable[str]) -> Format:
        if shape["type"] == "number":
            return regex(_NUMBER)
        words = {"boolean": ["true", "false"], "null": ["null"]}.get(shape["type"])
        if words is None:
            return schema(shape, (*(text.rstrip() for text in barred), *_HALVES))
        if self.syntax.literals == "python":
            words = [*words, *(_PYTHON[word] for word in words)]
        return either(const(word) for word in words)

    def _written(self, key: str, value: Any) -> str:
        """A parameter as the syntax itself writes it."""
        call = ToolCall(self.tool.name, {key: value})
        whole, bare = (
            self.syntax.write([each], self.tools) for each in (call, ToolCall(call.name, {}))
        )
        behind = len(self.syntax.call[1].replace("{name}", call.name) + self.syntax.wrap[1])
        front = len(bare) - behind
        return whole[front : len(whole) - behind]

    def _barred(self, key: str) -> list[str]:
        """What a raw value must not hold."""
        syntax = self.syntax
        names = [tool.name for tool in self.tools.tools]
        found = [*_stems(syntax.wrap[0]), *_stems(syntax.call[0], names)]
        found += _stems(syntax.param[0], self.tools.keys(self.tool.name))
        found += _stems(syntax.param[1].replace("{key}", key))
        if not (syntax.param[1].startswith("\n") or syntax.param[1].endswith("\n")):
            # no closing tag of a call stands at the start of a line: any might be its end
            found += _stems(syntax.call[1].replace("{name}", self.tool.name))
            found += _stems(syntax.wrap[1])
        return list(dict.fromkeys(found))


_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,2})?"
"""As JSON writes it, and finite."""
_HALVES = (r"\ud", r"\uD")
"""Escaped halves of a character: a value that holds one alone is no JSON to the reader."""
_PYTHON = {"true": "True", "false": "False", "null": "None"}


def _stems(template: str, words: Iterable[str] = ()) -> list[str]:
    """Beginnings of a tag that tell it from other text."""
    text = template.strip()
    stem = re.split(r"[\s\"{]", text, maxsplit=1)[0]
    if len(stem) > 2:
        rest = text[len(stem) :]
        spaced = rest[:1].isspace() and not rest.lstrip().startswith("{")
        return [stem + space for space in " \n\t\r"] if spaced else [stem]
    if not stem:
        return []
    return [text.replace("{name}", word).replace("{key}", word) for word in words]
