"""In which order sites are tried: likely to be noticed first, classes balanced, functions in turn.

No coin is thrown. What was learnt from earlier candidates (which classes, functions and lines the
tests watch) moves the rest up or down; the outcome of a round is taken in its fixed order, so the
same seed gives the same set with any number of workers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from regreen.tasks.inject.operators import Site
from regreen.tasks.inject.operators.site import identity

__all__ = ["Schedule"]

_PRIOR_STRENGTH = 4.0
_FUNCTION_STRENGTH = 1.5
_REPEAT_FUNCTION = 0.9
_REPEAT_LINE = 0.6
_MIN_SCORE = 0.15
_COMMON = 0.35


@dataclass(slots=True)
class Schedule:
    """A pool of sites handed out in rounds.

    Args:
        sites: the pool.
        seed: decides between equals.
        max_share: largest share of one fault class among the accepted.
        mix: wanted share per fault class; classes not named share the rest.
    """

    sites: Sequence[Site]
    seed: int = 0
    max_share: float = 0.15
    mix: Mapping[str, float] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    _tried: Counter[str] = field(default_factory=Counter)
    _functions: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    _lines: dict[tuple[str, int], list[int]] = field(default_factory=dict)
    _left: dict[str, Site] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._left = {identity(site, self.seed): site for site in self.sites}

    def next(self, count: int, *, wanted: int) -> list[Site]:
        """Up to ``count`` sites for the next round.

        Args:
            count: size of the round.
            wanted: tasks the set is to have in the end; bounds each class's share.
        """
        ranked = sorted(
            (
                (self._score(site) * self._variety(site.operator, wanted), key, site)
                for key, site in self._left.items()
            ),
            key=lambda row: (-row[0], row[1]),
        )
        chosen: list[Site] = []
        pending: Counter[str] = Counter()
        functions: Counter[tuple[str, str]] = Counter()
        for score, key, site in ranked:
            if len(chosen) == count or score < _MIN_SCORE:
                break
            function = (site.path, site.function)
            if self._full(site.operator, pending, count, wanted) or functions[function] >= 2:
                continue
            chosen.append(site)
            pending[site.operator] += 1
            functions[function] += 1
            del self._left[key]
        return chosen

    def record(self, site: Site, *, noticed: bool, accepted: bool) -> None:
        """Learn from a finished candidate."""
        self._tried[site.operator] += 1
        self.accepted[site.operator] += accepted
        self._tried[f"+{site.operator}"] += noticed
        for seen in (
            self._functions.setdefault((site.path, site.function), [0, 0]),
            self._lines.setdefault((site.path, site.line), [0, 0]),
        ):
            seen[0] += 1
            seen[1] += noticed

    def share(self, operator: str) -> float:
        """Largest share of one fault class among the accepted."""
        return self.mix.get(operator, self.max_share)

    def _full(self, operator: str, pending: Counter[str], count: int, wanted: int) -> bool:
        share = self.share(operator)
        total = min(wanted, sum(self.accepted.values()) + count)
        return self.accepted[operator] + pending[operator] >= max(1, int(share * total))

    def _variety(self, operator: str, wanted: int) -> float:
        """Less for a class the set already has much of, so that many classes get in."""
        cap = max(1.0, self.share(operator) * wanted)
        return 1.0 - _COMMON * min(1.0, self.accepted[operator] / cap)

    def _score(self, site: Site) -> float:
        noticed = self._tried[f"+{site.operator}"] + _PRIOR_STRENGTH * site.weight
        score = noticed / (self._tried[site.operator] + _PRIOR_STRENGTH)
        tried, seen = self._functions.get((site.path, site.function), (0, 0))
        score *= (seen + _FUNCTION_STRENGTH) / (tried + _FUNCTION_STRENGTH)
        score *= _REPEAT_FUNCTION ** min(tried, 8)
        tried, seen = self._lines.get((site.path, site.line), (0, 0))
        if tried:
            score *= _REPEAT_LINE * (seen + 0.5) / (tried + 0.5)
        return score
