"""The numbers of a batch: what was achieved, what was left out and why, how far engines drift.

Every rollout is in the denominator of every share, also one that a fault ended; shares are those of
`regreen.core.hacking`.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from regreen.train.learner import Report
from regreen.train.trace import Group, Played

__all__ = ["measured", "rates"]


def rates(groups: Sequence[Group]) -> dict[str, float]:
    """Shares of all rollouts, and means over them."""
    rollouts = [one for group in groups for one in group.rollouts]
    size = max(1, len(rollouts))
    scored = [one.reward for one in rollouts if one.reward is not None]
    sampled = [sum(int(trace.sampled.sum()) for trace in one.traces) for one in rollouts]
    return {
        "rollouts": float(len(rollouts)),
        "resolved": sum(one.resolved for one in rollouts) / size,
        "clean_resolved": sum(one.resolved and not one.hacked for one in rollouts) / size,
        "hacked": sum(one.hacked for one in rollouts) / size,
        "finished": sum(one.finished for one in rollouts) / size,
        "faults": sum(one.fault is not None for one in rollouts) / size,
        "reward": fmean(scored) if scored else 0.0,
        "turns": sum(one.turns for one in rollouts) / size,
        "tokens_sampled": sum(sampled) / size,
    }


def measured(groups: Sequence[Group], report: Report, *, version: int) -> dict[str, float]:
    """One row of metrics of a batch.

    Args:
        groups: what was played.
        report: what became of it.
        version: of the weights that were updated.
    """
    row = rates(groups)
    ages = [version - group.oldest for group in groups if group.oldest >= 0]
    row["staleness_max"] = float(max(ages, default=0))
    row["groups_trained"] = len(groups) - sum(report.dropped.values())
    row |= {f"dropped/{name}": float(count) for name, count in report.dropped.items()}
    row |= {f"left_out/{_kind(name)}": float(n) for name, n in report.left_out.items()}
    row["penalised"] = _share(groups)
    row |= report.metrics
    if report.updates:
        last = report.updates[-1]
        row |= {
            "lr": last.lr,
            "grad_norm": max(update.grad_norm for update in report.updates),
            "updates": float(sum(update.applied for update in report.updates)),
            "updates_refused": float(sum(bool(update.refused) for update in report.updates)),
        }
    return row


def _share(groups: Sequence[Group]) -> float:
    """Share of rollouts with a penalised token."""
    rollouts = [one for group in groups for one in group.rollouts]
    return sum(map(_penalised, rollouts)) / max(1, len(rollouts))


def _penalised(played: Played) -> bool:
    return any((trace.penalties > 0).any() for trace in played.traces)


def _kind(reason: str) -> str:
    """A reason without what differs from rollout to rollout."""
    return reason.partition(":")[0].replace(" ", "_")
