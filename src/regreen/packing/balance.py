"""Rows to ranks, so that all ranks of a step finish together.

A token of a linear layer costs the same wherever it stands; one of an attention layer costs what
stands before it in its document. So a row's cost is linear in its tokens and quadratic in each
piece's length, and only `full_attention` layers have the quadratic part: counting every layer as
quadratic, as balancers written for attention-only models do, is wrong by the share of linear layers
(four times too much for three Gated DeltaNet layers to one of attention).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regreen.core.errors import UsageError
from regreen.packing.plan import Bools, Ints, Plan, is_whole

if TYPE_CHECKING:
    from regreen.model.config import ModelConfig

__all__ = ["Balance", "CostModel", "balance", "measure"]

Floats = NDArray[np.float64]

_SWAP_ROUNDS = 64
_CLOSE = 1e-4


@dataclass(frozen=True)
class CostModel:
    """Cost of a document: `linear` times its tokens plus `quadratic` times their square.

    Raises:
        UsageError: a factor below 0 or not finite, or none above 0: all rows would cost nothing.
    """

    linear: float
    """Floating-point operations of a token apart from attention's scores, forward."""
    quadratic: float
    """Operations a squared token: causal scores and their weighted sum, all attention layers."""

    def __post_init__(self) -> None:
        """Refuse factors that make no cost."""
        factors = (self.linear, self.quadratic)
        if not all(math.isfinite(one) and one >= 0 for one in factors) or not any(factors):
            msg = f"a cost of {self.linear} a token and {self.quadratic} a squared token is none"
            raise UsageError(msg, where="cost", mend="0 or more each, and one of them above 0")

    @classmethod
    def of(cls, config: ModelConfig) -> CostModel:
        """Count the forward pass of a model; training costs three times both, so ranks stay equal.

        A multiplication and an addition are two operations. Of the experts those that act on a
        token count. The delta rule is counted in its recurrent form: decay, read, write and query
        of a state of key by value width. Norms and other element-wise work are left out.
        """
        full = sum(mixer == "full_attention" for mixer in config.mixers)
        mixing = full * _attention(config) + (config.num_hidden_layers - full) * _delta_net(config)
        feeding = sum(_experts(config) if sparse else _dense(config) for sparse in config.sparse)
        head = config.hidden_size * config.vocab_size
        scores = config.num_attention_heads * config.head_dim
        # Causal: half of len² pairs, two products each, two operations a product.
        return cls(linear=2.0 * (mixing + feeding + head), quadratic=2.0 * full * scores)

    def rows(self, plan: Plan) -> Floats:
        """(R,) cost of each row; a head written again is part of its piece."""
        slots = plan.slots.astype(np.float64)
        cost = self.linear * slots + self.quadratic * slots**2
        return np.add.reduceat(cost, plan.rows[:-1]) if plan.num_rows else np.zeros(0)


def _attention(config: ModelConfig) -> int:
    """Weights of a gated attention layer: query and gate, key, value, output."""
    query = config.num_attention_heads * config.head_dim
    return config.hidden_size * (3 * query + 2 * config.num_key_value_heads * config.head_dim)


def _delta_net(config: ModelConfig) -> int:
    """Weights of a Gated DeltaNet layer, and its state and convolution as if they were weights."""
    value = config.linear_value_dim
    gates = 2 * config.linear_num_value_heads
    projections = config.linear_conv_dim + 2 * value + gates
    state = config.linear_num_value_heads * (
        config.linear_key_head_dim * config.linear_value_head_dim
    )
    convolution = config.linear_conv_dim * config.linear_conv_kernel_dim
    return config.hidden_size * projections + 4 * state + convolution


def _experts(config: ModelConfig) -> int:
    """Weights that act on a token: router, chosen experts, shared expert and its gate."""
    width = (
        config.num_experts_per_tok * config.moe_intermediate_size
        + config.shared_expert_intermediate_size
    )
    return config.hidden_size * (3 * width + config.num_experts + 1)


def _dense(config: ModelConfig) -> int:
    return 3 * config.hidden_size * config.intermediate_size


