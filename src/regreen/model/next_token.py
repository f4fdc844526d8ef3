"""Multi-token prediction: one more layer that guesses the token after the next.

Position t joins the trunk's hidden state with the embedding of token t + 1, passes one attention
layer of its own, and predicts token t + 2 through the output matrix of the trunk (DeepSeek-V3,
2412.19437, section 2.2, with the names and order of Qwen3-Next: embedding first, hidden state
behind the final norm). A pair exists only inside a document, so every document is one shorter here
and a document of one token has none.

Shapes: N tokens of the batch, P pairs, D model width, V vocabulary, K experts of a token.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regreen.model.borders import Borders
from regreen.model.config import ModelConfig
from regreen.model.layer import Layer
from regreen.model.moe import Routing
from regreen.model.norm import RMSNorm
from regreen.model.projection import Projection
from regreen.model.rope import Rotations

__all__ = ["NextToken", "Pairs", "Prediction"]


@dataclass(frozen=True)
class Prediction:
    """What the layer computes for the pairs of a batch."""

    index_P: Tensor
    """The flat token t of each pair, whose hidden state was joined with token t + 1."""
    target_P: Tensor
    """The flat token t + 2 that is predicted; -1 where the document ends before it."""
    hidden_PD: Tensor
    """The layer's result behind its norm; a further guess takes it as hidden state."""
    logits_PV: Tensor
    """Logits of token t + 2."""
    routing: Routing | None
    """What the layer's router did; None where the layer is dense or there was no pair."""


@dataclass(frozen=True)
class Pairs:
    """Which tokens have a successor in their document."""

    borders: Borders | None
    """The documents, each one shorter; None where none is left."""
    index_P: Tensor
    """Flat tokens that have a successor."""
    target_P: Tensor
    """The successor of the successor, or -1."""

    @classmethod
    def of(cls, borders: Borders, device: torch.device) -> Pairs:
        """Find the pairs of a batch; remembered in `borders`."""
        known = borders.__dict__.setdefault("_pairs", {})
        if device not in known:
            with torch.inference_mode(False):  # a training step may ask next
                known[device] = cls._find(borders, device)
        found: Pairs = known[device]
        return found

    @classmethod
    def _find(cls, borders: Borders, device: torch.device) -> Pairs:
        left_N = torch.tensor(borders.lengths).repeat_interleave(torch.tensor(borders.lengths))
        left_N -= borders.positions_N + 1
        index_P = left_N.nonzero().flatten()
        target_P = torch.where(left_N[index_P] > 1, index_P + 2, -1)
        lengths = tuple(length - 1 for length in borders.lengths if length > 1)
        shorter = Borders(lengths) if lengths else None
        return cls(shorter, index_P.to(device), target_P.to(device))


class NextToken(nn.Module):
    """The layer and what joins its two inputs; embedding and output matrix are the decoder's."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, eps = config.hidden_size, config.rms_norm_eps
        self.embedding_norm = RMSNorm(width, eps)
        self.hidden_norm = RMSNorm(width, eps)
        self.join = Projection(2 * width, width)
        self.layer = Layer(config, "full_attention", sparse=config.num_experts > 0)
        self.norm = RMSNorm(width, eps)

    def forward(
        self,
        next_PD: Tensor,
        hidden_PD: Tensor,
        borders: Borders,
        rotations: Rotations,
        replay_PK: Tensor | None = None,
    ) -> tuple[Tensor, Routing | None]:
        """Hidden states that predict, from embeddings of next tokens and the trunk's states."""
        both = (self.embedding_norm(next_PD), self.hidden_norm(hidden_PD))
        joined_PD = self.join(torch.cat(both, dim=-1))
        out_PD, routing = self.layer(joined_PD, borders, rotations, None, replay_PK)
        return self.norm(out_PD), routing
