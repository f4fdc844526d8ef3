"""Curves over steps, drawn as PNG by matplotlib, which is loaded when the first one is drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from regreen.core.errors import PrerequisiteError

__all__ = ["Curve", "Figure", "draw"]

_COLOURS = {
    "held out: resolved": "#1d8a54",
    "held out: clean resolved": "#2b6cb0",
    "held out: hack rate": "#c8483d",
    "training: resolved": "#8fc9ab",
    "training: clean resolved": "#9dbde0",
    "training: hack rate": "#e3a49e",
}
"""Pale in training what is strong held out."""


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
    for curve in curves:
        steps, values = zip(*curve.points, strict=True)
        colour = _COLOURS.get(curve.label, "#2b6cb0")
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
