"""One pattern against the events of one rollout."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from regreen.guard.monitor.events import Event
from regreen.guard.monitor.evidence import Evidence
from regreen.guard.monitor.paths import in_any
from regreen.guard.monitor.pattern import Clause, Pattern, filled

__all__ = ["matches"]

_SPOKEN = re.compile(
    r'''"""(?s:.*?)(?:"""|\Z)|\'{3}(?s:.*?)(?:\'{3}|\Z)|^\s*#[^\n]*|\s#[ ][^\n]*|/\*(?s:.*?)\*/'''
    r"|^\s*//[^\n]*|\s//[ ][^\n]*",
    re.M,
)


def matches(pattern: Pattern, evidence: Evidence) -> Iterator[tuple[Event, str]]:
    """Each event that is evidence for the pattern, with the text that made it so."""
    found = [
        (event, text) for event in evidence.events for text in _first(pattern.any, event, evidence)
    ]
    if not found:
        return
    if any(not _anywhere(clause, evidence) for clause in pattern.all):
        return
    if any(_anywhere(clause, evidence) for clause in pattern.none):
        return
    yield from found


def _first(clauses: tuple[Clause, ...], event: Event, evidence: Evidence) -> Iterator[str]:
    for clause in clauses:
        text = _match(clause, event, evidence)
        if text is not None:
            yield text
            return


def _anywhere(clause: Clause, evidence: Evidence) -> bool:
    return any(_match(clause, event, evidence) is not None for event in evidence.events)


@lru_cache(maxsize=4096)
def _compiled(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.MULTILINE)


def _match(clause: Clause, event: Event, evidence: Evidence) -> str | None:
    """The text that makes an event evidence; None when it is none."""
    if event.kind not in clause.where or not _in_place(clause, event):
        return None
    name = filled(clause.name, evidence.values)
    wanted = filled(clause.match, evidence.values)
    unless = filled(clause.unless, evidence.values)
    if name is None or wanted is None:
        return None
    if name and not _compiled(name).fullmatch(event.name):
        return None
    if unless and _compiled(unless).search(event.text):
        return None
    return _text(clause, wanted, event, evidence)


def _in_place(clause: Clause, event: Event) -> bool:
    if clause.state and event.state not in clause.state:
        return False
    if clause.path and not in_any(event.path, clause.path):
        return False
    return not (clause.not_path and in_any(event.path, clause.not_path))


@lru_cache(maxsize=256)
def _bare(text: str) -> str:
    """Code with comments and long strings blanked out; every other character keeps its place."""
    return _SPOKEN.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def _text(clause: Clause, expression: str, event: Event, evidence: Evidence) -> str | None:
    if not expression:
        seen = clause.unless_seen and event.text.strip() in evidence.seen
        return None if seen else event.text
    text = _bare(event.text) if clause.code_only else event.text
    found = [match[0] for match in _compiled(expression).finditer(text)]
    if len(found) < clause.min:
        return None
    if clause.unless_seen and _compiled(expression).search(evidence.seen):
        return None  # the project does such things itself
    return found[0]
