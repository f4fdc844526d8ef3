"""Calls to try formats with: of tools that some write in a form of their own, and of others.

A format for which every tool is alike can be introduced by any definitions. One that is known for
one kind of call (a shell block, an edit, a patch) needs its own block, which teaches that form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from regreen.core.errors import UsageError
from regreen.templates.format import ToolFormat
from regreen.templates.message import ToolCall

__all__ = ["EDIT", "PATCH", "PLAIN", "SHELL", "Probe", "answer", "native", "reads_back"]


class Probe(NamedTuple):
    """A tool and two calls of it."""

    tool: Mapping[str, Any]
    """In OpenAI shape."""
    calls: Sequence[ToolCall]
    """Two calls."""


def _probe(name: str, description: str, *arguments: Mapping[str, Any]) -> Probe:
    kinds = {str: "string", int: "integer", bool: "boolean"}
    properties = {key: {"type": kinds[type(value)]} for key, value in arguments[0].items()}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": name, "description": description, "parameters": schema}
    calls = [ToolCall(name, dict(given)) for given in arguments]
    return Probe({"type": "function", "function": function}, calls)


SHELL = _probe(
    "bash", "Run a command.", {"command": "grep -rn 'größe < 10' src"}, {"command": "cd src &&\nls"}
)
EDIT = _probe(
    "edit",
    "Replace text in a file.",
    {"path": "src/app.py", "old_str": "größe < 10", "new_str": "größe <= 10"},
    {"path": "src/new.py", "old_str": "", "new_str": "x = 1"},
)
_PATCH = """\
*** Begin Patch
*** Update File: src/app.py
@@
-if größe < 10:
+if größe <= 10:
*** End Patch"""
_DELETION = "*** Begin Patch\n*** Delete File: src/new.py\n*** End Patch"
PATCH = _probe("apply_patch", "Change files.", {"patch": _PATCH}, {"patch": _DELETION})
PLAIN = _probe(
    "search",
    "Search files.",
    {"pattern": "größe < 10", "limit": 5, "exact": True},
    {"pattern": "", "limit": 0, "exact": False},
)
"""A tool that no format has a form for, with types."""


@cache
def _renamed(probe: str) -> tuple[Probe, Mapping[str, str]]:
    """A probe under names that mean nothing, and what each stands for."""
    given = {"bash": SHELL, "edit": EDIT, "apply_patch": PATCH}[probe]
    keys = given.calls[0].arguments
    names = {key: f"argument_{rank}_of_it" for rank, key in enumerate(sorted(keys))}
    calls = [{names[key]: value for key, value in call.arguments.items()} for call in given.calls]
    back = {new: old for old, new in names.items()} | {"any_tool_at_all": probe}
    return _probe("any_tool_at_all", "", *calls), back


def native(form: ToolFormat) -> Probe | None:
    """The kind of call that the format has a form of its own for; None when it has none."""
    for probe in (SHELL, EDIT, PATCH):
        other, names = _renamed(probe.calls[0].name)
        written, alike = _written(form, probe), _written(form, other)
        for new, old in names.items():
            alike = alike and alike.replace(new, old)
        if written != alike:
            return probe
    return None


def _written(form: ToolFormat, probe: Probe) -> str | None:
    try:
        return form.completion(answer(probe.calls[:1]), [probe.tool])
    except UsageError:
        return None


def reads_back(form: ToolFormat, calls: Sequence[ToolCall], tools: Sequence[Any]) -> bool:
    """Whether the format can write these calls, and reads them as they were."""
    try:
        text = form.completion(answer(calls, "I look first."), tools) + form.chat.stops[0]
    except UsageError:
        return False
    read = form.parse(text, tools)
    found = [(call.name, call.arguments) for call in read.tool_calls]
    same = found == [(call.name, call.arguments) for call in calls]
    return same and not read.incomplete and read.content.strip() == "I look first."


def answer(calls: Sequence[ToolCall], text: str = "") -> dict[str, Any]:
    """An assistant's message in OpenAI shape."""
    made = [
        {"id": f"call_{place}", "function": {"name": call.name, "arguments": call.arguments}}
        for place, call in enumerate(calls)
    ]
    return {"role": "assistant", "content": text, "tool_calls": made}
