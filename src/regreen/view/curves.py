"""The curves of a training run, drawn from its ``metrics.jsonl``.

Shares stand in one figure with their axis from 0 to 1, as what matters is how they move against
each other; every other quantity has a small figure of its own.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from regreen.core.errors import PrerequisiteError

__all__ = ["Curve", "Figure", "draw", "figures_of"]

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
    ("mismatch_max", "largest difference of engine and trainer, nats"),
    ("grad_norm", "norm of the gradient"),
    ("staleness_max", "oldest weights in a batch, updates"),
    ("tokens_per_second", "tokens per second"),
)
_COLOURS = ("#1d8a54", "#2b6cb0", "#c8483d", "#8fc9ab", "#9dbde0", "#e3a49e")


@dataclass(frozen=True, slots=True)
class Curve:
    """One line."""

    label: str
    """What it shows."""
    points: tuple[tuple[float, float], ...]
    """Step and value."""
    errors: tuple[float, ...] = ()
    """Standard error of each value; empty for none."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One drawn figure."""

    name: str
    """File name without suffix."""
    caption: str
    """What it shows."""
    png: bytes
    """The picture."""


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


def draw(curves: Sequence[Curve], *, share: bool) -> bytes:
    """Curves over steps as a PNG.

    Args:
        curves: at least one.
        share: the values are shares, from 0 to 1.

    Raises:
        PrerequisiteError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        what = "drawing curves needs matplotlib"
        raise PrerequisiteError(what, mend="pip install 'regreen[train]'") from error
    canvas = Canvas(figsize=(8.0, 4.2) if share else (4.0, 2.4), dpi=110, layout="constrained")
    axes = canvas.subplots()
    for place, curve in enumerate(curves):
        steps, values = zip(*curve.points, strict=True)
        colour = _COLOURS[place % len(_COLOURS)]
        faint = curve.label.startswith("training")
        axes.plot(
            steps, values, label=curve.label, color=colour, linewidth=1.2 if faint else 2.0,
            alpha=0.7 if faint else 1.0, marker="" if faint or not share else "o", markersize=3.5,
        )  # fmt: skip
        if curve.errors:
            low = [v - e for v, e in zip(values, curve.errors, strict=True)]
            high = [v + e for v, e in zip(values, curve.errors, strict=True)]
            axes.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_xlabel("batches trained on" if share else "step", fontsize=8)
    if share:
        axes.set_ylim(0.0, 1.0)
        axes.legend(fontsize=8, frameon=False)
    else:
        axes.set_title(curves[0].label, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png")
    return buffer.getvalue()


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
