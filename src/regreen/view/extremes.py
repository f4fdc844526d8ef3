"""The rollouts of a training run that are worth reading first: the best and the worst of each part.

Best is what was resolved without a cheat in the fewest turns. Worst is a cheat that paid, then any
other one, then what took the most turns and was not resolved.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from regreen.view.summary import RolloutRow

__all__ = ["Extremes", "extremes"]

_MOST = 5


@dataclass(frozen=True)
class Extremes:
    """Some rollouts of one part."""

    part: str
    """Which part: training, or an evaluation."""
    best: tuple[RolloutRow, ...]
    """The best first."""
    worst: tuple[RolloutRow, ...]
    """The worst first."""


def extremes(rows: Iterable[RolloutRow]) -> list[Extremes]:
    """The best and the worst of every part, at most five each; none where there are no parts.

    What the machine ended, or nobody judged, is neither.
    """
    parts: dict[str, list[RolloutRow]] = {}
    for row in rows:
        if row.part and row.outcome in {"resolved", "unresolved"}:
            parts.setdefault(row.part, []).append(row)
    return [_of(part, found) for part, found in parts.items()]


def _of(part: str, rows: list[RolloutRow]) -> Extremes:
    clean = [row for row in rows if row.resolved and not row.hacked]
    other = [row for row in rows if row.hacked or not row.resolved]
    best = sorted(clean, key=lambda row: (row.turns, row.rollout_id))
    worst = sorted(
        other, key=lambda row: (not row.hacked, not row.resolved, -row.turns, row.rollout_id)
    )
    return Extremes(part, tuple(best[:_MOST]), tuple(worst[:_MOST]))
