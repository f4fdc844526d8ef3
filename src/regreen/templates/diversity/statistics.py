"""Statistics of what was drawn: how even each axis is, which pairs occurred, what each cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from regreen.templates.diversity.draw import Draw

__all__ = ["AXES", "DrawStatistics", "draw_statistics", "entropy"]

AXES = ("calls", "definitions", "wording", "schema", "order", "results", "chat")
"""Axes of a draw; of the order only whether it was changed is counted."""


@dataclass(frozen=True)
class DrawStatistics:
    """What a number of draws came to."""

    total: int
    """Draws."""
    axes: Mapping[str, Mapping[str, int]]
    """Count of each choice, by axis."""
    pairs: Mapping[str, Mapping[str, int]]
    """Count of each pair of choices, by the two axes: ``calls x definitions``."""
    sizes: Mapping[str, int]
    """Tokens or characters by call format, as far as they were given."""

    def table(self) -> list[tuple[str, int, str, str]]:
        """Axis, choices seen, entropy in bits, and the most frequent choices: for people."""
        rows = []
        for axis, counts in self.axes.items():
            first = Counter(counts).most_common(3)
            common = ", ".join(f"{name} {count / self.total:.0%}" for name, count in first)
            rows.append((axis, len(counts), f"{entropy(counts):.2f}", common))
        return rows

    def as_json(self) -> dict[str, object]:
        """All of it as plain data."""
        return {
            "total": self.total,
            "axes": {axis: dict(counts) for axis, counts in self.axes.items()},
            "entropy_bits": {axis: round(entropy(c), 4) for axis, c in self.axes.items()},
            "pairs": {axes: dict(counts) for axes, counts in self.pairs.items()},
            "pair_entropy_bits": {axes: round(entropy(c), 4) for axes, c in self.pairs.items()},
            "sizes": dict(self.sizes),
        }


def draw_statistics(draws: Iterable[tuple[Draw, int]]) -> DrawStatistics:
    """Statistics of draws, each with the tokens or characters it came to (0 when unknown)."""
    axes: dict[str, Counter[str]] = {axis: Counter() for axis in AXES}
    pairs: dict[str, Counter[str]] = {f"{a} x {b}": Counter() for a, b in combinations(AXES, 2)}
    sizes: Counter[str] = Counter()
    total = 0
    for choice, size in draws:
        total += 1
        said = {axis: _said(choice, axis) for axis in AXES}
        for axis, value in said.items():
            axes[axis][value] += 1
        for a, b in combinations(AXES, 2):
            pairs[f"{a} x {b}"][f"{said[a]} x {said[b]}"] += 1
        sizes[choice.calls] += size
    kept = {name: size for name, size in sizes.items() if size}
    return DrawStatistics(total, axes, pairs, kept)


def _said(choice: Draw, axis: str) -> str:
    if axis == "order":
        return "shuffled" if choice.order else "kept"
    if axis == "wording" and choice.definitions == "native":
        return "native"
    return str(getattr(choice, axis))


def entropy(counts: Mapping[str, int]) -> float:
    """Shannon entropy in bits: 0 when all are alike, log2 of their number when even."""
    total = sum(counts.values())
    return sum(-count / total * math.log2(count / total) for count in counts.values() if count)
