"""What a judge of two answers says: a place for each point of a checklist, and one over all.

The answer ends with one JSON object or it says nothing: prose about the better one is not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

__all__ = ["CRITERIA", "Place", "read_answer"]

CRITERIA = ("accuracy", "usefulness", "style")
"""The checklist; ``better`` is the verdict over all of it."""

Place = Literal["first", "second", "tie"]
_PLACES: Mapping[str, Place] = {"a": "first", "b": "second", "tie": "tie"}


def read_answer(text: str) -> dict[str, Place] | None:
    """The checklist and the verdict at the end of a judge's answer; None where it is not there."""
    decoder = json.JSONDecoder()
    body = re.sub(r"\s*```\s*$", "", text.rstrip())
    for start in (match.start() for match in re.finditer(r"\{", body)):
        try:
            found, end = decoder.raw_decode(body, start)
        except (ValueError, RecursionError):
            continue
        if end == len(body):
            return _places(found)
    return None


def _places(found: Any) -> dict[str, Place] | None:
    if not isinstance(found, dict):
        return None
    names = (*CRITERIA, "better")
    said_of = {name: str(found.get(name)).strip().lower() for name in names}
    if not all(value in _PLACES for value in said_of.values()):
        return None
    return {name: _PLACES[value] for name, value in said_of.items()}
