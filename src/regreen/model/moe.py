"""The sparse feed-forward part: a router, the experts it chooses, and one expert for every token.

The router and the shared expert's gate read the same input, so they are one matrix in memory; its
last row is the gate. Which experts acted is part of the result: training on rollouts replays it.

Shapes: N tokens, K experts of a token, E experts, D model width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from regreen.model.config import ModelConfig
from regreen.model.experts import Experts
from regreen.model.feed_forward import FeedForward
from regreen.model.precision import wider
from regreen.model.projection import Projection

__all__ = ["Routing", "SparseFeedForward", "balance_loss"]


@dataclass(frozen=True)
class Routing:
    """What the router of one layer did."""

    index_NK: Tensor
    """The experts of each token, most probable first."""
    probability_NE: Tensor
    """The router's distribution over all experts, float32, with its gradient."""


class SparseFeedForward(nn.Module):
    """Top-k routing over experts plus a shared expert behind a sigmoid gate."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.top_k = config.num_experts_per_tok
        self.normalise = config.norm_topk_prob
        width = config.hidden_size
        self.router = Projection(width, config.num_experts + 1)
        self.experts = Experts(config.num_experts, width, config.moe_intermediate_size)
        self.shared_expert = FeedForward(width, config.shared_expert_intermediate_size)

    def forward(self, x_ND: Tensor, replay_NK: Tensor | None = None) -> tuple[Tensor, Routing]:
        """Transform each token; `replay_NK` names its experts instead of the router's choice."""
        logits = self.router(x_ND)
        gate_N1 = logits[:, -1:].sigmoid()
        probability_NE = logits[:, :-1].softmax(-1, dtype=wider(logits.dtype))
        if replay_NK is None:
            share_NK, index_NK = probability_NE.topk(self.top_k, dim=-1)
        else:
            index_NK = replay_NK
            share_NK = probability_NE.gather(1, index_NK)
        if self.normalise:
            share_NK = share_NK / share_NK.sum(-1, keepdim=True)
        routed_ND = self.experts(x_ND, index_NK, share_NK.to(x_ND.dtype))
        shared_ND = self.shared_expert(x_ND)
        out_ND = torch.addcmul(routed_ND, gate_N1, shared_ND)
        return out_ND, Routing(index_NK, probability_NE)


def balance_loss(routings: list[Routing], counted_N: Tensor | None = None) -> Tensor:
    """The auxiliary loss that keeps experts evenly used, over all layers together.

    num_experts · sum over experts of (share of assignments · mean probability): equation 4 of the
    Switch Transformer (Fedus et al., 2101.03961), summed over the K choices as transformers does.
    Its value is K when experts are used evenly.

    Args:
        routings: one per sparse layer; without any the loss is 0.
        counted_N: 1 for tokens that count, 0 for pads; None counts all.
    """
    if not routings:
        return torch.zeros(())
    num_experts = routings[0].probability_NE.shape[1]
    used_E = routings[0].probability_NE.new_zeros(num_experts)
    mean_E = torch.zeros_like(used_E)
    for routing in routings:
        probability_NE = routing.probability_NE
        weight_N = torch.ones_like(probability_NE[:, 0])
        if counted_N is not None:
            weight_N = counted_N.to(weight_N.dtype)
        weight_N = weight_N / (weight_N.sum().clamp(min=1.0) * len(routings))
        spread_NK = weight_N[:, None].expand_as(routing.index_NK)
        used_E = used_E.index_add(0, routing.index_NK.flatten(), spread_NK.flatten())
        mean_E = mean_E + weight_N @ probability_NE
    return functional.linear(used_E, mean_E) * num_experts
