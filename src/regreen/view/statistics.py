"""Shares with their intervals, pass@k and pass^k.

Several attempts at one task are not independent, so the interval shrinks with the tasks and not
with the attempts: the sample size is divided by the design effect before Wilson's formula is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Share", "pass_at_k", "pass_hat_k", "powers_of_two", "share_of"]

_Z = 1.959963984540054


@dataclass(frozen=True)
class Share:
    """A proportion with its 95 % interval."""

    count: int
    """Successes."""
    total: int
    """Trials."""
    low: float
    """Lower end, in [0, 1]."""
    high: float
    """Upper end, in [0, 1]."""

    @property
    def value(self) -> float:
        """The proportion; 0 when nothing was tried."""
        return self.count / self.total if self.total else 0.0

    def text(self) -> str:
        """For example ``40.0 % (19.8 to 64.3)``."""
        if not self.total:
            return "n/a"
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"


def share_of(attempts: Mapping[str, Sequence[bool]]) -> Share:
    """Share of successes, clustered by task.

    Args:
        attempts: task to the results of its attempts.

    With one attempt per task this is Wilson's score interval (Wilson 1927); otherwise the number
    of trials in it is the effective one, p(1-p) over the cluster-robust variance.
    """
    outcomes = [result for results in attempts.values() for result in results]
    total, count = len(outcomes), sum(outcomes)
    if not total:
        return Share(0, 0, 0.0, 1.0)
    low, high = _wilson(count / total, _effective_size(attempts, count / total, total))
    return Share(count, total, low, high)


def _effective_size(attempts: Mapping[str, Sequence[bool]], p: float, total: int) -> float:
    clusters = sum(1 for results in attempts.values() if results)
    if clusters == total:
        return total
    if clusters < 2 or p in (0.0, 1.0):
        return clusters
    squares = sum((sum(results) - p * len(results)) ** 2 for results in attempts.values())
    variance = squares / total**2 * clusters / (clusters - 1)
    return min(total, p * (1 - p) / variance) if variance else total


def _wilson(p: float, n: float) -> tuple[float, float]:
    centre = p + _Z**2 / (2 * n)
    half = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    scale = 1 + _Z**2 / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def pass_at_k(attempts: Mapping[str, Sequence[bool]], k: int) -> float | None:
    """Chance that at least one of ``k`` attempts succeeds: 1 - C(n-c, k) / C(n, k), over tasks.

    Chen et al. 2021. None when a task has fewer than ``k`` attempts.
    """
    return _mean(attempts, k, lambda n, c: 1 - math.comb(n - c, k) / math.comb(n, k))


def pass_hat_k(attempts: Mapping[str, Sequence[bool]], k: int) -> float | None:
    """Chance that all of ``k`` attempts succeed: C(c, k) / C(n, k), over tasks.

    Yao et al. 2024. None when a task has fewer than ``k`` attempts.
    """
    return _mean(attempts, k, lambda n, c: math.comb(c, k) / math.comb(n, k))


def _mean(
    attempts: Mapping[str, Sequence[bool]], k: int, formula: Callable[[int, int], float]
) -> float | None:
    if not attempts or min(map(len, attempts.values())) < k:
        return None
    values = [formula(len(results), sum(results)) for results in attempts.values()]
    return sum(values) / len(values)


def powers_of_two(limit: int) -> list[int]:
    """1, 2, 4 … up to ``limit``, and ``limit`` itself."""
    powers = [2**exponent for exponent in range(max(limit, 0).bit_length())]
    return [*powers, limit] if limit > 0 and powers[-1] != limit else powers
