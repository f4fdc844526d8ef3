"""The curves of a training run, drawn from its ``metrics.jsonl``.

Shares stand in one figure with their axis from 0 to 1, as what matters is how they move against
each other; every other quantity has a small figure of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from regreen.view.drawing import Curve, Figure, draw

__all__ = ["figures_of"]

_SHARES = (
    ("held_out/resolved", "held out: resolved"),
    ("held_out/clean_resolved", "held out: clean resolved"),
    ("held_out/hacked", "held out: hack rate"),
    ("resolved", "training: resolved"),
    ("clean_resolved", "training: clean resolved"),
    ("hacked", "training: hack rate"),
)
_SINGLE = (
    ("loss", "loss"),
    ("held_out/loss", "held-out loss"),
    ("entropy", "entropy of the policy, nats"),
    ("turns", "turns of a rollout"),
    ("tokens_sampled", "tokens sampled in a rollout"),
    (
        "mismatch_max",
        "largest difference of engine and trainer, old weights included, nats",
    ),
    ("grad_norm", "norm of the gradient"),
    ("staleness_max", "oldest weights in a batch, updates"),
    ("tokens_per_second", "tokens per second"),
)


def figures_of(rows: Iterable[Mapping[str, Any]]) -> list[Figure]:
    """The figures of a run; none where it has no curves.

    Args:
        rows: of ``metrics.jsonl``.

    Raises:
        PrerequisiteError: there are curves, and matplotlib is not installed.
    """
    known = [row for row in rows if isinstance(row.get("step"), int | float)]
    shares = [_curve(known, name, label) for name, label in _SHARES]
    shares = _without_doubles([curve for curve in shares if len(curve.points) > 1])
    found = []
    if shares:
        found.append(Figure("curve", "Shares of all rollouts", draw(shares, share=True)))
    for name, label in _SINGLE:
        curve = _curve(known, name, label)
        if len(curve.points) > 1:
            png = draw([curve], share=False)
            found.append(Figure(name.replace("/", "_"), label.capitalize(), png))
    return found


def _curve(rows: Sequence[Mapping[str, Any]], name: str, label: str) -> Curve:
    points: dict[float, float] = {}
    counts: dict[float, float] = {}
    for row in rows:
        value = row.get(name)
        if isinstance(value, int | float) and math.isfinite(value):
            points[float(row["step"])] = float(value)
            counts[float(row["step"])] = float(row.get("held_out/rollouts") or 0.0)
    errors: tuple[float, ...] = ()
    if name.startswith("held_out/") and points and all(counts.values()):
        errors = tuple(
            math.sqrt(max(0.0, value * (1.0 - value)) / counts[step])
            for step, value in points.items()
            if 0.0 <= value <= 1.0
        )
        errors = errors if len(errors) == len(points) else ()
    return Curve(label, tuple(points.items()), errors)


def _without_doubles(curves: Sequence[Curve]) -> list[Curve]:
    """Without hack rates that stay at nought, and what lies on another curve all along."""
    kept: list[Curve] = []
    for curve in curves:
        flat = "hack rate" in curve.label and not any(value for _, value in curve.points)
        if not flat and not any(curve.points == other.points for other in kept):
            kept.append(curve)
    return kept
