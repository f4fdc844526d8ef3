"""Parts of grammars for constrained decoding: xgrammar's structural tags as plain functions.

A structural tag describes a set of texts, so a part does not stop where the next could begin: what
a text must not run over is excluded from it by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "NOTHING",
    "CallGrammar",
    "Format",
    "any_text",
    "const",
    "either",
    "literal",
    "optional",
    "regex",
    "schema",
    "seq",
    "several",
]

Format = dict[str, Any]
"""A ``format`` of a structural tag."""


@dataclass(frozen=True)
class CallGrammar:
    """What the calls of one message look like."""

    one: Format
    """Exactly one call, with its wrapper."""
    many: Format
    """One call or several."""
    bars: tuple[str, ...]
    """What text in front must not hold, since a call might begin there."""
    line: bool = False
    """Whether the first call must begin a line."""
    text: Format | None = None
    """Text without calls, where it is not simply any text without ``bars``."""
    front: Format | None = None
    """What may stand in front of calls, where it is not simply such text."""
    marks: tuple[str, ...] = ()
    """What reasoning must not hold, beside its own end."""
    fenced: bool = True
    """Whether a call in an open code fence of the text is an example."""


def const(value: str) -> Format:
    """Exactly this text."""
    return {"type": "const_string", "value": value}


def any_text(excludes: Iterable[str] = ()) -> Format:
    """Any text that holds none of ``excludes``."""
    return {"type": "any_text", "excludes": list(dict.fromkeys(excludes))}


def regex(pattern: str) -> Format:
    """Text that a pattern matches as a whole."""
    return {"type": "regex", "pattern": pattern}


def seq(*parts: Format) -> Format:
    """One part after another; texts that stand side by side are joined."""
    flat: list[Format] = []
    for part in parts:
        for each in part["elements"] if part["type"] == "sequence" else [part]:
            if each["type"] == "const_string" and flat and flat[-1]["type"] == "const_string":
                flat[-1] = const(flat[-1]["value"] + each["value"])
            elif each != NOTHING:
                flat.append(each)
    if not flat:
        return NOTHING
    return flat[0] if len(flat) == 1 else {"type": "sequence", "elements": flat}


def either(parts: Iterable[Format]) -> Format:
    """One of several; nothing of none."""
    found: list[Format] = []
    for part in parts:
        found += [part] if part not in found else []
    if not found:
        return NOTHING
    return found[0] if len(found) == 1 else {"type": "or", "elements": found}


def optional(part: Format) -> Format:
    """A part or nothing."""
    return {"type": "optional", "content": part}


def several(one: Format, between: str) -> Format:
    """One or more, with a text between two."""
    more = {"type": "star", "content": seq(const(between), one)}
    return seq(one, more)


def schema(value: Mapping[str, Any], excludes: Iterable[str] = ()) -> Format:
    """JSON by a schema (see ``grammar.schema``).

    Args:
        value: the schema.
        excludes: what no string may hold as it is written; an escape in it stays possible.
    """
    barred = list(excludes)
    return {"type": "json_schema", "json_schema": value, **({"excludes": barred} if barred else {})}


def literal(value: Any) -> str:
    """A value as the JSON that formats write."""
    return json.dumps(value, ensure_ascii=False)


NOTHING = const("")
"""No text at all."""
