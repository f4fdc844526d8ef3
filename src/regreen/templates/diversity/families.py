"""Families of formats: those that write the same call in the same words.

Formats are published under several names with the same call syntax: only white space, literals or
the prompt differ. Holding out one of them while its twin is drawn would test nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from functools import cache

from regreen.core.errors import UsageError
from regreen.templates.chat import Results
from regreen.templates.diversity.probes import EDIT, PATCH, SHELL, Probe
from regreen.templates.message import ToolCall
from regreen.templates.registry import ALIASES, FORMATS, tool_format
from regreen.templates.tools import tool_table

__all__ = ["family", "hold_out", "shown_alike"]

_TEXTS = Probe(
    {
        "name": "lookup",
        "parameters": {
            "type": "object",
            "properties": {"first": {"type": "string"}, "second": {"type": "string"}},
        },
    },
    [ToolCall("lookup", {"first": "word", "second": "other"}, "call_0")],
)
"""Text arguments only, so that formats that differ in literals are alike."""


@cache
def family(name: str) -> str:
    """The family of a format: the first registered format that writes calls alike, else itself.

    Two formats are alike when they write a call with text arguments, and the calls that some have
    a form of their own for, in the same characters; white space and quoting of literals aside.
    """
    name = ALIASES.get(name, name)
    words = _written(name)
    return next((other for other in FORMATS if _written(other) == words), name)


@cache
def _written(name: str) -> tuple[str | None, ...]:
    """What the format writes for each probe, without white space."""
    form = tool_format(name)
    found: list[str | None] = []
    for probe in (_TEXTS, SHELL, EDIT, PATCH):
        try:
            text = form.calls.write(probe.calls[:1], tool_table([probe.tool]))
        except UsageError:
            found.append(None)
        else:
            found.append("".join(text.split()))
    return tuple(found)


def shown_alike(results: Results) -> tuple[str, ...]:
    """What two result wrappers have in common when they show a result in the same words."""
    return tuple("".join(text.split()) for text in (*results.around, *results.each))


def hold_out(
    names: Iterable[str], share: float, of: Callable[[str], str] = family
) -> tuple[str, ...]:
    """The names to hold out: a share of their families, whole ones, decided by their names alone.

    New families move no old one. A share of 0 holds out none; any other holds out at least one
    family and leaves one. Train with ``held_out`` set to them; a test of generalisation draws from
    them alone, by ``formats``.

    Args:
        names: all there are.
        share: of the families, from 0 to 1.
        of: the family of a name.

    Raises:
        UsageError: a share that is none.
    """
    if not (math.isfinite(share) and 0 <= share <= 1):
        msg = f"{share:g} is no share of the formats"
        raise UsageError(msg, where="--hold-out", mend="give a number from 0 to 1, or formats")
    if share == 0:
        return ()
    families = {name: of(name) for name in names}
    ranked = sorted(set(families.values()), key=_place)
    count = sum(_place(one) < share for one in ranked)
    held = set(ranked[: min(max(count, 1), len(ranked) - 1)])
    return tuple(sorted(name for name, one in families.items() if one in held))


def _place(name: str) -> float:
    """A number from 0 to 1 that depends on the name only."""
    return int(hashlib.sha256(f"hold out {name}".encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
