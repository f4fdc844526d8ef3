"""The numbers of a batch: what was achieved, what was left out and why, how far engines drift.

Every rollout is in the denominator of every share, also one that a fault ended; shares are those of
`regreen.core.hacking`.
"""

from __future__ import annotations

import re
import resource
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeGuard

import torch

from regreen.train.policy.advantages import AdvantageConfig, group_advantages
from regreen.train.policy.learner import Report
from regreen.train.trace import Group, Played

__all__ = ["Times", "fruitless", "measured", "rates", "spent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Seconds of one batch."""

    rollout: float
    """Spent waiting for rollouts."""
    update: float
    """Spent on the update, and on handing on the weights."""


def rates(groups: Sequence[Group], config: AdvantageConfig) -> dict[str, float]:
    """Shares of all rollouts, and means over them.

    Args:
        groups: what was played.
        config: what rewards are sound, and what an unfinished rollout is worth.
    """
    rollouts = [one for group in groups for one in group.rollouts]
    size = max(1, len(rollouts))
    scored = [one.reward for one in rollouts if _sound(one.reward, config.reward_range)]
    worths = [worth for group in groups for worth in group_advantages(group, config).rewards]
    priced = [worth for worth in worths if worth is not None]
    sampled = [sum(int(trace.sampled.sum()) for trace in one.traces) for one in rollouts]
    return {
        "rollouts": float(len(rollouts)),
        "resolved": sum(one.resolved for one in rollouts) / size,
        "clean_resolved": sum(one.resolved and not one.hacked for one in rollouts) / size,
        "hacked": sum(one.hacked for one in rollouts) / size,
        "finished": sum(one.finished for one in rollouts) / size,
        "faults": sum(one.fault is not None for one in rollouts) / size,
        "reward": fmean(scored) if scored else 0.0,
        "reward_priced": fmean(priced) if priced else 0.0,
        "unscored": 1.0 - len(scored) / size if rollouts else 0.0,
        "turns": sum(one.turns for one in rollouts) / size,
        "tokens_sampled": sum(sampled) / size,
    }


def measured(
    groups: Sequence[Group], report: Report, *, version: int, config: AdvantageConfig
) -> dict[str, float]:
    """One row of metrics of a batch.

    Args:
        groups: what was played.
        report: what became of it.
        version: of the weights that were updated.
        config: see ``rates``.
    """
    row = rates(groups, config)
    ages = [version - group.oldest for group in groups if group.oldest >= 0]
    row["staleness_max"] = float(max(ages, default=0))
    row["groups_trained"] = len(groups) - sum(report.dropped.values())
    row |= {f"dropped/{name}": float(count) for name, count in report.dropped.items()}
    kinds: Counter[str] = Counter()
    for name, count in report.left_out.items():
        kinds[_kind(name)] += count
    row |= {f"left_out/{name}": float(count) for name, count in kinds.items()}
    earlier = [
        fault.boundary for group in groups for one in group.rollouts for fault in one.earlier
    ]
    row |= {f"again/{name}_fault": float(count) for name, count in Counter(earlier).items()}
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
    """A reason without what differs from rollout to rollout, so that there are few of them."""
    if reason.startswith("the reward"):
        return "reward_out_of_range" if "outside" in reason else "reward_not_finite"
    kind = reason.partition(":")[0]
    return re.sub(r" -?(\d\S*|nan|inf)\b", "", kind).replace(" ", "_")


def _sound(reward: float | None, bounds: tuple[float, float]) -> TypeGuard[float]:
    return reward is not None and bounds[0] <= reward <= bounds[1]


def fruitless(groups: Sequence[Group], report: Report) -> str:
    """Why a batch could move nothing, through no merit of the policy; empty where it could.

    Equal rewards are no such reason: a policy that always succeeds has nothing to learn.
    """
    refused = [update.refused for update in report.updates if update.refused]
    if refused and not any(update.applied for update in report.updates):
        return f"the gradient of {refused[0]} is not finite"
    size = sum(len(group.rollouts) for group in groups)
    if size and sum(report.left_out.values()) == size:
        kind = Counter(report.left_out).most_common(1)[0][0]
        faults = [one.fault for group in groups for one in group.rollouts if one.fault is not None]
        first = f" ({faults[0].message[:300]})" if faults else ""
        return f"no rollout has a verdict, most often because of: {kind}{first}"
    return ""


def spent(
    step: int,
    steps: int,
    seconds: float,
    tokens: int,
    times: Times,
    *,
    resumed: tuple[float, int] = (0.0, 0),
) -> dict[str, float]:
    """Time and memory after a batch.

    Args:
        step: batches trained on.
        steps: of the whole run.
        seconds: spent, in all processes.
        tokens: computed by the update.
        times: of this batch.
        resumed: seconds and batches when this process began; what was lost before tells nothing of
            how long a batch takes.
    """
    both = max(1e-9, times.rollout + times.update)
    row = {
        "seconds": seconds,
        "seconds_rollout": times.rollout,
        "seconds_update": times.update,
        "share_rollout": times.rollout / both,
        "tokens_per_second": tokens / both,
        "eta_seconds": (seconds - resumed[0]) / (step - resumed[1]) * (steps - step),
        "memory_bytes": float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024),
    }
    if torch.cuda.is_available():
        row["device_memory_bytes"] = float(torch.cuda.max_memory_allocated())
    return row
