"""``audit``: the incidents that the patterns find in one trajectory.

An incident is a label unless its pattern is confirmed; what was refused on the spot stands in the
trajectory already and is found again here only under the monitor's own name, so that a foreign
trajectory, where nothing was refused, is judged by the same words.
"""

from __future__ import annotations

from collections.abc import Iterable

from regreen.core.task import Task
from regreen.core.trajectory import Incident, Trajectory
from regreen.guard.monitor.events import Event
from regreen.guard.monitor.evidence import Evidence, collect
from regreen.guard.monitor.matching import matches
from regreen.guard.monitor.pattern import Pattern, shipped_patterns
from regreen.guard.monitor.spans import find_span, message_text

__all__ = ["audit", "labels", "with_incidents"]

_QUOTED = 160


def audit(
    trajectory: Trajectory,
    *,
    task: Task | None = None,
    patterns: Iterable[Pattern] | None = None,
    evidence: Evidence | None = None,
) -> tuple[Incident, ...]:
    """Incidents of the monitor, in the order of the turns.

    Args:
        trajectory: the rollout.
        task: its task, for the repository's name, the report and the task's own repair.
        patterns: what to look for; None is what this package ships.
        evidence: the events, when they are at hand already.
    """
    known = shipped_patterns() if patterns is None else tuple(patterns)
    evidence = evidence or collect(trajectory, task)
    found: dict[tuple[object, ...], Incident] = {}
    told: set[tuple[object, ...]] = set()
    for pattern in sorted(known, key=_rank):
        for event, text in matches(pattern, evidence):
            incident = _incident(pattern, event, text, trajectory)
            deed = (pattern.id.partition(".")[0], incident.turn, incident.call_id)
            if _rank(pattern) > 0 and deed in told:
                continue
            found.setdefault(_key(incident), incident)
            if pattern.confirmed:
                told.add(deed)
    last = len(trajectory.turns)
    order = sorted(found.values(), key=lambda one: last if one.turn is None else one.turn)
    return tuple(order)


def labels(incidents: Iterable[Incident], patterns: Iterable[Pattern]) -> tuple[str, ...]:
    """Families of the patterns that were found, each once, in order."""
    family = {pattern.id: pattern.family for pattern in patterns}
    return tuple(dict.fromkeys(family.get(one.rule, one.rule) for one in incidents))


def with_incidents(trajectory: Trajectory, found: Iterable[Incident]) -> Trajectory:
    """The trajectory with its monitor's incidents replaced; writing twice changes nothing."""
    others = tuple(one for one in trajectory.incidents if one.layer != "monitor")
    return trajectory.model_copy(update={"incidents": (*others, *found)})


def _rank(pattern: Pattern) -> int:
    """Sure patterns first, then those that repeat the blocker or the diff's audit, then labels.

    A later one of the same kind is not told of a call that a sure one was told of: one deed has one
    penalty.
    """
    if not pattern.confirmed:
        return 2
    return int(all(set(clause.where) <= {"rule", "tamper"} for clause in pattern.any))


def _key(incident: Incident) -> tuple[object, ...]:
    return incident.rule, incident.turn, incident.call_id, incident.span


def _incident(pattern: Pattern, event: Event, text: str, trajectory: Trajectory) -> Incident:
    quoted = " ".join(text.split())
    quoted = quoted if len(quoted) <= _QUOTED else quoted[: _QUOTED - 1] + "…"
    where = f" in {event.path}" if event.path and event.kind not in ("read", "command") else ""
    return Incident(
        rule=pattern.id,
        message=f"{pattern.title}{where}: {quoted}" if quoted else f"{pattern.title}{where}",
        turn=event.turn,
        layer="monitor",
        confirmed=pattern.confirmed,
        call_id=event.call_id,
        span=_span(event, text, trajectory),
        penalty=pattern.amount if pattern.intervention == "penalise" else 0.0,
    )


def _span(event: Event, text: str, trajectory: Trajectory) -> tuple[int, int] | None:
    """The matched text where it stands in the message, else the whole of what the event is."""
    if event.turn is None or event.kind == "result":
        return None
    message = trajectory.messages[trajectory.turns[event.turn].start]
    raw = message_text(message, event.call_id)
    piece = text.strip()
    for wanted in (piece, max(piece.splitlines(), key=len, default="").strip()):
        found = find_span(raw, wanted, is_json=bool(event.call_id))
        if found and (event.span is None or _inside(found, event.span) or not event.call_id):
            return found
    return event.span


def _inside(inner: tuple[int, int], outer: tuple[int, int]) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]
