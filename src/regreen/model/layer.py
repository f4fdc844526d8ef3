"""One layer: a token mixer and a feed-forward part, each behind a norm and added to the stream.

The trunk is made of these, and so is the multi-token-prediction head, which is why a layer knows
nothing of the decoder around it.

Shapes: N tokens, D model width, K experts of a token.
"""

from __future__ import annotations

from torch import Tensor, nn

from regreen.model.attention import GatedAttention
from regreen.model.borders import Borders
from regreen.model.config import LayerType, ModelConfig
from regreen.model.delta_net import GatedDeltaNet
from regreen.model.feed_forward import FeedForward
from regreen.model.memory import AttentionMemory, DeltaMemory
from regreen.model.moe import Routing, SparseFeedForward
from regreen.model.norm import RMSNorm
from regreen.model.rope import Rotations

__all__ = ["Layer"]


class Layer(nn.Module):
    """A token mixer and a feed-forward part, each behind a norm and added to the stream."""

    def __init__(self, config: ModelConfig, mixer: LayerType, *, sparse: bool) -> None:
        super().__init__()
        self.input_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mixer: GatedDeltaNet | GatedAttention
        if mixer == "linear_attention":
            self.mixer = GatedDeltaNet(config)
        else:
            self.mixer = GatedAttention(config)
        self.middle_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.feed_forward: SparseFeedForward | FeedForward
        if sparse:
            self.feed_forward = SparseFeedForward(config)
        else:
            self.feed_forward = FeedForward(config.hidden_size, config.intermediate_size)

    def forward(
        self,
        x_ND: Tensor,
        borders: Borders,
        rotations: Rotations,
        memory: AttentionMemory | DeltaMemory | None = None,
        replay_NK: Tensor | None = None,
    ) -> tuple[Tensor, Routing | None]:
        """Transform the stream; the routing is None for a dense feed-forward part."""
        mixed_ND = self.input_norm(x_ND)
        if isinstance(self.mixer, GatedDeltaNet):
            assert not isinstance(memory, AttentionMemory)
            mixed_ND = self.mixer(mixed_ND, borders, memory)
        else:
            assert not isinstance(memory, DeltaMemory)
            mixed_ND = self.mixer(mixed_ND, borders, rotations, memory)
        x_ND = x_ND + mixed_ND
        normed_ND = self.middle_norm(x_ND)
        if isinstance(self.feed_forward, SparseFeedForward):
            out_ND, routing = self.feed_forward(normed_ND, replay_NK)
            return x_ND + out_ND, routing
        return x_ND + self.feed_forward(normed_ND), None
