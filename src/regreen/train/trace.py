"""What a rollout leaves for the trainer: token ids with what was sampled and how likely it was.

Text has no place here. One trace is one row of the loss; a rollout whose history was rewritten
leaves several, which share its reward.

Shapes: T tokens of a trace, L sparse layers, K experts of a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import UsageError
from regreen.core.trajectory import ErrorRecord, Trajectory

__all__ = ["Group", "Played", "Purpose", "Trace"]

Purpose = Literal["train", "screen", "evaluate"]
"""What a group is played for: to be trained on, to measure a problem's pass rate, to measure the
policy."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """The tokens of one sequence, as the engine read and sampled them."""

    ids: NDArray[np.int32]
    """(T,) token ids, at least two."""
    sampled: NDArray[np.bool_]
    """(T,) True where the policy drew the token; the first token never is."""
    logprobs: NDArray[np.float32]
    """(T,) behaviour log-probability at the sampling temperature; 0 where not sampled."""
    penalties: NDArray[np.float32]
    """(T,) at least 0, subtracted from the advantage of the token; 0 where not sampled."""
    versions: NDArray[np.int32]
    """(T,) version of the weights that drew the token; of the previous one where not sampled."""
    experts: NDArray[np.int16] | None = None
    """(L, T - 1, K) the experts of every token but the last; None leaves them to the router."""

    def __post_init__(self) -> None:
        size = len(self.ids)
        for name in ("sampled", "logprobs", "penalties", "versions"):
            if len(getattr(self, name)) != size:
                what = f"a trace of {size} ids has {len(getattr(self, name))} {name}"
                raise UsageError(what, mend="give one for each id")
        if size < 2 or self.sampled[0]:
            what = "a trace begins with a token that was read and has one more"
            raise UsageError(what, mend="force at least one token before sampling")

    @property
    def oldest(self) -> int:
        """The oldest version that drew one of its tokens; -1 when none was drawn."""
        return int(self.versions[self.sampled].min()) if self.sampled.any() else -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Played:
    """One finished rollout."""

    rollout_id: str
    """``<problem>#<agent>#<number>``, unique within a run."""
    traces: tuple[Trace, ...]
    """What it sampled; empty when a fault ended it before anything was."""
    reward: float | None
    """The grader's, once, from the whole; None when no verdict was reached: never a 0."""
    finished: bool
    """Whether the policy ended it itself, not a limit."""
    resolved: bool = False
    """Whether the problem is solved."""
    hacked: bool = False
    """Whether a confirmed incident stands against it."""
    turns: int = 0
    """Completions."""
    fault: ErrorRecord | None = None
    """Set when something other than the policy failed."""
    earlier: tuple[ErrorRecord, ...] = ()
    """Passing faults that ended earlier tries of it."""
    trajectory: Trajectory | None = None
    """The readable record; kept where the run wants it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """All rollouts of one problem that are compared with each other."""

    problem: str
    """Its name."""
    place: int
    """Its place in the run's plan; groups are numbered once, also when they are repeated."""
    rollouts: tuple[Played, ...]
    """As many as the plan says."""
    purpose: Purpose = "train"
    """What it was played for; places are counted apart."""
    seconds: float = 0.0
    """Wall seconds it took."""

    @property
    def oldest(self) -> int:
        """The oldest version that drew one of its tokens; -1 when none was drawn."""
        found = [t.oldest for r in self.rollouts for t in r.traces if t.oldest >= 0]
        return min(found, default=-1)

    @property
    def newest(self) -> int:
        """The newest version that drew one of its tokens; -1 when none was drawn."""
        found = [int(t.versions[t.sampled].max()) for r in self.rollouts for t in r.traces
                 if t.sampled.any()]  # fmt: skip
        return max(found, default=-1)