def balance(
    plan: Plan, num_ranks: int, cost: CostModel, *, rows_per_rank: int | None = None
) -> Ints:
    """Give every row to a rank; ranks get equally many rows, and nearly equal cost.

    Rows go in blocks of `num_ranks`, dearest first, each block's dearest row to the rank with the
    least so far (longest processing time first, with equal numbers); then the dearest
    rank swaps rows with cheaper ones as long as that helps.

    Args:
        plan: rows in training order.
        num_ranks: how many ranks.
        cost: what a row costs.
        rows_per_rank: rows of a rank in a step; every `num_ranks * rows_per_rank` consecutive rows
            are a step, and each step is balanced by itself. None takes the whole plan as one.

    Returns:
        (R,) the rank of each row. Where rows do not divide by ranks, some get one row less, in the
        last step.

    Raises:
        UsageError: fewer than one rank, or fewer than one row a rank.
    """
    _check(num_ranks, rows_per_rank)
    costs = cost.rows(plan)
    if not len(costs):
        return np.zeros(0, np.int64)
    per_rank = rows_per_rank or -(-len(costs) // num_ranks)
    size = num_ranks * per_rank
    num_steps = -(-len(costs) // size)
    # Rows that are missing from the last step cost nothing and come last in it.
    padded = np.zeros(num_steps * size)
    padded[: len(costs)] = costs
    steps_SB = padded.reshape(num_steps, size)
    ranks_SB = _blocks(steps_SB, num_ranks)
    if per_rank > 1:
        for step_costs_B, step_ranks_B in zip(steps_SB, ranks_SB, strict=True):
            _swap(step_costs_B, step_ranks_B, num_ranks)
    return ranks_SB.reshape(-1)[: len(costs)]


def _check(num_ranks: int, rows_per_rank: int | None) -> None:
    for name, number in (("num_ranks", num_ranks), ("rows_per_rank", rows_per_rank)):
        absent = name == "rows_per_rank" and number is None
        if not absent and (not is_whole(number) or number < 1):
            msg = f"cannot balance with {name} {number!r}"
            raise UsageError(msg, where=name, mend="a whole number, 1 or more")


def _blocks(costs_SB: Floats, num_ranks: int) -> Ints:
    """The rank of each row of each step; S steps at once, B rows of a step."""
    order_SB = np.argsort(-costs_SB, axis=1, kind="stable")
    loads_SN = np.zeros((len(costs_SB), num_ranks))
    ranks_SB = np.empty(costs_SB.shape, np.int64)
    for begin in range(0, costs_SB.shape[1], num_ranks):
        block_SN = order_SB[:, begin : begin + num_ranks]
        least_SN = np.argsort(loads_SN, axis=1, kind="stable")
        np.put_along_axis(ranks_SB, block_SN, least_SN, axis=1)
        added_SN = np.take_along_axis(costs_SB, block_SN, axis=1)
        more_SN = np.take_along_axis(loads_SN, least_SN, axis=1) + added_SN
        np.put_along_axis(loads_SN, least_SN, more_SN, axis=1)
    return ranks_SB


def _swap(costs_B: Floats, ranks_B: Ints, num_ranks: int) -> None:
    """Swap single rows of the dearest rank and cheaper ones, in place, while that helps."""
    loads_N = np.bincount(ranks_B, weights=costs_B, minlength=num_ranks)
    for _ in range(_SWAP_ROUNDS):
        *others, high = np.argsort(loads_N, kind="stable").tolist()
        for low in others:
            gap = loads_N[high] - loads_N[low]
            if gap <= _CLOSE * loads_N[high]:
                return
            one, other = _pair(costs_B, ranks_B == high, ranks_B == low, gap / 2)
            change = costs_B[one] - costs_B[other]
            if 0 < change < gap:
                ranks_B[one], ranks_B[other] = low, high
                loads_N[high] -= change
                loads_N[low] += change
                break
        else:
            return


def _pair(costs_B: Floats, of_high_B: Bools, of_low_B: Bools, change: float) -> tuple[int, int]:
    """The two rows whose swap comes nearest to moving `change` from one rank to the other."""
    high, low = np.flatnonzero(of_high_B), np.flatnonzero(of_low_B)
    low = low[np.argsort(costs_B[low], kind="stable")]
    wanted = costs_B[high] - change
    above = np.searchsorted(costs_B[low], wanted)
    tries = np.stack([np.maximum(above - 1, 0), np.minimum(above, len(low) - 1)])
    best = int(np.argmin(np.abs(costs_B[low[tries]] - wanted)))
    which = best % len(high)
    return int(high[which]), int(low[tries[best // len(high), which]])


@dataclass(frozen=True)
class Balance:
    """How far the slowest rank is behind the mean."""

    median: float
    """Dearest rank's cost over the mean rank's, at the median step."""
    worst: float
    """The same at the worst step."""
    time: float
    """Sum of all steps' dearest ranks over the sum of their means: the whole run's slowdown."""


def measure(
    plan: Plan, ranks: Ints, num_ranks: int, cost: CostModel, *, rows_per_rank: int | None = None
) -> Balance:
    """Measure an assignment, however it was found; steps as for `balance`.

    A last step with too few rows is left out, unless it is the only one: no assignment fills it.

    Raises:
        UsageError: as for `balance`; not one rank for each row, or a rank outside `num_ranks`.
    """
    _check(num_ranks, rows_per_rank)
    costs, ranks = cost.rows(plan), _known_ranks(ranks, plan.num_rows, num_ranks)
    if not len(costs):
        return Balance(median=1.0, worst=1.0, time=1.0)
    size = num_ranks * (rows_per_rank or -(-len(costs) // num_ranks))
    num_steps = max(len(costs) // size, 1)
    costs, ranks = costs[: num_steps * size], ranks[: num_steps * size]
    step = np.arange(len(costs)) // size
    loads = np.bincount(step * num_ranks + ranks, weights=costs, minlength=num_steps * num_ranks)
    loads_SN = loads.reshape(num_steps, num_ranks)
    most_S, mean_S = loads_SN.max(axis=1), loads_SN.mean(axis=1)
    ratio_S = most_S / mean_S
    return Balance(
        median=float(np.median(ratio_S)),
        worst=float(ratio_S.max()),
        time=float(most_S.sum() / mean_S.sum()),
    )


def _known_ranks(ranks: Ints, num_rows: int, num_ranks: int) -> Ints:
    """The ranks as an array, if each row has one of them."""
    ranks = np.asarray(ranks)
    if ranks.shape != (num_rows,) or (num_rows and ranks.dtype.kind not in "iu"):
        msg = f"ranks of shape {ranks.shape} and kind {ranks.dtype} for {num_rows} rows"
        raise UsageError(msg, where="ranks", mend="one whole number a row")
    outside = np.flatnonzero((ranks < 0) | (ranks >= num_ranks))
    if len(outside):
        row = int(outside[0])
        msg = f"row {row} is on rank {int(ranks[row])}, and there are {num_ranks} ranks"
        raise UsageError(msg, where="ranks", mend=f"0 to {num_ranks - 1} for every row")
    return ranks.astype(np.int64, copy=False)
